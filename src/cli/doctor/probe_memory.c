/* Probes of plain memory: the zero page, overcommit, PAGEMAP_SCAN and the release of page tables. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/doctor/probes.h"
#include "os/mman.h"
#include "os/os.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define STATUS "/proc/thread-self/status"
#define TRIED_BYTES (UINT64_C(1) << 40) /* of the mapping that tests overcommit */

/* Bytes that map the zero page, and bytes that have pages of their own. */
struct zero_pages {
	uint64_t zero, own;
};

static void count_zero(void *context, const struct lz_page_run *run)
{
	struct zero_pages *pages = context;

	*(run->zero ? &pages->zero : &pages->own) += run->end - run->start;
}

/* Reads untouched memory and checks by PAGEMAP_SCAN, or else by RssAnon, whether the zero page is mapped. */
static void probe_zero_page(struct lz_probe_context *context, struct lz_finding *finding)
{
	size_t page = (size_t)1 << context->geometry->page_shift;
	size_t length = 256 * page;
	struct zero_pages pages = {0, 0};
	uint64_t before = 0, after = 0;
	volatile const char *at =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "cannot map memory: %s", strerror(errno));
		return;
	}
	madvise((void *)at, length, MADV_NOHUGEPAGE);
	lz_proc_value(&lz_os_linux, STATUS, "RssAnon:", &before);
	for (size_t i = 0; i < length; i += page)
		(void)at[i];
	lz_proc_value(&lz_os_linux, STATUS, "RssAnon:", &after);
	if (lz_pagemap_walk(&lz_os_linux, (uintptr_t)at, (uintptr_t)at + length, count_zero, &pages) != 0)
		pages = (struct zero_pages){length - lz_min_u64(length, lz_sub_clamped(after, before)), 0};
	munmap((void *)at, length);
	if (pages.zero > length / 2) {
		lz_finding_set(finding, LZ_HEALTH_OK, "reads of untouched memory map it");
		lz_finding_set_meaning(
			finding, "reading untouched memory uses page tables but no other memory");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "not used: reading untouched memory allocates pages");
	lz_finding_set_meaning(
		finding, "LAZYZERO_BACKING=zeropage saves no memory on reads; a zero window does");
	lz_finding_set_fix(
		finding, "the kernel was built or booted without the zero page; see /proc/cmdline");
}

static void probe_pagemap_scan(struct lz_probe_context *context, struct lz_finding *finding)
{
	struct zero_pages pages = {0, 0};
	uintptr_t page = (uintptr_t)1 << context->geometry->page_shift;
	uintptr_t here = lz_round_down((uintptr_t)finding, page);
	int error = lz_pagemap_walk(&lz_os_linux, here, here + page, count_zero, &pages);

	if (error == 0 && pages.own == page) {
		lz_finding_set(finding, LZ_HEALTH_OK, "works");
		lz_finding_set_meaning(
			finding, "written pages can be distinguished from pages that were only read");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE,
		error == -ENOTTY ? "not supported (before Linux 6.7)" : "fails: %s", strerror(-error));
	lz_finding_set_meaning(finding, "all of a freed region is cleared before it is reused");
	lz_finding_set_fix(finding, "use a newer kernel");
}

/* Whether MADV_DONTNEED frees page tables that have become empty (CONFIG_PT_RECLAIM). */
static void probe_pt_reclaim(struct lz_probe_context *context, struct lz_finding *finding)
{
	size_t page = (size_t)1 << context->geometry->page_shift;
	size_t step = context->window_bytes;
	size_t length = 9 * step;
	uint64_t full = 0, emptied = 0;
	char *at = mmap(
		NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *first;

	if (at == MAP_FAILED) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "cannot map memory: %s", strerror(errno));
		return;
	}
	madvise(at, length, MADV_NOHUGEPAGE);
	first = (char *)(((uintptr_t)at + step - 1) & ~(step - 1));
	for (unsigned i = 0; i < 8; i++)
		*(volatile char *)(first + i * step) = 1;
	lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &full);
	madvise(first, 8 * step, MADV_DONTNEED);
	lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &emptied);
	munmap(at, length);
	if (full - emptied >= 8 * page && full > emptied) {
		lz_finding_set(finding, LZ_HEALTH_OK, "MADV_DONTNEED frees empty page tables");
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
	{"PAGEMAP_SCAN", probe_pagemap_scan},
	{"PT_RECLAIM", probe_pt_reclaim},
};

const size_t lz_memory_probe_count = sizeof lz_memory_probes / sizeof *lz_memory_probes;
