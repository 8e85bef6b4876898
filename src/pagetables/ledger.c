/* The ledger of accessible ranges; see ledger.h. */
#include "pagetables/ledger.h"

#include <errno.h>

#include "base/checked.h"

static int compare(const struct lz_range *a, const struct lz_range *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

/* RB_GENERATE_STATIC uses __unused, which libbsd defines only in its overlay mode. */
RB_GENERATE_INTERNAL(lz_range_tree, lz_range, node, compare, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(lz_committed_tree, lz_range, committed_node, compare, __attribute__((unused)) static)

void lz_ledger_init(struct lz_ledger *ledger, const struct lz_geometry *geometry, const struct lz_os *os)
{
	*ledger = (struct lz_ledger){.geometry = geometry};
	RB_INIT(&ledger->ranges);
	RB_INIT(&ledger->committed_ranges);
	for (unsigned level = 0; level < geometry->levels; level++)
		ledger->span_shift[level] = lz_table_span_shift(geometry, level);
	lz_pool_init(&ledger->pool, os, sizeof(struct lz_range), offsetof(struct lz_range, start));
}

void lz_ledger_reset(struct lz_ledger *ledger)
{
	RB_INIT(&ledger->ranges);
	RB_INIT(&ledger->committed_ranges);
	ledger->has_committed_ranges = false;
	lz_pool_reset(&ledger->pool);
	ledger->tables = (struct lz_tables){{0}};
	ledger->committed = 0;
	ledger->bytes = 0;
	ledger->inexact = false;
}

struct lz_range *lz_ledger_next(struct lz_range *range)
{
	return RB_NEXT(lz_range_tree, NULL, range);
}

static struct lz_range *previous(struct lz_range *range)
{
	return RB_PREV(lz_range_tree, NULL, range);
}

static bool is_committed(const struct lz_range *range)
{
	return range->traits.page_shift != LZ_PAGE_SHIFT_UNCOMMITTED;
}

/*
 * The nearest committed range at or below `range`, and at or above it. A tree of its own finds it: a program
 * may have 30,000 uncommitted ranges next to each other (stacks with guard pages, arrays that grow).
 */
static struct lz_range *committed_below(struct lz_ledger *ledger, struct lz_range *range)
{
	struct lz_range *above;

	if (range == NULL || is_committed(range))
		return range;
	above = RB_NFIND(lz_committed_tree, &ledger->committed_ranges, range);
	return above != NULL ? RB_PREV(lz_committed_tree, NULL, above)
			     : RB_MAX(lz_committed_tree, &ledger->committed_ranges);
}

static struct lz_range *committed_above(struct lz_ledger *ledger, struct lz_range *range)
{
	if (range == NULL || is_committed(range))
		return range;
	return RB_NFIND(lz_committed_tree, &ledger->committed_ranges, range);
}

/* Many programs never have an uncommitted range, and the second tree takes 0.3 us for each mmap and munmap.
 */
static void insert_range(struct lz_ledger *ledger, struct lz_range *range)
{
	struct lz_range *other;

	RB_INSERT(lz_range_tree, &ledger->ranges, range);
	if (ledger->has_committed_ranges && is_committed(range)) {
		RB_INSERT(lz_committed_tree, &ledger->committed_ranges, range);
	} else if (!ledger->has_committed_ranges && !is_committed(range)) {
		ledger->has_committed_ranges = true;
		RB_FOREACH(other, lz_range_tree, &ledger->ranges)
		if (is_committed(other))
			RB_INSERT(lz_committed_tree, &ledger->committed_ranges, other);
	}
}

static void remove_range(struct lz_ledger *ledger, struct lz_range *range)
{
	RB_REMOVE(lz_range_tree, &ledger->ranges, range);
	if (ledger->has_committed_ranges && is_committed(range))
		RB_REMOVE(lz_committed_tree, &ledger->committed_ranges, range);
	lz_pool_free(&ledger->pool, range);
}

static bool same_traits(struct lz_range_traits a, struct lz_range_traits b)
{
	return a.page_shift == b.page_shift && a.window == b.window && a.tag == b.tag;
}

struct lz_range *lz_ledger_find_at_or_above(struct lz_ledger *ledger, uintptr_t address)
{
	struct lz_range key = {.start = address};
	struct lz_range *above = RB_NFIND(lz_range_tree, &ledger->ranges, &key);
	struct lz_range *below;

	if (above != NULL && above->start == address)
		return above;
	below = above != NULL ? previous(above) : RB_MAX(lz_range_tree, &ledger->ranges);
	return below != NULL && below->end > address ? below : above;
}

/*
 * Returns the tables that [start, end) needs in addition to those of its neighbours `below` and `above`.
 * Either may be NULL; neither overlaps the range. A neighbour in huge pages that needs no table of some level
 * covers whole spans of that level, so it never shares such a table with this range. Hence considering only
 * the nearest neighbours is exact. Neighbours that are uncommitted count as if they were not there.
 */
static struct lz_tables tables_of_gap(struct lz_ledger *ledger, struct lz_range *below,
	struct lz_range *above, uintptr_t start, uintptr_t end, unsigned page_shift)
{
	struct lz_tables tables = {{0}};

	if (page_shift == LZ_PAGE_SHIFT_UNCOMMITTED)
		return tables;
	below = committed_below(ledger, below);
	above = committed_above(ledger, above);
	for (unsigned level = 0; level < ledger->geometry->levels; level++) {
		unsigned shift = ledger->span_shift[level];
		uint64_t first, last, shared;

		if (page_shift >= shift)
			continue;
		if (shift >= 64) {
			tables.count[level] = below == NULL && above == NULL;
			continue;
		}
		first = start >> shift;
		last = (end - 1) >> shift;
		shared = below != NULL && (below->end - 1) >> shift == first;
		if (above != NULL && above->start >> shift == last && (shared == 0 || first != last))
			shared++;
		tables.count[level] = last - first + 1 - shared;
		/*
		 * Ranges that share a table share all tables above it. For a small mapping next to another,
		 * the loop ends here.
		 */
		if (tables.count[level] == 0)
			break;
	}
	return tables;
}

static void add_tables(struct lz_tables *sum, const struct lz_tables *tables)
{
	for (unsigned level = 0; level < LZ_LEVELS_MAX; level++)
		sum->count[level] += tables->count[level];
}

/* Adds tables to the sums, or subtracts them if sign is -1. */
static void add_to_totals(struct lz_ledger *ledger, const struct lz_tables *tables, int sign)
{
	for (unsigned level = 0; level < ledger->geometry->levels; level++) {
		uint64_t count = sign < 0 ? -tables->count[level] : tables->count[level];

		if (count == 0)
			continue;
		ledger->tables.count[level] += count;
		if (ledger->geometry->level[level].counted)
			ledger->committed += count * lz_table_bytes(ledger->geometry, level);
	}
}

static void remove_whole_range(struct lz_ledger *ledger, struct lz_range *range)
{
	struct lz_tables tables = tables_of_gap(ledger, previous(range), lz_ledger_next(range), range->start,
		range->end, range->traits.page_shift);

	add_to_totals(ledger, &tables, -1);
	ledger->bytes -= range->end - range->start;
	remove_range(ledger, range);
}

/* Adds [start, end), which lies between the neighbours `below` and `above` and overlaps neither. */
static int add_in_gap(struct lz_ledger *ledger, struct lz_range *below, struct lz_range *above,
	uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	struct lz_tables tables = tables_of_gap(ledger, below, above, start, end, traits.page_shift);
	bool joins_below = below != NULL && below->end == start && same_traits(below->traits, traits);
	bool joins_above = above != NULL && above->start == end && same_traits(above->traits, traits);

	if (joins_below && joins_above) {
		below->end = above->end;
		remove_range(ledger, above);
	} else if (joins_below) {
		below->end = end;
	} else if (joins_above) {
		above->start = start; /* does not change its position in the tree */
	} else {
		struct lz_range *range = lz_pool_alloc(&ledger->pool);

		if (range == NULL) {
			ledger->inexact = true;
			return -ENOMEM;
		}
		range->start = start;
		range->end = end;
		range->traits = traits;
		insert_range(ledger, range);
	}
	add_to_totals(ledger, &tables, 1);
	ledger->bytes += end - start;
	return 0;
}

/* Returns the last range that ends at or below an address, given the first one that ends above it. */
static struct lz_range *range_below(struct lz_ledger *ledger, struct lz_range *above)
{
	return above != NULL ? previous(above) : RB_MAX(lz_range_tree, &ledger->ranges);
}

static int add_missing(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	while (start < end) {
		struct lz_range *above = lz_ledger_find_at_or_above(ledger, start);
		uintptr_t gap_end;

		if (above != NULL && above->start <= start) {
			start = above->end;
			continue;
		}
		gap_end = above != NULL && above->start < end ? above->start : end;
		int error = add_in_gap(ledger, range_below(ledger, above), above, start, gap_end, traits);
		if (error)
			return error;
		start = gap_end;
	}
	return 0;
}

int lz_ledger_add_missing(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	uint64_t huge = UINT64_C(1) << traits.page_shift;
	struct lz_range_traits edge = traits;
	uint64_t first;
	uintptr_t last = lz_round_down(end, huge);
	int error;

	if (!traits.window)
		return add_missing(ledger, start, end, traits);
	edge.page_shift = ledger->geometry->page_shift;
	if (!lz_round_up(start, huge, &first) || first >= last)
		return add_missing(ledger, start, end, edge);
	error = add_missing(ledger, start, first, edge);
	if (error == 0)
		error = add_missing(ledger, first, last, traits);
	return error ? error : add_missing(ledger, last, end, edge);
}

int lz_ledger_remove(struct lz_ledger *ledger, uintptr_t start, uintptr_t end)
{
	struct lz_range *range = start < end ? lz_ledger_find_at_or_above(ledger, start) : NULL;

	/* An empty range inside another would split it in two, which would be merged again, forever. */
	while (start < end && range != NULL && range->start < end) {
		uintptr_t left_start = range->start, right_end = range->end;
		struct lz_range_traits traits = range->traits;
		int error = 0;

		remove_whole_range(ledger, range);
		if (left_start < start)
			error = lz_ledger_add_missing(ledger, left_start, start, traits);
		if (error == 0 && right_end > end)
			error = lz_ledger_add_missing(ledger, end, right_end, traits);
		if (error)
			return error;
		range = lz_ledger_find_at_or_above(ledger, start);
	}
	return 0;
}

int lz_ledger_set(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	int error = lz_ledger_remove(ledger, start, end);

	return error ? error : lz_ledger_add_missing(ledger, start, end, traits);
}

struct lz_tables lz_ledger_additional_tables(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, unsigned page_shift)
{
	struct lz_tables sum = {{0}};
	struct lz_range *above = lz_ledger_find_at_or_above(ledger, start);
	struct lz_range *below = range_below(ledger, above);

	/* Two gaps of one call share no table that the range between them does not need as well. */
	while (start < end) {
		uintptr_t gap_end = above != NULL && above->start < end ? above->start : end;

		if (start < gap_end) {
			struct lz_tables gap =
				tables_of_gap(ledger, below, above, start, gap_end, page_shift);

			add_tables(&sum, &gap);
		}
		if (above == NULL)
			break;
		start = above->end;
		below = above;
		above = lz_ledger_next(above);
	}
	return sum;
}
