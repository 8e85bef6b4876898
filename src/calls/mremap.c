/*
 * mremap(2) of the program, which can shrink, grow, move or duplicate a mapping and replace others in one
 * call. What the ledger has for the old range is saved, the call is made, and the saved entries are entered
 * at the address that the kernel returns.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "backing/backings.h"
#include "calls/internal.h"
#include "os/mman.h"
#include "os/scratch.h"

/*
 * The functions below are not inlined, so that the stack of one is not in use during another: several end in
 * a reconciliation.
 *
 * Enters the saved pieces at `base`. A piece that reached old_length now reaches new_length. Between the
 * pieces the memory was inaccessible, and has moved along, replacing what was at the target; or there were
 * holes, which do not move along (since Linux 6.17). If that makes a difference, the books are reconciled.
 */
__attribute__((noinline)) static void restore_pieces(struct lz_calls *calls, uintptr_t base,
	size_t old_length, size_t new_length, const struct lz_saved_pieces *pieces)
{
	struct lz_range *there = lz_ledger_find_at_or_above(&calls->books->ledger, base);
	bool was_empty = there == NULL || there->start >= base + new_length;
	size_t covered = 0;

	for (size_t i = 0; i < pieces->count; i++) {
		size_t start = pieces->piece[i].start;
		size_t end = pieces->piece[i].end;

		if (end >= old_length || end > new_length)
			end = new_length;
		if (start >= end)
			continue;
		struct lz_range_traits traits = pieces->piece[i].traits;

		/* The grown part is on a window only if one was available. */
		if (traits.window)
			traits = (struct lz_range_traits){
				.page_shift = (uint8_t)calls->books->page_shift, .tag = traits.tag};
		lz_ledger_remove(&calls->books->ledger, base + start, base + end);
		lz_books_add_missing(calls->books, base + start, base + end, traits);
		covered += end - start;
	}
	if ((covered < new_length && !was_empty) || !pieces->all)
		lz_books_reconcile(calls->books);
}

/* Returns where the part of [start, end) begins that is beyond the end of its file; `end` if there is none.
 */
static uintptr_t file_end(struct lz_books *books, uintptr_t start, uintptr_t end)
{
	struct lz_range *last = start < end ? lz_ledger_find_at_or_above(&books->ledger, end - 1) : NULL;

	return last != NULL && last->start < end && last->traits.page_shift == LZ_PAGE_SHIFT_BEYOND_FILE
		       ? lz_max_u64(last->start, start)
		       : end;
}

/*
 * The need of an mremap: its growth, or all of it if the old range stays mapped. What grows from a part
 * beyond the end of a file is beyond it, too.
 */
__attribute__((noinline)) static void fill_need(struct lz_calls *calls, uintptr_t start, size_t old_length,
	size_t new_length, int flags, struct lz_table_demand *need)
{
	struct lz_range *range;
	uintptr_t file;
	bool fits = lz_calls_fits_budget_alone(calls, new_length);

	*need = (struct lz_table_demand){.bytes = new_length,
		.old_bytes = flags & MREMAP_DONTUNMAP ? 0 : old_length,
		.page_shift = calls->books->page_shift};
	if (!lz_books_lock(calls->books))
		return;
	file = file_end(calls->books, start, start + old_length);
	if (file != start + old_length) {
		need->bytes = file - start;
		need->old_bytes = lz_min_u64(need->old_bytes, need->bytes);
	}
	range = lz_ledger_find_at_or_above(&calls->books->ledger, start);
	if (range == NULL || range->start > start) {
		if (old_length != 0)
			need->bytes = need->old_bytes = 0; /* inaccessible memory */
	} else if (range->traits.page_shift == LZ_PAGE_SHIFT_UNCOMMITTED && !fits) {
		need->old_bytes = 0; /* until now it counted by what is touched */
	} else {
		need->page_shift = range->traits.page_shift;
	}
	lz_books_unlock(calls->books);
}

/*
 * Requests the page tables of a mapping that grows or is copied; plain: it was on a window, and no window can
 * be had for the growth. Returns 0, or -ENOMEM if the budget refuses them. A function of its own, so that its
 * demand is not on the stack while a window is acquired.
 */
