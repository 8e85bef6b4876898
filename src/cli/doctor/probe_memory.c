/* Probes of plain memory: the zero page, overcommit and the release of page tables. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/doctor/probes.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/os.h"
#include "os/procfs.h"

#define TRIED_BYTES (UINT64_C(1) << 40) /* of the mapping that tests overcommit */

static void probe_zero_page(struct lz_probe_context *context, struct lz_finding *finding)
{
	enum lz_fact_state state = lz_fact(&lz_os_linux, LZ_FACT_ZERO_PAGE);

	(void)context;
	if (state == LZ_FACT_YES) {
		lz_finding_set(finding, LZ_HEALTH_OK, "reads of untouched memory map it");
		lz_finding_set_meaning(
			finding, "reading untouched memory uses page tables but no other memory");
		return;
	}
	if (state == LZ_FACT_FAILED) {
		lz_finding_set(
			finding, LZ_HEALTH_NOTE, "unknown: %s", strerror(-lz_fact_error(LZ_FACT_ZERO_PAGE)));
		lz_finding_set_fix(finding, "mount /proc");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "not used: reading untouched memory allocates pages");
	lz_finding_set_meaning(
		finding, "LAZYZERO_BACKING=zeropage saves no memory on reads; a zero window does");
	lz_finding_set_fix(
		finding, "the kernel was built or booted without the zero page; see /proc/cmdline");
}

/* Whether MADV_DONTNEED frees page tables that have become empty (CONFIG_PT_RECLAIM). */
static void probe_pt_reclaim(struct lz_probe_context *context, struct lz_finding *finding)
{
	enum lz_fact_state state = lz_fact(&lz_os_linux, LZ_FACT_PT_RECLAIM);

	(void)context;
	if (state == LZ_FACT_YES) {
		lz_finding_set(finding, LZ_HEALTH_OK, "MADV_DONTNEED frees empty page tables");
		return;
	}
	if (state == LZ_FACT_FAILED) {
		lz_finding_set(
			finding, LZ_HEALTH_NOTE, "unknown: %s", strerror(-lz_fact_error(LZ_FACT_PT_RECLAIM)));
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "MADV_DONTNEED keeps empty page tables");
	lz_finding_set_meaning(finding, "they are freed when the memory is unmapped");
	lz_finding_set_fix(finding, "use Linux 6.14 or newer with CONFIG_PT_RECLAIM");
}

static void probe_overcommit(struct lz_probe_context *context, struct lz_finding *finding)
{
	char text[24] = "unknown mode";
	uint64_t mode = UINT64_MAX;
	void *at;

	(void)context;
	if (lz_proc_number(&lz_os_linux, "/proc/sys/vm/overcommit_memory", &mode) == 0)
		snprintf(text, sizeof text, "mode %" PRIu64, mode);
	at = mmap(NULL, TRIED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		0);
	if (at != MAP_FAILED) {
		munmap(at, TRIED_BYTES);
		lz_finding_set(finding, LZ_HEALTH_OK, "%s", text);
		lz_finding_set_meaning(finding, "1 TiB of memory can be mapped");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "%s", text);
	lz_finding_set_meaning(finding, "1 TiB of memory cannot be mapped: %s", strerror(errno));
	lz_finding_set_fix(finding, mode == 2
					    ? "sysctl vm.overcommit_memory=0, or a larger vm.overcommit_ratio"
					    : "raise RLIMIT_AS (ulimit -v)");
}

const struct lz_probe lz_memory_probes[] = {
	{"zero page", probe_zero_page},
	{"overcommit", probe_overcommit},
	{"PT_RECLAIM", probe_pt_reclaim},
};

const size_t lz_memory_probe_count = sizeof lz_memory_probes / sizeof *lz_memory_probes;
