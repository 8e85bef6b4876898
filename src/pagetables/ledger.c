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
	ledger->when_touched = 0;
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

/* Neighbours that are not there. No user address is in a table with them. */
#define NONE_BELOW ((uintptr_t)0)
#define NONE_ABOVE UINTPTR_MAX

static bool is_committed(const struct lz_range *range)
{
	return !lz_page_shift_is_uncommitted(range->traits.page_shift);
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

/* The end of the nearest range from `range` down that is not uncommitted; NONE_BELOW: there is none. */
static uintptr_t end_below(struct lz_ledger *ledger, struct lz_range *range)
{
	range = committed_below(ledger, range);
	return range != NULL ? range->end : NONE_BELOW;
}

/* The start of the nearest range from `range` up that is not uncommitted; NONE_ABOVE: there is none. */
static uintptr_t start_above(struct lz_ledger *ledger, struct lz_range *range)
{
	range = committed_above(ledger, range);
	return range != NULL ? range->start : NONE_ABOVE;
}

/*
 * Adds to *sum the tables that [start, end) needs in addition to those of its neighbours, or subtracts them
 * if sign is -1. below_end: the end of the neighbour below, above_start: the start of the one above. Neither
 * overlaps the range. A neighbour in huge pages that needs no table of some level covers whole spans of that
 * level, so it never shares such a table with this range. Hence considering only the nearest neighbours is
 * exact. Neighbours that are uncommitted count as if they were not there. Returns whether the sum changed.
 */
static bool add_gap(const struct lz_ledger *ledger, uintptr_t below_end, uintptr_t above_start,
	uintptr_t start, uintptr_t end, unsigned page_shift, int sign, struct lz_tables *sum)
{
	bool any = false;

	if (lz_page_shift_is_uncommitted(page_shift))
		return false;
	for (unsigned level = 0; level < ledger->geometry->levels; level++) {
		unsigned shift = ledger->span_shift[level];
		uint64_t first, last, count;

		if (page_shift >= shift)
			continue;
		if (shift >= 64) {
			count = below_end == NONE_BELOW && above_start == NONE_ABOVE;
		} else {
			first = start >> shift;
			last = (end - 1) >> shift;
			count = last - first + 1;
			if ((below_end - 1) >> shift == first)
				count--;
			if (above_start >> shift == last && count != 0)
				count--;
		}
		/*
		 * Ranges that share a table share all tables above it. For a small mapping next to another,
		 * the loop ends here.
		 */
		if (count == 0)
			break;
		sum->count[level] += sign < 0 ? -count : count;
		any = true;
	}
	return any;
}

/* Adds a range between these neighbours to the sums, or subtracts it if sign is -1. */
static void count_range(struct lz_ledger *ledger, struct lz_range *below, struct lz_range *above,
	uintptr_t start, uintptr_t end, const struct lz_range_traits *traits, int sign)
{
	uint64_t bytes = sign < 0 ? start - end : end - start;

	if (add_gap(ledger, end_below(ledger, below), start_above(ledger, above), start, end,
		    traits->page_shift, sign, &ledger->tables))
		ledger->committed = lz_tables_vmpte_bytes(ledger->geometry, &ledger->tables);
	ledger->bytes += bytes;
	if (lz_range_counts_when_touched(traits))
		ledger->when_touched += bytes;
}

static void remove_whole_range(struct lz_ledger *ledger, struct lz_range *range)
{
	count_range(
		ledger, previous(range), lz_ledger_next(range), range->start, range->end, &range->traits, -1);
	remove_range(ledger, range);
}

/* Adds [start, end), which lies between the neighbours `below` and `above` and overlaps neither. */
static int add_in_gap(struct lz_ledger *ledger, struct lz_range *below, struct lz_range *above,
	uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	bool joins_below = below != NULL && below->end == start && same_traits(below->traits, traits);
	bool joins_above = above != NULL && above->start == end && same_traits(above->traits, traits);
	struct lz_range *range = NULL;

	if (!joins_below && !joins_above && (range = lz_pool_alloc(&ledger->pool)) == NULL) {
		ledger->inexact = true;
		return -ENOMEM;
	}
	count_range(ledger, below, above, start, end, &traits, 1);
	if (joins_below && joins_above) {
		below->end = above->end;
		remove_range(ledger, above);
	} else if (joins_below) {
		below->end = end;
	} else if (joins_above) {
		above->start = start; /* does not change its position in the tree */
	} else {
		range->start = start;
		range->end = end;
		range->traits = traits;
		insert_range(ledger, range);
	}
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

/* Which ranges to remove: those beyond the end of a file, all others, or both. */
enum removal { OTHERS, BEYOND_FILE, ALL };

static int remove_ranges(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, enum removal which)
{
	struct lz_range *range = start < end ? lz_ledger_find_at_or_above(ledger, start) : NULL;

	/* An empty range inside another would split it in two, which would be merged again, forever. */
	while (start < end && range != NULL && range->start < end) {
		uintptr_t left_start = range->start, right_end = range->end;
		struct lz_range_traits traits = range->traits;
		int error = 0;

		if (which != ALL &&
			(traits.page_shift == LZ_PAGE_SHIFT_BEYOND_FILE) != (which == BEYOND_FILE)) {
			start = right_end;
			range = lz_ledger_next(range);
			continue;
		}
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

int lz_ledger_remove(struct lz_ledger *ledger, uintptr_t start, uintptr_t end)
{
	return remove_ranges(ledger, start, end, ALL);
}

int lz_ledger_remove_where(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, bool beyond_file)
{
	return remove_ranges(ledger, start, end, beyond_file ? BEYOND_FILE : OTHERS);
}

int lz_ledger_set(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	int error = lz_ledger_remove(ledger, start, end);

	return error ? error : lz_ledger_add_missing(ledger, start, end, traits);
}

/* The range, or the first one after it that is not below `end` in pages of more than 2^page_shift bytes. */
static struct lz_range *skip_larger_pages(struct lz_range *range, uintptr_t end, unsigned page_shift)
{
	while (range != NULL && range->start < end && range->traits.page_shift > page_shift)
		range = lz_ledger_next(range);
	return range;
}

struct lz_tables lz_ledger_additional_tables(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, unsigned page_shift, bool replaces)
{
	struct lz_tables sum = {{0}};
	struct lz_range *above = lz_ledger_find_at_or_above(ledger, start);
	uintptr_t below_end = end_below(ledger, range_below(ledger, above));

	if (replaces)
		above = skip_larger_pages(above, end, page_shift);
	/*
	 * Two gaps of one call share no table that the range between them does not need as well, unless that
	 * range is uncommitted: then the first gap is the second one's neighbour.
	 */
	while (start < end) {
		uintptr_t gap_end = above != NULL && above->start < end ? above->start : end;

		if (start < gap_end) {
			add_gap(ledger, below_end, start_above(ledger, above), start, gap_end, page_shift, 1,
				&sum);
			below_end = gap_end;
		}
		if (above == NULL)
			break;
		start = above->end;
		if (!lz_page_shift_is_uncommitted(above->traits.page_shift))
			below_end = above->end;
		above = lz_ledger_next(above);
		if (replaces)
			above = skip_larger_pages(above, end, page_shift);
	}
	return sum;
}
