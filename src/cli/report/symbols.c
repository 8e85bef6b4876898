/* Looks up symbols; see symbols.h. */
#include "cli/report/symbols.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/messages.h"
#include "cli/process/proc_text.h"
#include "cli/report/places.h"

#define DEBUG_DIRECTORY "/usr/lib/debug"

static char *debug_path; /* as elfutils takes it */

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &debug_path,
};

static bool has_build_id(int fd, const char *build_id)
{
	char found[2 * 64 + 1];
	const void *bits;
	Elf *elf;
	ssize_t length;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	length = elf != NULL ? dwelf_elf_gnu_build_id(elf, &bits) : -1;
	*found = '\0';
	for (ssize_t i = 0; i < length && i < 64; i++)
		snprintf(found + 2 * i, 3, "%02x", ((const unsigned char *)bits)[i]);
	elf_end(elf);
	return strcmp(found, build_id) == 0;
}

/*
 * Whether the file is the one that the program had mapped. Inode numbers are reused, so a file without a
 * build-id must also not have changed since the report was written. One below a sysroot is trusted.
 */
static bool is_same_file(int fd, const struct lz_report_module *module, const char *sysroot)
{
	struct stat about;

	if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
		return false;
	if (module->build_id[0] != '\0')
		return has_build_id(fd, module->build_id);
	return sysroot != NULL ||
	       (about.st_ino == module->inode && !module->deleted &&
		       (about.st_ctim.tv_sec < module->report_time.tv_sec ||
			       (about.st_ctim.tv_sec == module->report_time.tv_sec &&
				       about.st_ctim.tv_nsec <= module->report_time.tv_nsec)));
}

/* Opens a file if it is the module's, else returns -1. */
static int open_if_same(const char *path, const struct lz_report_module *module, const char *sysroot)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && !is_same_file(fd, module, sysroot)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Opens the file of a module, whose path was read from /proc/PID/maps. */
static int open_module_file(const struct lz_report_module *module, const char *sysroot)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s%s", sysroot != NULL ? sysroot : "", module->path) < 0)
		return -1;
	fd = open_if_same(path, module, sysroot);
	if (fd < 0 && lz_proc_unescape_path(path))
		fd = open_if_same(path, module, sysroot);
	free(path);
	return fd;
}

/* Opens the separate debug file of a module whose own file is not there any more. */
static int open_debug_file(const struct lz_report_module *module)
{
	char *directories = strdup(debug_path), *rest = directories, *directory, *path;
	int fd = -1;

	while (fd < 0 && strlen(module->build_id) > 2 && (directory = strsep(&rest, ":")) != NULL) {
		if (*directory != '/' || asprintf(&path, "%s/.build-id/%.2s/%s.debug", directory,
						 module->build_id, module->build_id + 2) < 0)
			continue;
		fd = open_if_same(path, module, NULL);
		free(path);
	}
	free(directories);
	return fd;
}

/*
 * Opens a module at address 0, so that offsets are its addresses; reported offsets in programs linked at a
 * fixed address are addresses already.
 */
static Dwfl *open_module(const struct lz_report_module *about, const char *sysroot, Dwfl_Module **module)
{
	Dwfl *dwfl = NULL;
	int fd = open_module_file(about, sysroot);

	*module = NULL;
	if (fd < 0)
		fd = open_debug_file(about);
	if (fd >= 0)
		dwfl = dwfl_begin(&callbacks);
	if (dwfl == NULL) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	dwfl_report_begin(dwfl);
	/* Takes ownership of the descriptor on success. */
	*module = dwfl_report_elf(dwfl, about->path, about->path, fd, 0, true);
	if (*module == NULL)
		close(fd);
	dwfl_report_end(dwfl, NULL, NULL);
	return dwfl;
}

static int set_debug_path(const struct lz_symbol_paths *paths)
{
	const char *sysroot = paths->sysroot != NULL ? paths->sysroot : "";

	/* The empty element stands for the directory of the module. */
	if (asprintf(&debug_path, "%s%s:.debug:%s" DEBUG_DIRECTORY, paths->debug != NULL ? ":" : "",
		    paths->debug != NULL ? paths->debug : "", sysroot) < 0) {
		debug_path = NULL;
		return lz_fail_memory();
	}
	return 0;
}

int lz_report_resolve(struct lz_report *report, const struct lz_symbol_paths *paths)
{
	int status = set_debug_path(paths);

	unsetenv("DEBUGINFOD_URLS");
	for (size_t i = 0; status == 0 && i < report->module_count; i++) {
		Dwfl_Module *module;
		Dwfl *dwfl;

		if (report->modules[i].is_source)
			continue;
		dwfl = open_module(&report->modules[i], paths->sysroot, &module);

		for (size_t j = 0; module != NULL && j < report->address_count; j++)
			if (report->addresses[j].module == i)
				lz_report_find_places(
					&report->addresses[j], module, report->addresses[j].offset - 1);
		if (dwfl != NULL)
			dwfl_end(dwfl);
	}
	free(debug_path);
	debug_path = NULL;
	return status;
}
