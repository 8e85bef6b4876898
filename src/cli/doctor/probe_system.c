/* Examinations of the kernel, of its settings, and of limits; see doctor.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/command.h"
#include "cli/doctor/probes.h"
#include "os/cgroup.h"
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
		{6, 1, "too old for the zero window, which needs Linux 6.1"},
		{6, 7, "old: without PAGEMAP_SCAN, written pages are not told from others (Linux 6.7)"},
		{6, 14, "without the release of emptied page tables (Linux 6.14)"},
		{6, 17, "moving memory of a zero window takes one call for each piece (Linux 6.17)"},
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
			lz_finding_set_fix(finding, "a newer kernel");
			return;
		}
}

static void probe_levels(struct lz_probe_context *context, struct lz_finding *finding)
{
	const struct lz_geometry *geometry = context->geometry;
	struct lz_tables tables = lz_tables_fewest(geometry, UINT64_C(512) << 30, geometry->page_shift);

	lz_finding_set(finding, LZ_HEALTH_OK, "%s, pages of %s", geometry->name,
		lz_size_text(UINT64_C(1) << geometry->page_shift).text);
	lz_finding_set_meaning(finding, "to touch 512 GiB takes %s of page tables",
		lz_size_text(lz_tables_counted_bytes(geometry, &tables)).text);
}

static void probe_vmpte(struct lz_probe_context *context, struct lz_finding *finding)
{
	uint64_t bytes;
	int error = lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &bytes);

	(void)context;
	if (error == 0) {
		lz_finding_set(
			finding, LZ_HEALTH_OK, "/proc tells %s of this process", lz_size_text(bytes).text);
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_BAD, "unknown (%s)", strerror(-error));
	lz_finding_set_meaning(finding, "without /proc the budget only sees what passes through the library");
	lz_finding_set_fix(finding, "mount /proc");
}

/* Writes the chosen word of a setting such as "always [madvise] never". False when it cannot be read. */
static bool chosen(const char *path, char word[24])
{
	struct lz_lines lines;
	char *line, *open;

	word[0] = '\0';
	if (lz_lines_open(&lines, &lz_os_linux, path) != 0)
		return false;
	line = lz_lines_next(&lines);
	open = line != NULL ? strchr(line, '[') : NULL;
	if (open != NULL)
		snprintf(word, 24, "%.*s", (int)lz_min_u64(strcspn(open + 1, "]"), 23), open + 1);
	lz_lines_close(&lines);
	return word[0] != '\0';
}

static void probe_thp(struct lz_probe_context *context, struct lz_finding *finding)
{
	char word[24];

	(void)context;
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "disabled for this process and its children (prctl)");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(
			finding, "start the program from a shell or service without PR_SET_THP_DISABLE");
	} else if (!chosen(THP_SETTINGS "enabled", word)) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "this kernel has no transparent huge pages");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding, "a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
	} else {
		lz_finding_set(finding, LZ_HEALTH_OK, "%s", word);
		if (strcmp(word, "always") == 0)
			lz_finding_set_meaning(finding,
				"a write into plain sparse memory takes 2 MiB; LAZYZERO_THP "
				"decides for our regions");
	}
}

static void probe_shmem_thp(struct lz_probe_context *context, struct lz_finding *finding)
{
	char word[24];

	(void)context;
	if (!chosen(THP_SETTINGS "shmem_enabled", word)) {
		lz_finding_set(
			finding, LZ_HEALTH_NOTE, "unknown: %sshmem_enabled cannot be read", THP_SETTINGS);
	} else if (strcmp(word, "deny") == 0) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "deny");
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding, "echo never > %sshmem_enabled", THP_SETTINGS);
	} else {
		lz_finding_set(finding, LZ_HEALTH_OK, "%s", word);
		lz_finding_set_meaning(finding, "the zero window needs anything but deny");
	}
}

static void probe_maps(struct lz_probe_context *context, struct lz_finding *finding)
{
	uint64_t count = 0;
	struct lz_lines lines;
	char *line;

	if (lz_lines_open(&lines, &lz_os_linux, "/proc/sys/vm/max_map_count") == 0) {
		line = lz_lines_next(&lines);
		if (line != NULL)
			lz_parse_u64(line, &count);
		lz_lines_close(&lines);
	}
	if (count == 0) {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "unknown");
		return;
	}
	lz_finding_set(finding, count < 16384 ? LZ_HEALTH_NOTE : LZ_HEALTH_OK, "%" PRIu64, count);
	/* At most half of them are the library's. */
	lz_finding_set_meaning(finding, "zero windows of %s reach over %s, larger ones further",
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
		lz_finding_set(finding, LZ_HEALTH_OK, "nothing is in the way");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "low: %s", low);
	lz_finding_set_meaning(finding, "large requests or the zero window's file may be refused");
	lz_finding_set_fix(finding, "raise the limit where the program is started");
}

static void probe_memory(struct lz_probe_context *context, struct lz_finding *finding)
{
	struct lz_memory_limit limit = lz_memory_limit(&lz_os_linux, "");

	(void)context;
	if (limit.bytes == UINT64_MAX) {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "unknown");
		lz_finding_set_meaning(finding, "a budget in percent is no limit");
		lz_finding_set_fix(finding, "mount /proc, or give LAZYZERO_BUDGET in bytes");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_OK, "%s, %s", lz_size_text(limit.bytes).text,
		limit.from_cgroup ? "by control group" : "all of RAM");
	lz_finding_set_meaning(finding, "the standard budget is 5%%, %s of page tables",
		lz_size_text(limit.bytes / 20).text);
}

const struct lz_probe lz_system_probes[] = {
	{"kernel", probe_kernel},
	{"page tables", probe_levels},
	{"VmPTE", probe_vmpte},
	{"memory", probe_memory},
	{"limits", probe_limits},
	{"huge pages", probe_thp},
	{"huge, shmem", probe_shmem_thp},
	{"max_map_count", probe_maps},
};

const size_t lz_system_probe_count = sizeof lz_system_probes / sizeof *lz_system_probes;
