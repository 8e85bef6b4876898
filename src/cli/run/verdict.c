/* Says what a program could gain; see verdict.h. */
#include "cli/run/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/clock.h"
#include "cli/common/display.h"
#include "cli/process/mappings.h"
#include "cli/process/proc_stat.h"
#include "os/procfs.h"

#define LARGE_BYTES (UINT64_C(16) << 20) /* smallest mapping that is looked at */
#define TABLES_MIN (UINT64_C(256) << 10) /* page tables below which there is nothing to gain */
#define FREE_NS UINT64_C(50000000)       /* processor time that the first looks may take at once */
#define PROCESSOR_PERCENT 1u
#define READ_PERCENT 40u /* share of memory that was only read from which on a window is worth it */

static bool is_large(const struct lz_inspected_mapping *mapping)
{
	bool anonymous =
		mapping->inode == 0 && mapping->path[0] != '/' && strcmp(mapping->path, "[stack]") != 0;

	return mapping->sums.size >= LARGE_BYTES && mapping->rights[3] == 'p' && anonymous;
}

static bool is_window(const struct lz_inspected_mapping *mapping)
{
	return mapping->rights[3] == 'p' &&
	       strncmp(mapping->path, LZ_WINDOW_PREFIX, strlen(LZ_WINDOW_PREFIX)) == 0;
}

static void keep(struct lz_verdict *verdict, const struct lz_snapshot *snapshot)
{
	verdict->large = (struct lz_page_sums){.mappings = 0};
	verdict->on_window_size = 0;
	for (size_t i = 0; i < snapshot->count; i++) {
		const struct lz_inspected_mapping *mapping = &snapshot->mappings[i];

		if (is_large(mapping))
			lz_page_sums_add(&verdict->large, &mapping->sums);
		else if (is_window(mapping))
			verdict->on_window_size += mapping->sums.size;
	}
}

static bool may_look(struct lz_verdict *verdict)
{
	uint64_t now = lz_monotonic_ns();

	if (verdict->started_ns == 0)
		verdict->started_ns = now;
	return verdict->used_ns <= FREE_NS + (now - verdict->started_ns) / 100 * PROCESSOR_PERCENT;
}

void lz_verdict_sample(struct lz_verdict *verdict, pid_t pid)
{
	uint64_t began = lz_thread_time_ns(), tables = 0;
	struct lz_pages pages = {.calls = 0};
	const struct lz_geometry *geometry;
	struct lz_snapshot snapshot;
	char path[PATH_MAX];

	if (!may_look(verdict))
		return;
	lz_proc_path(path, "", pid, "status");
	if (lz_proc_value(&lz_os_linux, path, "VmPTE:", &tables) != 0 || tables < TABLES_MIN ||
		tables < verdict->tables + verdict->tables / 2)
		return;
	geometry = lz_geometry_probe(&lz_os_linux);
	if (geometry == NULL)
		return;
	if (lz_snapshot_take(&snapshot, geometry, &pages, pid, lz_process_start_time("", pid)) == 0) {
		verdict->tables = tables;
		keep(verdict, &snapshot);
	}
	lz_snapshot_free(&snapshot);
	verdict->used_ns += lz_thread_time_ns() - began;
}

bool lz_verdict_text(const struct lz_verdict *verdict, uint64_t tables_peak, char *text, size_t capacity)
{
	const struct lz_page_sums *large = &verdict->large;
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);
	uint64_t touched = large->zero + large->written + large->swapped, page, on_window, percent;
	/* The last look was before the peak: what is touched grew as the page tables did. */
	double growth = (double)tables_peak / (double)verdict->tables;

	if (touched == 0 || geometry == NULL)
		return false;
	page = UINT64_C(1) << geometry->page_shift;
	percent = (uint64_t)((double)large->zero * 100 / (double)touched);
	/* At worst, each written page needs a table of its own; above them one for each GiB, and one more. */
	on_window = large->written < large->tables ? large->written : large->tables;
	on_window = (uint64_t)((double)on_window * growth) / page * page + (large->size >> 30) * page + page;
	if (percent >= READ_PERCENT && on_window < tables_peak / 2)
		snprintf(text, capacity,
			"%" PRIu64
			"%% of what was touched of %s was only read: on a window (--backing=window) at "
			"most %s of page tables would do instead of %s, with some %.0f page faults fewer",
			percent, lz_size_text(large->size).text, lz_size_text(on_window).text,
			lz_size_text(tables_peak).text,
			(double)(large->zero - large->zero / 512) / (double)page * growth);
	else
		snprintf(text, capacity,
			"nothing to gain from a window: of what was touched of %s, %" PRIu64
			"%% was written, and its page tables took %s",
			lz_size_text(large->size).text, 100 - percent, lz_size_text(tables_peak).text);
	return true;
}
