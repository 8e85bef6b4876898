/* Findings that are facts of os/facts.h alone: each feature, and what its lack means for the library. */
#include <string.h>

#include "cli/doctor/probes.h"
#include "os/facts.h"
#include "os/os.h"

static const struct row {
	enum lz_fact fact;
	const char *name;    /* at most 15 characters */
	const char *works;   /* the meaning where the kernel has it */
	const char *lacking; /* and where it does not */
} rows[] = {
	{LZ_FACT_PAGEMAP_SCAN, "PAGEMAP_SCAN",
		"written pages can be distinguished from pages that were only read",
		"all of a freed region is cleared before it is reused"},
	{LZ_FACT_PROCMAP_QUERY, "PROCMAP_QUERY", "a freed region is checked without reading /proc/self/maps",
		"a freed region is checked by reading /proc/self/maps before it is reused"},
	{LZ_FACT_WIPE_ON_FORK, "WIPEONFORK", "a forked child is recognized without a system call",
		"no file of /proc is kept open, and each section under the lock asks for the process id"},
	{LZ_FACT_POPULATE, "POPULATE_READ", "LAZYZERO_POPULATE=read can fill page tables",
		"LAZYZERO_POPULATE=read has no effect, and there will be no zero window"},
	{LZ_FACT_GUARD_REGIONS, "GUARD_INSTALL", "guard pages of the program are kept where memory is copied",
		"programs cannot install guard pages by madvise either"},
	{LZ_FACT_MREMAP_MANY, "mremap, many", "a region on a zero window moves in one call",
		"moving a region on a zero window takes one call for each of its mappings"},
	{LZ_FACT_HUGE_ZERO_PAGE, "huge zero page",
		"reading memory under MADV_HUGEPAGE allocates no huge pages",
		"reading memory under MADV_HUGEPAGE may allocate pages"},
};

const size_t lz_fact_finding_count = sizeof rows / sizeof *rows;

const char *lz_fact_finding(size_t i, struct lz_finding *finding)
{
	const struct row *row = &rows[i];
	const struct lz_fact_info *info = &lz_facts[row->fact];
	enum lz_fact_state state = lz_fact(&lz_os_linux, row->fact);

	lz_finding_set_meaning(finding, "%s", state == LZ_FACT_YES ? row->works : row->lacking);
	if (state == LZ_FACT_YES) {
		lz_finding_set(finding, LZ_HEALTH_OK, "works");
	} else if (state == LZ_FACT_UNSUPPORTED) {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "not supported (since Linux %s)", info->since);
		lz_finding_set_fix(finding, "use a newer kernel");
	} else {
		lz_finding_set(finding, LZ_HEALTH_NOTE, "fails: %s", strerror(-lz_fact_error(row->fact)));
		lz_finding_set_fix(finding, "allow it in the seccomp filter or sandbox");
	}
	return row->name;
}
