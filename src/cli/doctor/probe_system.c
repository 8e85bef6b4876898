/* Probes of the kernel, of its settings, and of resource limits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/checked.h"
#include "cli/common/display.h"
#include "cli/doctor/probes.h"
#include "os/cgroup.h"
#include "os/facts.h"
#include "os/os.h"
#include "os/procfs.h"

#define STATUS "/proc/thread-self/status"
#define THP_SETTINGS "/sys/kernel/mm/transparent_hugepage/"

static void probe_kernel(struct lz_probe_context *context, struct lz_finding *finding)
{
	static const struct {
		int major, minor;
		const char *text;
	} steps[] = {
		{6, 1, "no zero window, which needs Linux 6.1"},
		{6, 7, "no PAGEMAP_SCAN (Linux 6.7), so written pages cannot be distinguished from others"},
		{6, 14, "MADV_DONTNEED does not free empty page tables (Linux 6.14)"},
		{6, 17, "mremap of a zero window takes one call for each of its mappings (Linux 6.17)"},
	};
	struct utsname name;
	int major = 0, minor = 0;

	(void)context;
	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	lz_finding_set(finding, LZ_HEALTH_OK, "Linux %.60s on %.20s", name.release, name.machine);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (major < steps[i].major || (major == steps[i].major && minor < steps[i].minor)) {
			finding->health = i == 0 ? LZ_HEALTH_BAD : LZ_HEALTH_NOTE;
			lz_finding_set_meaning(finding, "%s", steps[i].text);
			lz_finding_set_fix(finding, "use a newer kernel");
			return;
		}
}

static void probe_geometry(struct lz_probe_context *context, struct lz_finding *finding)
{
	const struct lz_geometry *geometry = context->geometry;
	struct lz_tables tables = lz_tables_minimum(geometry, UINT64_C(512) << 30, geometry->page_shift);

	lz_finding_set(finding, LZ_HEALTH_OK, "%s, pages of %s", geometry->name,
		lz_size_text(UINT64_C(1) << geometry->page_shift).text);
	lz_finding_set_meaning(finding, "512 GiB of touched memory need %s of page tables",
		lz_size_text(lz_tables_vmpte_bytes(geometry, &tables)).text);
}

static void probe_vmpte(struct lz_probe_context *context, struct lz_finding *finding)
{
	uint64_t bytes = 0;
	int error = lz_fact_holds(&lz_os_linux, LZ_FACT_VMPTE) ? 0 : lz_fact_error(LZ_FACT_VMPTE);

	(void)context;
	if (lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &bytes) == 0) {
		lz_finding_set(finding, LZ_HEALTH_OK, "%s for this process", lz_size_text(bytes).text);
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_BAD, "unknown (%s)",
		error != 0 ? strerror(-error) : "the kernel does not tell");
	lz_finding_set_meaning(
		finding, "without /proc the budget counts only memory that the library itself tracks");
	lz_finding_set_fix(finding, "mount /proc");
}

/* Reads the selected word of a setting such as "always [madvise] never". False if it cannot be read. */
static bool read_selected_word(const char *path, char word[24])
{
	struct lz_line_reader lines;
	char *line, *open;

	word[0] = '\0';
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return false;
	line = lz_line_reader_next(&lines);
	open = line != NULL ? strchr(line, '[') : NULL;
	if (open != NULL)
		snprintf(word, 24, "%.*s", (int)lz_min_u64(strcspn(open + 1, "]"), 23), open + 1);
	lz_line_reader_close(&lines);
	return word[0] != '\0';
}

static void probe_thp(struct lz_probe_context *context, struct lz_finding *finding)
{
	char word[24];

	(void)context;
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "disabled for this process and its children (prctl)");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding,
			"start the program from a shell or service that has not set PR_SET_THP_DISABLE");
	} else if (!read_selected_word(THP_SETTINGS "enabled", word)) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "the kernel has no transparent huge pages");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding, "use a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
	} else {
		lz_finding_set(finding, LZ_HEALTH_OK, "%s", word);
		if (strcmp(word, "always") == 0)
			lz_finding_set_meaning(finding,
				"a write to sparse plain memory allocates 2 MiB; LAZYZERO_THP "
				"controls this for the regions of the library");
	}
}

