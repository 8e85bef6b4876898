/* Questions about what there is; see info.h. */
#include "core/info.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "core/inside.h"

uint64_t lz_core_range_cost(struct lz_core *core, const void *address, size_t size)
{
	struct lz_need need = {.bytes = size, .page_shift = core->page_shift};
	uint64_t cost = 0, end;

	if (size == 0)
		return 0;
	if (address != NULL) {
		if (__builtin_add_overflow((uintptr_t)address, size, &end) ||
			!lz_round_up(end, core->page, &end))
			return LZ_UNKNOWN;
		need.start = lz_round_down((uintptr_t)address, core->page);
		need.end = end;
	}
	if (!lz_core_enter(core))
		return LZ_UNKNOWN;
	lz_core_reconcile(core);
	cost = lz_core_cost(core, &need);
	lz_core_leave(core);
	return cost;
}

void lz_core_statistics(struct lz_core *core, struct lz_statistics *statistics)
{
	struct lz_stats *stats = &core->stats;

	if (lz_core_enter(core)) {
		lz_core_reconcile(core);
		lz_core_read_actual(core, 0);
		lz_core_leave(core);
	}
	*statistics = (struct lz_statistics){
		.budget = lz_stats_get(stats, budget),
		.committed = lz_stats_get(stats, committed),
		.committed_peak = lz_stats_get(stats, committed_peak),
		.actual = lz_stats_get(stats, actual),
		.actual_peak = lz_stats_get(stats, actual_peak),
		.regions = lz_stats_get(stats, regions),
		.region_bytes = lz_stats_get(stats, region_bytes),
		.regions_total = lz_stats_get(stats, regions_total),
		.region_bytes_total = lz_stats_get(stats, region_bytes_total),
		.mappings_total = lz_stats_get(stats, mappings_total),
		.mapping_bytes_total = lz_stats_get(stats, mapping_bytes_total),
		.over_budget = lz_stats_get(stats, over_budget),
		.refused = lz_stats_get(stats, refused),
		.untracked = lz_stats_get(stats, untracked),
		.windowed = lz_stats_get(stats, windowed),
		.window_size = lz_stats_get(stats, window_size),
		.window_mappings = lz_stats_get(stats, window_mappings),
	};
}

int lz_core_set_budget(struct lz_core *core, uint64_t bytes)
{
	if (!lz_core_enter(core))
		return -EAGAIN;
	lz_core_resolve_budget(core);
	lz_budget_set(&core->budget, bytes);
	lz_core_publish_budget(core);
	lz_core_leave(core);
	return 0;
}

/* The region that contains p: its first address and length. */
static int region_around(
	struct lz_core *core, const void *p, uintptr_t *base, size_t *length, bool *on_window)
{
	struct lz_range *range;
	struct lz_served *region = NULL;

	if (!lz_core_enter(core))
		return -EAGAIN;
	range = lz_ledger_find(&core->ledger, (uintptr_t)p);
	if (range != NULL && range->start <= (uintptr_t)p && range->traits.tag != 0)
		region = lz_regions_find(&core->regions, range->traits.tag);
	if (region != NULL) {
		*base = range->traits.tag;
		*length = atomic_load_explicit(&region->length, memory_order_relaxed);
		*on_window = region->on_window;
	}
	lz_core_leave(core);
	return region != NULL ? 0 : -EINVAL;
}

int lz_core_region_info(struct lz_core *core, const void *p, struct lz_region *info)
{
	struct lz_census census;
	uintptr_t base;
	size_t length;
	bool on_window;
	int error = region_around(core, p, &base, &length, &on_window);

	if (error)
		return error;
	*info = (struct lz_region){
		.base = (void *)base,
		.size = length,
		.backing = on_window ? LZ_WINDOW : LZ_ZEROPAGE,
		.resident_bytes = LZ_UNKNOWN,
		.zero_mapped_bytes = LZ_UNKNOWN,
		.page_table_bytes = LZ_UNKNOWN,
		.window_bytes = LZ_UNKNOWN,
	};
	if (lz_census_take(&census, core->os, core->geometry, base, base + length) == 0) {
		info->resident_bytes = census.written;
		info->zero_mapped_bytes = census.zero_mapped;
		info->window_bytes = census.window;
		info->page_table_bytes = census.table_bytes;
	}
	return 0;
}

int lz_core_zero(struct lz_core *core, void *p, size_t size)
{
	uintptr_t start = (uintptr_t)p, base, end, first, last;
	size_t length;
	bool on_window;
	int error = region_around(core, p, &base, &length, &on_window);

	if (error)
		return error;
	if (__builtin_add_overflow(start, size, &end) || end > base + length)
		return -EINVAL;
	first = lz_round_down(start + core->page - 1, core->page);
	last = lz_round_down(end, core->page);
	if (first >= last) {
		memset(p, 0, size);
		return 0;
	}
	memset(p, 0, first - start);
	memset((void *)last, 0, end - last);
	/* Locked memory keeps its pages (madvise(2): EINVAL); clear them instead. */
	if (core->os->madvise((void *)first, last - first, MADV_DONTNEED) != 0)
		memset((void *)first, 0, last - first);
	return 0;
}
