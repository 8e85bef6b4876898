/* Inspects regions of this process for a report; see report_internal.h. */
#include <stdatomic.h>

#include "base/checked.h"
#include "sites/report_internal.h"

struct lz_inspection *lz_report_inspect(struct lz_reporter *reporter, uintptr_t start, uintptr_t end,
	enum lz_region_kind kind, unsigned pages)
{
	const struct lz_inspected_process self = {
		.os = reporter->os, .geometry = reporter->books->geometry, .pagemap = -1};

	return lz_inspect_region(&self, start, end, kind, pages,
		atomic_fetch_add_explicit(&reporter->report->inspections, 1, memory_order_relaxed));
}

unsigned lz_report_freed_sample_pages(size_t bytes)
{
	return (unsigned)lz_min_u64(lz_max_u64(bytes >> 20, 4), 64);
}
