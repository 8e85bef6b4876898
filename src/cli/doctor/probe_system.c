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

static void examine_kernel(struct lz_patient *patient, struct lz_finding *finding)
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

	(void)patient;
	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	lz_find(finding, LZ_HEALTH_OK, "Linux %.60s on %.20s", name.release, name.machine);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (major < steps[i].major || (major == steps[i].major && minor < steps[i].minor)) {
			finding->health = i == 0 ? LZ_HEALTH_BAD : LZ_HEALTH_NOTE;
			lz_find_meaning(finding, "%s", steps[i].text);
			lz_find_mend(finding, "a newer kernel");
			return;
		}
}

static void examine_levels(struct lz_patient *patient, struct lz_finding *finding)
{
	const struct lz_geometry *geometry = patient->geometry;
	struct lz_tables tables = lz_tables_fewest(geometry, UINT64_C(512) << 30, geometry->page_shift);

	lz_find(finding, LZ_HEALTH_OK, "%s, pages of %s", geometry->name,
		lz_shown_size(UINT64_C(1) << geometry->page_shift).text);
	lz_find_meaning(finding, "to touch 512 GiB takes %s of page tables",
		lz_shown_size(lz_tables_counted_bytes(geometry, &tables)).text);
}

static void examine_vmpte(struct lz_patient *patient, struct lz_finding *finding)
{
	uint64_t bytes;
	int error = lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &bytes);

	(void)patient;
	if (error == 0) {
		lz_find(finding, LZ_HEALTH_OK, "/proc tells %s of this process", lz_shown_size(bytes).text);
		return;
	}
	lz_find(finding, LZ_HEALTH_BAD, "unknown (%s)", strerror(-error));
	lz_find_meaning(finding, "without /proc the budget only sees what passes through the library");
	lz_find_mend(finding, "mount /proc");
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

static void examine_thp(struct lz_patient *patient, struct lz_finding *finding)
{
	char word[24];

	(void)patient;
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1) {
		lz_find(finding, LZ_HEALTH_BAD, "disabled for this process and its children (prctl)");
		lz_find_meaning(finding, "there will be no zero window");
		lz_find_mend(finding, "start the program from a shell or service without PR_SET_THP_DISABLE");
	} else if (!chosen(THP_SETTINGS "enabled", word)) {
		lz_find(finding, LZ_HEALTH_BAD, "this kernel has no transparent huge pages");
		lz_find_meaning(finding, "there will be no zero window");
		lz_find_mend(finding, "a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
	} else {
		lz_find(finding, LZ_HEALTH_OK, "%s", word);
		if (strcmp(word, "always") == 0)
			lz_find_meaning(finding, "a write into plain sparse memory takes 2 MiB; LAZYZERO_THP "
						 "decides for our regions");
	}
}

static void examine_shmem_thp(struct lz_patient *patient, struct lz_finding *finding)
{
	char word[24];

	(void)patient;
	if (!chosen(THP_SETTINGS "shmem_enabled", word)) {
		lz_find(finding, LZ_HEALTH_NOTE, "unknown: %sshmem_enabled cannot be read", THP_SETTINGS);
	} else if (strcmp(word, "deny") == 0) {
		lz_find(finding, LZ_HEALTH_BAD, "deny");
		lz_find_meaning(finding, "there will be no zero window");
		lz_find_mend(finding, "echo never > %sshmem_enabled", THP_SETTINGS);
	} else {
		lz_find(finding, LZ_HEALTH_OK, "%s", word);
		lz_find_meaning(finding, "the zero window needs anything but deny");
	}
}

static void examine_maps(struct lz_patient *patient, struct lz_finding *finding)
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
		lz_find(finding, LZ_HEALTH_NOTE, "unknown");
		return;
	}
	lz_find(finding, count < 16384 ? LZ_HEALTH_NOTE : LZ_HEALTH_OK, "%" PRIu64, count);
	/* At most half of them are the library's. */
	lz_find_meaning(finding, "zero windows of %s reach over %s, larger ones further",
		lz_shown_size(patient->window_bytes).text,
		lz_shown_size(count / 2 * patient->window_bytes).text);
	if (count < 16384)
		lz_find_mend(finding, "sysctl vm.max_map_count=65530");
}

static void examine_limits(struct lz_patient *patient, struct lz_finding *finding)
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

	(void)patient;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct rlimit limit;
		size_t length = strlen(low);

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &limit) == 0 &&
			limit.rlim_cur < limits[i].enough)
			snprintf(low + length, sizeof low - length, "%s%s", length > 0 ? ", " : "",
				limits[i].text);
	}
	if (low[0] == '\0') {
		lz_find(finding, LZ_HEALTH_OK, "nothing is in the way");
		return;
	}
	lz_find(finding, LZ_HEALTH_NOTE, "low: %s", low);
	lz_find_meaning(finding, "large requests or the zero window's file may be refused");
	lz_find_mend(finding, "raise the limit where the program is started");
}

static void examine_memory(struct lz_patient *patient, struct lz_finding *finding)
{
	struct lz_memory_limit limit = lz_memory_limit(&lz_os_linux, "");

	(void)patient;
	if (limit.bytes == UINT64_MAX) {
		lz_find(finding, LZ_HEALTH_NOTE, "unknown");
		lz_find_meaning(finding, "a budget in percent is no limit");
		lz_find_mend(finding, "mount /proc, or give LAZYZERO_BUDGET in bytes");
		return;
	}
	lz_find(finding, LZ_HEALTH_OK, "%s, %s", lz_shown_size(limit.bytes).text,
		limit.from_cgroup ? "by control group" : "all of RAM");
	lz_find_meaning(finding, "the standard budget is 5%%, %s of page tables",
		lz_shown_size(limit.bytes / 20).text);
}

const struct lz_probe lz_system_probes[] = {
	{"kernel", examine_kernel},
	{"page tables", examine_levels},
	{"VmPTE", examine_vmpte},
	{"memory", examine_memory},
	{"limits", examine_limits},
	{"huge pages", examine_thp},
	{"huge, shmem", examine_shmem_thp},
	{"max_map_count", examine_maps},
};

const size_t lz_system_probe_count = sizeof lz_system_probes / sizeof *lz_system_probes;
