/* Measuring the page tables of memory that counts when it is touched; see touched.h. */
#include "accounting/touched.h"

#include "base/checked.h"
#include "os/pagemap.h"

/*
 * A table of a window takes 2.4 us if it has one page, 7 us if it is full; a block without one 0.06 us. So
 * the tables of a budget of 50 MiB take 30 to 90 ms.
 */
#define MEASURE_MS 100u
#define MEASURE_SHARE 20u /* a measurement serves for 20 times the time that it took */
#define WALK_BYTES (UINT64_C(16) << 30)

struct count {
	unsigned shift; /* log2 of the memory that one table maps */
	uint64_t tables, next_block;
};

/* A huge page of a file needs no table; the kernel keeps one for each of other kinds. */
static void count_tables(void *context, const struct lz_page_run *run)
{
	struct count *count = context;
	uint64_t first = lz_max_u64(run->start >> count->shift, count->next_block);
	uint64_t end = ((run->end - 1) >> count->shift) + 1;

	if (first >= end || (run->huge && run->file))
		return;
	count->tables += end - first;
	count->next_block = end;
}

/* Finds the next range that counts when it is touched. Takes the lock: false also if it is unavailable. */
__attribute__((noinline)) static bool next_range(
	struct lz_books *books, uintptr_t from, uintptr_t *start, uintptr_t *end)
{
	struct lz_range *range;

	if (!lz_books_lock(books))
		return false;
	range = lz_ledger_find_at_or_above(&books->ledger, from);
	while (range != NULL && !lz_range_counts_when_touched(&range->traits))
		range = lz_ledger_next(range);
	if (range != NULL) {
		*start = lz_max_u64(range->start, from);
		*end = lz_min_u64(range->end, *start + WALK_BYTES);
	}
	lz_books_unlock(books);
	return range != NULL;
}

__attribute__((noinline)) static void store(struct lz_books *books, uint64_t tables, uint64_t started)
{
	if (!lz_books_lock(books))
		return;
	books->touched = (struct lz_touched){.bytes = tables * lz_table_bytes(books->geometry, 0),
		.actual = books->actual,
		.of_bytes = books->ledger.when_touched,
		.ms = lz_nonzero_time(books->os->now_ms()),
		.took_ms = books->os->now_ms() - started};
	lz_books_unlock(books);
}

/*
 * If committed memory and VmPTE fit together, their parts need not be told apart. If they do not, the last
 * measurement serves for a while, unless tables or such memory were freed since.
 */
__attribute__((noinline)) static bool is_due(struct lz_books *books, const struct lz_table_demand *demand)
{
	const struct lz_touched *touched = &books->touched;
	uint64_t cost, counted;
	bool due = false;

	if (!lz_books_lock(books))
		return false;
	if (books->ledger.when_touched != 0) {
		lz_books_read_vmpte(books, 0);
		cost = lz_cost_of(books, demand);
		counted = lz_ledger_committed(&books->ledger) + books->reservations.bytes +
			  lz_group_others(&books->group);
		due = books->actual != UINT64_MAX && counted + books->actual + cost > books->budget.bytes &&
		      (touched->ms == 0 || books->actual < touched->actual ||
			      books->ledger.when_touched < touched->of_bytes ||
			      books->os->now_ms() - touched->ms > MEASURE_SHARE * touched->took_ms);
	}
	lz_books_unlock(books);
	return due;
}

/* The lock is not held during the walk. What another thread unmaps meanwhile has no pages. */
void lz_books_update_touched(struct lz_books *books, const struct lz_table_demand *demand)
{
	struct count count = {.shift = books->ledger.span_shift[0]};
	uint64_t started;
	uintptr_t start = 0, end = 0;

	if (!is_due(books, demand))
		return;
	started = books->os->now_ms();
	while (books->os->now_ms() - started < MEASURE_MS && next_range(books, end, &start, &end))
		if (lz_pagemap_walk(books->os, start, end, count_tables, &count) != 0)
			break;
	store(books, count.tables, started);
}
