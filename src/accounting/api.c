/* Costs and counters for the public API; see api.h. */
#include "accounting/api.h"

#include <errno.h>

#include "accounting/cost.h"
#include "base/checked.h"

uint64_t lz_accounting_range_cost(struct lz_books *books, const void *address, size_t size)
{
	struct lz_table_demand demand = {.bytes = size, .page_shift = books->page_shift};
	uint64_t cost = 0, end;

	if (size == 0)
		return 0;
	if (address != NULL) {
		if (__builtin_add_overflow((uintptr_t)address, size, &end) ||
			!lz_round_up(end, books->page, &end))
			return LZ_UNKNOWN;
		demand.start = lz_round_down((uintptr_t)address, books->page);
		demand.end = end;
	}
	if (!lz_books_lock(books))
		return LZ_UNKNOWN;
	lz_books_reconcile(books);
	cost = lz_cost_of(books, &demand);
	lz_books_unlock(books);
	return cost;
}

void lz_accounting_statistics(struct lz_books *books, struct lz_statistics *statistics)
{
	struct lz_stats *stats = &books->stats;

	if (lz_books_lock(books)) {
		lz_books_reconcile(books);
		lz_books_read_vmpte(books, 0);
		lz_books_unlock(books);
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

int lz_accounting_set_budget(struct lz_books *books, uint64_t bytes)
{
	if (!lz_books_lock(books))
		return -EAGAIN;
	lz_books_resolve_budget(books);
	lz_budget_size_set(&books->budget, bytes);
	lz_books_publish_budget(books);
	lz_books_unlock(books);
	return 0;
}
