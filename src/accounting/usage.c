/*
 * The figures that a decision needs: committed page tables, VmPTE, the budget, and reservations; see books.h.
 */
#include <stdatomic.h>
#include <string.h>

#include "accounting/books.h"
#include "base/checked.h"
#include "os/descriptors.h"

/* Less than 64 MiB has at most 128 KiB of page tables, which does not justify reading VmPTE. */
#define SAMPLE_BYTES (UINT64_C(64) << 20)
#define SAMPLE_AGE_MS 2u /* reading VmPTE once in 2 ms takes half a percent of the time */

void lz_books_publish_statistics(struct lz_books *books)
{
	lz_stats_set_peak(&books->stats, committed, lz_ledger_committed(&books->ledger));
	if (atomic_load_explicit(&books->windows.ever_used, memory_order_relaxed))
		lz_stats_set(&books->stats, window_mappings, lz_window_map_count_mappings(&books->windows));
}

void lz_books_read_vmpte(struct lz_books *books, uint64_t age_ms)
{
	uint64_t now = books->os->now_ms();

	if (books->actual_read_ms != 0 && now - books->actual_read_ms < age_ms)
		return;
	if (lz_proc_value(books->os, LZ_STATUS, "VmPTE:", &books->actual) == 0)
		lz_stats_set_peak(&books->stats, actual, books->actual);
	else
		books->actual = UINT64_MAX;
	lz_stats_set(&books->stats, minor_faults, books->os->minor_faults());
	books->actual_read_ms = lz_nonzero_time(now);
	books->committed_then = lz_ledger_committed(&books->ledger);
}

void lz_books_read_vmpte_before_unmap(struct lz_books *books, uint64_t bytes_to_go)
{
	if (bytes_to_go >= SAMPLE_BYTES && lz_stats_in_file(&books->stats))
		lz_books_read_vmpte(books, SAMPLE_AGE_MS);
}

/*
 * VmPTE, less what was unmapped since it was read: otherwise a program that maps, uses and unmaps memory in a
 * loop would seem to use it twice. Under `refuse`, VmPTE is read again before a refusal, and nothing is
 * subtracted, because the memory may not have been touched.
 */
static uint64_t estimated_actual(const struct lz_books *books)
{
	if (books->actual == UINT64_MAX)
		return 0;
	if (books->options->policy == LZ_POLICY_REFUSE)
		return books->actual;
	return lz_sub_clamped(
		books->actual, lz_sub_clamped(books->committed_then, lz_ledger_committed(&books->ledger)));
}

bool lz_books_exceeds_by(struct lz_books *books, uint64_t cost, uint64_t slack)
{
	uint64_t charge = lz_ledger_committed(&books->ledger) +
			  atomic_load_explicit(&books->reservations.bytes, memory_order_relaxed);

	charge = lz_max_u64(charge, estimated_actual(books));
	return __builtin_add_overflow(charge, cost, &charge) ||
	       lz_sub_clamped(charge, books->budget.bytes) > slack;
}

void lz_books_publish_budget(struct lz_books *books)
{
	lz_stats_set(&books->stats, budget, books->budget.bytes);
	memcpy(books->stats.wire->budget_source, books->budget.source, sizeof books->budget.source);
}

void lz_books_resolve_budget(struct lz_books *books)
{
	if (books->budget.resolved)
		return;
	lz_budget_size_resolve(&books->budget, books->os, &books->options->budget, "");
	lz_books_publish_budget(books);
}
