/*
 * The figures that a decision needs: committed page tables, VmPTE, the budget, and reservations; see books.h.
 */
#include <stdatomic.h>
#include <string.h>

#include "accounting/books.h"
#include "base/checked.h"
#include "os/descriptors.h"
#include "os/scratch.h"

/* Less than 64 MiB has at most 128 KiB of page tables, which does not justify reading VmPTE. */
#define SAMPLE_BYTES (UINT64_C(64) << 20)
#define SAMPLE_AGE_MS 2u /* reading VmPTE once in 2 ms takes half a percent of the time */

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
		books->actual, lz_sub_clamped(books->committed_at_read, lz_ledger_committed(&books->ledger)));
}

/*
 * What this process counts for, given what it has committed: the larger of committed and actual page tables.
 * A forked child of a member of a group starts with its actual ones: what its parent committed counts for the
 * parent, and the child may never touch it (prefork servers).
 */
static uint64_t charge(const struct lz_books *books, uint64_t committed)
{
	if (books->group.segment != NULL)
		committed = lz_sub_clamped(committed, books->inherited_committed) + books->inherited_actual;
	return lz_max_u64(committed, estimated_actual(books));
}

void lz_books_inherit_charge(struct lz_books *books)
{
	lz_group_after_fork(&books->group);
	if (books->group.segment == NULL)
		return;
	lz_books_read_vmpte(books, 0);
	books->inherited_committed = lz_ledger_committed(&books->ledger);
	books->inherited_actual = books->actual != UINT64_MAX ? books->actual : 0;
}

void lz_books_publish_statistics(struct lz_books *books)
{
	/* Without reservations: those of requests that are in the ledger by now would count twice. */
	lz_group_publish(&books->group, charge(books, lz_books_committed(books)));
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
	books->committed_at_read = lz_ledger_committed(&books->ledger);
}

void lz_books_read_vmpte_before_unmap(struct lz_books *books, uint64_t bytes_to_go)
{
	if (bytes_to_go >= SAMPLE_BYTES && lz_stats_in_file(&books->stats))
		lz_books_read_vmpte(books, SAMPLE_AGE_MS);
}

uint64_t lz_books_committed(const struct lz_books *books)
{
	uint64_t touched =
		books->ledger.when_touched != 0 ? lz_min_u64(books->touched.bytes, books->actual) : 0;

	return lz_ledger_committed(&books->ledger) + touched;
}

static uint64_t own_charge(const struct lz_books *books)
{
	return charge(books, lz_books_committed(books) +
				     atomic_load_explicit(&books->reservations.bytes, memory_order_relaxed));
}

bool lz_books_exceeds_by(const struct lz_books *books, uint64_t cost, uint64_t slack)
{
	uint64_t sum;

	return __builtin_add_overflow(own_charge(books), cost, &sum) ||
	       __builtin_add_overflow(sum, lz_group_others(&books->group), &sum) ||
	       lz_sub_clamped(sum, books->budget.bytes) > slack;
}

bool lz_books_exceeds(struct lz_books *books, uint64_t cost)
{
	uint64_t own = own_charge(books), sum;

	if (__builtin_add_overflow(own, cost, &sum))
		return true;
	/* Published first: if two processes decide at the same time, at least one sees the other's request.
	 */
	lz_group_publish(&books->group, sum);
	if (!__builtin_add_overflow(sum, lz_group_others(&books->group), &sum) && sum <= books->budget.bytes)
		return false;
	lz_group_publish(&books->group, own);
	return true;
}

void lz_books_publish_budget(struct lz_books *books)
{
	lz_stats_set(&books->stats, budget, books->budget.bytes);
	memcpy(books->stats.wire->budget_source, books->budget.source, sizeof books->budget.source);
}

/* Joins the group. If that fails, says so: the budget then holds for this process alone. */
__attribute__((noinline)) static void join_group(struct lz_books *books)
{
	char *buffer = lz_scratch_take(books->os);
	struct lz_text why;

	if (buffer == NULL)
		return;
	why = lz_text_init(buffer, LZ_SCRATCH_BYTES);
	lz_text_string(&why, "LAZYZERO_BUDGET_SCOPE=");
	lz_text_string(&why, books->options->budget_scope);
	lz_text_string(&why, " is not possible, the budget counts for this process alone: ");
	if (lz_group_join(&books->group, books->os, books->options->budget_scope, &why) != 0)
		lz_log_note(books->log, buffer);
	lz_scratch_release(books->os, buffer);
}

void lz_books_resolve_budget(struct lz_books *books)
{
	if (books->budget.resolved)
		return;
	if (strcmp(books->options->budget_scope, "process") != 0)
		join_group(books);
	lz_budget_size_resolve(&books->budget, books->os, &books->options->budget, "");
	lz_books_publish_budget(books);
}