__attribute__((noinline)) static int request_growth(struct lz_calls *calls, const struct lz_request *request,
	uintptr_t start, size_t old_length, int flags, bool plain, struct lz_grant *grant)
{
	struct lz_table_demand need;

	if (request->size < calls->options->threshold)
		return 0;
	fill_need(calls, start, old_length, request->size, flags, &need);
	if (plain)
		need.page_shift = calls->books->page_shift;
	if (need.bytes == 0 || request->size > PTRDIFF_MAX)
		return 0;
	return lz_calls_request(calls, request, &need, grant, NULL) == 0 ? 0 : -ENOMEM;
}

/* The backing of a range; NULL if all of it is plain memory. */
__attribute__((noinline)) static const struct lz_backing *backing_of_range(
	struct lz_calls *calls, uintptr_t start, uintptr_t end)
{
	struct lz_backed_part part;

	return lz_backings_next_part(calls->backings, start, end, &part) ? part.backing : NULL;
}

/*
 * Saves the old range and removes it from the books before the call. Returns false if the lock cannot be had.
 */
__attribute__((noinline)) static bool save_source(struct lz_calls *calls, uintptr_t start, uintptr_t end,
	bool goes_away, uintptr_t target, uintptr_t target_end, struct lz_saved_range *saved)
{
	if (!lz_books_lock(calls->books))
		return false;
	lz_books_read_vmpte_before_unmap(calls->books, end - start);
	lz_saved_pieces_fill(&calls->books->ledger, start, end, &saved->touchable);
	if (goes_away)
		lz_ledger_remove(&calls->books->ledger, start, end);
	/* A window that the program maps over must not be cloned from any more. */
	if (target != target_end)
		lz_backings_range_overwritten(calls->backings, target, target_end);
	lz_books_unlock(calls->books);
	return true;
}

/* Records a successful call in the books. */
__attribute__((noinline)) static void record_target(struct lz_calls *calls, uintptr_t start, uintptr_t end,
	size_t old_length, bool is_backed, const struct lz_saved_range *saved)
{
	if (!lz_books_lock(calls->books))
		return;
	/*
	 * What was on a window at the target is gone. (Not earlier: a call that fails may leave the target
	 * alone.)
	 */
	if (!is_backed)
		lz_window_map_remove(&calls->books->windows, start, end);
	restore_pieces(calls, start, old_length, end - start, &saved->touchable);
	lz_books_publish_statistics(calls->books);
	lz_books_unlock(calls->books);
}

/* The arguments of mremap(2), and whether the budget refused the call. */
struct call {
	void *address;
	size_t old_length, new_length;
	int flags;
	void *target;
	const void *caller;
	bool refused;
};

/*
 * The pages that the call names, and its new length in whole pages. An old_length of 0 duplicates a shared
 * mapping; its first page identifies it. Returns false if the arguments are invalid.
 */
static bool page_range(const struct lz_calls *calls, const struct call *call, uintptr_t *start,
	uintptr_t *end, uint64_t *rounded)
{
	return lz_books_page_range(calls->books, call->address, call->old_length != 0 ? call->old_length : 1,
		       calls->books->page_shift, start, end) &&
	       lz_round_up(call->new_length, calls->books->page, rounded);
}

static intptr_t forward(struct lz_calls *calls, const struct call *call)
{
	return calls->next->mremap(
		call->address, call->old_length, call->new_length, call->flags, call->target);
}

/* Not inlined, so that its arguments are not on the stack while the budget decides. */
__attribute__((noinline)) static intptr_t remap_backed(struct lz_calls *calls,
	const struct lz_backing *backing, const struct lz_lease *lease, const struct call *call,
	uintptr_t start, size_t length, size_t rounded)
{
	const struct lz_remap remap = {start, length, rounded, call->flags, (uintptr_t)call->target};

	return backing->remap(calls->backings, lease, &remap);
}

/* Unmaps the cached regions at all addresses of the call. */
__attribute__((noinline)) static void evict_addresses(struct lz_calls *calls, const struct call *call)
{
	uintptr_t start, end;
	uint64_t rounded;

	if (!page_range(calls, call, &start, &end, &rounded))
		return;
	lz_calls_before_unmap(calls, start, end, false);
	if (call->flags & MREMAP_FIXED)
		lz_calls_before_unmap(
			calls, (uintptr_t)call->target, lz_range_end(call->target, rounded), false);
	lz_cache_evict_range(calls->cache, start, lz_max_u64(end, lz_range_end(call->address, rounded)));
	if (call->flags & MREMAP_FIXED)
		lz_cache_evict_range(
			calls->cache, (uintptr_t)call->target, lz_range_end(call->target, rounded));
}