static void probe_shmem_thp(struct lz_probe_context *context, struct lz_finding *finding)
{
	char word[24];

	(void)context;
	if (!read_selected_word(THP_SETTINGS "shmem_enabled", word)) {
		lz_finding_set(
			finding, LZ_HEALTH_NOTE, "unknown: %sshmem_enabled cannot be read", THP_SETTINGS);
	} else if (strcmp(word, "deny") == 0) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "deny");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding, "echo never > %sshmem_enabled", THP_SETTINGS);
	} else {
		lz_finding_set(finding, LZ_HEALTH_OK, "%s", word);
		lz_finding_set_meaning(finding, "any value but deny allows the zero window");
	}
}

static void probe_max_map_count(struct lz_probe_context *context, struct lz_finding *finding)
{
	uint64_t count = 0;

	lz_proc_number(&lz_os_linux, "/proc/sys/vm/max_map_count", &count);
	if (count == 0) {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "unknown");
		return;
	}
	lz_finding_set(finding, count < 16384 ? LZ_HEALTH_NOTE : LZ_HEALTH_OK, "%" PRIu64, count);
	/* The library uses at most half of the mappings. */
	lz_finding_set_meaning(finding, "zero windows of %s can back %s of regions, larger windows more",
		lz_size_text(context->window_bytes).text,
		lz_size_text(count / 2 * context->window_bytes).text);
	if (count < 16384)
		lz_finding_set_fix(finding, "sysctl vm.max_map_count=65530");
}

static void probe_limits(struct lz_probe_context *context, struct lz_finding *finding)
{
	static const struct {
		int resource;
		rlim_t enough;
		const char *text;
	} limits[] = {
		{RLIMIT_AS, RLIM_INFINITY, "address space (ulimit -v)"},
		{RLIMIT_DATA, RLIM_INFINITY, "data (ulimit -d)"},
		{RLIMIT_NOFILE, 16, "files (ulimit -n)"},
		{RLIMIT_FSIZE, 1 << 30, "size of files (ulimit -f)"},
	};
	char low[160] = "";

	(void)context;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct rlimit limit;
		size_t length = strlen(low);

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &limit) == 0 &&
			limit.rlim_cur < limits[i].enough)
			snprintf(low + length, sizeof low - length, "%s%s", length > 0 ? ", " : "",
				limits[i].text);
	}
	if (low[0] == '\0') {
		lz_finding_set(finding, LZ_HEALTH_OK, "none that restricts the library");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "low: %s", low);
	lz_finding_set_meaning(finding, "large requests or the file of the zero window may fail");
	lz_finding_set_fix(finding, "raise the limit in the shell or service that starts the program");
}

static void probe_memory(struct lz_probe_context *context, struct lz_finding *finding)
{
	struct lz_memory_limit limit = lz_memory_limit(&lz_os_linux, "");

	(void)context;
	if (limit.bytes == UINT64_MAX) {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "unknown");
		lz_finding_set_meaning(finding, "a budget in percent has no effect");
		lz_finding_set_fix(finding, "mount /proc, or set LAZYZERO_BUDGET in bytes");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_OK, "%s, %s", lz_size_text(limit.bytes).text,
		limit.from_cgroup ? "the limit of the control group" : "all of RAM");
	lz_finding_set_meaning(finding, "the default budget is 5%% of it, %s of page tables",
		lz_size_text(limit.bytes / 20).text);
}

const struct lz_probe lz_system_probes[] = {
	{"kernel", probe_kernel},
	{"page tables", probe_geometry},
	{"VmPTE", probe_vmpte},
	{"memory", probe_memory},
	{"limits", probe_limits},
	{"huge pages", probe_thp},
	{"huge, shmem", probe_shmem_thp},
	{"max_map_count", probe_max_map_count},
};

const size_t lz_system_probe_count = sizeof lz_system_probes / sizeof *lz_system_probes;
