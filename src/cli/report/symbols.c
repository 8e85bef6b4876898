/* Looks up symbols; see symbols.h. */
#include "cli/report/symbols.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/process/proc_text.h"

static char *debug_path; /* NULL: the default of elfutils */

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &debug_path,
};

/*
 * Whether the file is still the one that the program had mapped. Inode numbers are reused, so it must also
 * not have changed since the report was written.
 */
static bool is_same_file(int fd, const struct lz_report_site *site)
{
	struct stat about;

	return fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_ino == site->inode &&
	       (about.st_ctim.tv_sec < site->report_time.tv_sec ||
		       (about.st_ctim.tv_sec == site->report_time.tv_sec &&
			       about.st_ctim.tv_nsec <= site->report_time.tv_nsec));
}

/* Opens the file of a path that was read from /proc/PID/maps. */
static int open_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *unescaped = fd < 0 ? strdup(path) : NULL;

	if (unescaped != NULL && lz_proc_unescape_path(unescaped))
		fd = open(unescaped, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	free(unescaped);
	return fd;
}

/*
 * Opens a module at address 0, so that offsets are its addresses; reported offsets in programs linked at a
 * fixed address are addresses already.
 */
static Dwfl *open_module(const struct lz_report_site *site, Dwfl_Module **module)
{
	Dwfl *dwfl;
	int fd = open_path(site->module);

	*module = NULL;
	if (fd < 0)
		return NULL;
	if (!is_same_file(fd, site) || (dwfl = dwfl_begin(&callbacks)) == NULL) {
		close(fd);
		return NULL;
	}
	dwfl_report_begin(dwfl);
	/* Takes ownership of the descriptor on success. */
	*module = dwfl_report_elf(dwfl, site->module, site->module, fd, 0, true);
	if (*module == NULL)
		close(fd);
	dwfl_report_end(dwfl, NULL, NULL);
	return dwfl;
}

/*
 * Demangles a C++ name with the C++ library, if that is installed. Returns a copy of the name otherwise; to
 * be freed.
 */
static char *demangle_name(const char *name)
{
	static char *(*demangle)(const char *, char *, size_t *, int *);
	static bool looked;
	char *found = NULL;

	if (!looked && strncmp(name, "_Z", 2) == 0) {
		void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

		if (library != NULL)
			*(void **)&demangle = dlsym(library, "__cxa_demangle");
		looked = true;
	}
	if (demangle != NULL && strncmp(name, "_Z", 2) == 0)
		found = demangle(name, NULL, NULL, NULL);
	return found != NULL ? found : strdup(name);
}

static void resolve_site(struct lz_report_site *site, Dwfl_Module *module)
{
	GElf_Addr address = site->offset - 1; /* the call precedes the return address */
	const char *name = dwfl_module_addrname(module, address), *file = NULL;
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	int number = 0;

	if (name != NULL)
		site->function = demangle_name(name);
	if (line != NULL)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (file != NULL) {
		site->file = strdup(file);
		site->line = number;
	}
}

void lz_report_resolve(struct lz_report *report)
{
	bool *done = calloc(report->site_count + 1, sizeof *done);

	unsetenv("DEBUGINFOD_URLS");
	for (size_t i = 0; done != NULL && i < report->site_count; i++) {
		struct lz_report_site *first = &report->sites[i];
		Dwfl_Module *module;
		Dwfl *dwfl;

		if (done[i] || first->module == NULL || first->deleted)
			continue;
		dwfl = open_module(first, &module);
		for (size_t j = i; j < report->site_count; j++) {
			struct lz_report_site *site = &report->sites[j];

			if (site->module == NULL || site->inode != first->inode ||
				strcmp(site->module, first->module) != 0)
				continue;
			done[j] = true;
			if (module != NULL)
				resolve_site(site, module);
		}
		if (dwfl != NULL)
			dwfl_end(dwfl);
	}
	free(done);
}