__attribute__((noinline)) static intptr_t remap(
	struct lz_calls *calls, struct call *call, struct lz_saved_range *saved)
{
	bool stays = (call->flags & MREMAP_DONTUNMAP) != 0 || call->old_length == 0;
	const struct lz_request request = {
		.call = "mremap", .size = call->new_length, .caller = call->caller};
	struct lz_lease lease = {.backing = NULL};
	struct lz_grant grant;
	uintptr_t start, end, new_start = 0, new_end = 0;
	uint64_t rounded = 0;
	const struct lz_backing *backing;
	bool tracked;
	intptr_t result;

	if (!page_range(calls, call, &start, &end, &rounded))
		return forward(calls, call);
	saved->windows.count = 0;
	saved->windows.all = true;
	saved->wiped.count = 0;
	lz_grant_init_empty(&grant);
	backing = call->old_length != 0 ? backing_of_range(calls, start, end) : NULL;
	if (backing != NULL && rounded > end - start && rounded >> calls->books->geometry->user_bits == 0)
		backing->acquire(calls->backings, rounded, rounded - (end - start), &lease);
	if ((call->new_length > call->old_length || stays) &&
		request_growth(calls, &request, start, call->old_length, call->flags,
			backing != NULL && rounded > end - start && lease.backing == NULL, &grant) != 0) {
		lz_lease_release(calls->backings, &lease);
		call->refused = true;
		return -ENOMEM;
	}
	if (call->flags & MREMAP_FIXED) {
		atomic_store_explicit(&calls->backings->may_map_over_regions, true, memory_order_relaxed);
		lz_books_page_range(calls->books, call->target, call->new_length, calls->books->page_shift,
			&new_start, &new_end);
	}
	tracked = save_source(calls, start, end, !stays, new_start, new_end, saved);
	if (backing != NULL)
		result = remap_backed(calls, backing, &lease, call, start, end - start, rounded);
	else
		result = forward(calls, call);
	if (lz_os_failed(result)) {
		if (tracked && !stays)
			lz_calls_restore_range(calls, start, saved);
		/* The kernel unmaps the target before it finds that it cannot move there. */
		if (call->flags & MREMAP_FIXED)
			lz_books_reconcile_after_failure(calls->books);
	} else if (tracked && lz_books_page_range(calls->books, (void *)result, rounded,
				      calls->books->page_shift, &new_start, &new_end)) {
		record_target(calls, new_start, new_end, end - start, backing != NULL, saved);
	}
	lz_budget_settle(calls->budget, &grant, !lz_os_failed(result));
	lz_lease_release(calls->backings, &lease);
	lz_backings_release_unused(calls->backings);
	return result;
}

/* These two are not inlined, so that remap is not deeper for them. */

__attribute__((noinline)) static void report_before(struct lz_calls *calls, const struct call *call)
{
	if (call->new_length < call->old_length)
		lz_report_before_unmap(calls->reporter, (uintptr_t)call->address + call->new_length,
			lz_range_end(call->address, call->old_length));
	if (call->flags & MREMAP_FIXED)
		lz_report_before_unmap(calls->reporter, (uintptr_t)call->target,
			lz_range_end(call->target, call->new_length));
}

__attribute__((noinline)) static void report_after(
	struct lz_calls *calls, const struct call *call, intptr_t result)
{
	if (!lz_os_failed(result) && call->old_length != 0)
		lz_report_mapping_moved(calls->reporter, (uintptr_t)call->address, call->old_length,
			(uintptr_t)result, call->new_length);
}

/* Cached regions are unmapped outside of remap, so that the stack of both does not add up. */
intptr_t lz_calls_mremap(struct lz_calls *calls, void *address, size_t old_length, size_t new_length,
	int flags, void *target, const void *caller)
{
	struct call call = {address, old_length, new_length, flags, target, caller, false};
	struct lz_saved_range *saved = lz_scratch_take(calls->os);
	intptr_t result;

	if (saved == NULL)
		return -ENOMEM;
	/* Here, because remap is too deep for it. */
	if (new_length >= calls->options->threshold)
		lz_books_resolve_budget_early(calls->books);
	evict_addresses(calls, &call);
	report_before(calls, &call);
	result = remap(calls, &call, saved);
	if (result == -ENOMEM && !call.refused && lz_cache_flush(calls->cache))
		result = remap(calls, &call, saved);
	lz_scratch_release(calls->os, saved);
	report_after(calls, &call, result);
	return result;
}
