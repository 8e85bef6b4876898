/*
 * mremap, the call that can do everything at once: shrink, grow, move, duplicate, and land on other mappings.
 * What the ledger knew of the old range is lifted, the call made, and the pieces put down where the kernel
 * says.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/scratch.h"

static void lift(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, bool goes_away, struct lz_pieces *pieces)
{
	struct lz_range *range = lz_ledger_find(ledger, start);

	pieces->count = 0;
	pieces->all = true;
	for (; range != NULL && range->start < end; range = lz_ledger_next(range)) {
		if (pieces->count == LZ_PIECES) {
			pieces->all = false;
			break;
		}
		pieces->piece[pieces->count].start = lz_sub_clamped(range->start, start);
		pieces->piece[pieces->count].end = lz_min_u64(range->end, end) - start;
		pieces->piece[pieces->count].traits = range->traits;
		pieces->count++;
	}
	if (goes_away)
		lz_ledger_remove(ledger, start, end);
}

void lz_core_lift(
	struct lz_core *core, uintptr_t start, uintptr_t end, bool goes_away, struct lz_lifted *lifted)
{
	lift(&core->ledger, start, end, goes_away, &lifted->touchable);
	lifted->windows.count = 0;
	lifted->windows.all = true;
	lifted->wiped.count = 0;
	if (!atomic_load_explicit(&core->windows.any, memory_order_relaxed))
		return;
	lift(&core->windows.where, start, end, false, &lifted->windows);
	lz_wipe_list(core, start, end, &lifted->wiped);
	if (goes_away)
		lz_window_forget(core, start, end);
}

static void put_back(struct lz_ledger *ledger, uintptr_t start, const struct lz_pieces *pieces)
{
	for (size_t i = 0; i < pieces->count; i++)
		lz_ledger_cover(ledger, start + pieces->piece[i].start, start + pieces->piece[i].end,
			pieces->piece[i].traits);
}

void lz_core_put_back(struct lz_core *core, uintptr_t start, const struct lz_lifted *lifted)
{
	if (!lz_core_enter(core))
		return;
	put_back(&core->ledger, start, &lifted->touchable);
	put_back(&core->windows.where, start, &lifted->windows);
	lz_wipe_put(core, start, &lifted->wiped, SIZE_MAX, SIZE_MAX);
	if (!lifted->touchable.all || !lifted->windows.all)
		lz_core_reconcile(core);
	lz_core_publish(core);
	lz_core_leave(core);
}

/*
 * What is not inlined from here on is apart so that the stack of one part is not below another: a reconciliation
 * stands at the end of several.
 *
 * Puts the pieces down at `base`; the last one reaches to new_length where it reached old_length. Between the
 * pieces lay what cannot be touched: inaccessible memory, which has come along and covers what was at the
 * target, or, since Linux 6.17, holes, which have not. Where that makes a difference, only the kernel can
 * tell.
 */
__attribute__((noinline)) static void put_down(struct lz_core *core, uintptr_t base, size_t old_length, size_t new_length,
	const struct lz_pieces *pieces)
{
	struct lz_range *there = lz_ledger_find(&core->ledger, base);
	bool was_empty = there == NULL || there->start >= base + new_length;
	size_t covered = 0;

	for (size_t i = 0; i < pieces->count; i++) {
		size_t start = pieces->piece[i].start;
		size_t end = pieces->piece[i].end;

		if (end >= old_length || end > new_length)
			end = new_length;
		if (start >= end)
			continue;
		struct lz_traits traits = pieces->piece[i].traits;

		/* What grew stands on a window only if there was one to be had. */
		if (traits.window)
			traits = (struct lz_traits){
				.page_shift = (uint8_t)core->page_shift, .tag = traits.tag};
		lz_ledger_remove(&core->ledger, base + start, base + end);
		lz_core_cover(core, base + start, base + end, traits);
		covered += end - start;
	}
	if ((covered < new_length && !was_empty) || !pieces->all)
		lz_core_reconcile(core);
}

/* What an mremap will need: its growth, or all of it where the old range stays mapped as well. */
__attribute__((noinline)) static struct lz_need remap_need(
	struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length, int flags)
{
	struct lz_need need = {.bytes = new_length, .old_bytes = old_length, .page_shift = core->page_shift};
	struct lz_range *range;

	if (flags & MREMAP_DONTUNMAP)
		need.old_bytes = 0;
	if (!lz_core_enter(core))
		return need;
	range = lz_ledger_find(&core->ledger, start);
	if (range != NULL && range->start <= start)
		need.page_shift = range->traits.page_shift;
	else if (old_length != 0)
		need.bytes = need.old_bytes = 0; /* nothing there can be touched */
	lz_core_leave(core);
	return need;
}

__attribute__((noinline)) static bool stands_on_window(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;

	return lz_windowed_next(core, start, end, &part);
}

/* The old range leaves the books before the call. False where they are not to be had. */
__attribute__((noinline)) static bool lift_source(struct lz_core *core, uintptr_t start, uintptr_t end, bool goes_away,
	uintptr_t target, uintptr_t target_end, struct lz_lifted *lifted)
{
	if (!lz_core_enter(core))
		return false;
	lz_core_sample_peak(core, end - start);
	lift(&core->ledger, start, end, goes_away, &lifted->touchable);
	/* A window that it maps over must not be cloned from any more. */
	if (target != target_end)
		lz_window_trampled(core, target, target_end);
	lz_core_leave(core);
	return true;
}

/* The books follow a call that succeeded. */
__attribute__((noinline)) static void book_target(struct lz_core *core, uintptr_t start, uintptr_t end,
	size_t old_length, bool on_window, const struct lz_lifted *lifted)
{
	if (!lz_core_enter(core))
		return;
	/* What stood on a window there is gone, if it is: a call that fails may have left it alone. */
	if (!on_window)
		lz_window_forget(core, start, end);
	put_down(core, start, old_length, end - start, &lifted->touchable);
	lz_core_publish(core);
	lz_core_leave(core);
}

static intptr_t remap(struct lz_core *core, void *address, size_t old_length, size_t new_length, int flags,
	void *target, const void *caller, struct lz_lifted *lifted)
{
	bool stays = (flags & MREMAP_DONTUNMAP) != 0 || old_length == 0;
	struct lz_window_use use = {.window = NULL};
	struct lz_grant grant;
	uintptr_t start, end, new_start, new_end;
	uint64_t rounded = 0;
	bool tracked, on_window;
	intptr_t result;

	/* old_length 0 duplicates a shared mapping: its first page says what it is. */
	if (!lz_core_page_range(
		    core, address, old_length != 0 ? old_length : 1, core->page_shift, &start, &end) ||
		!lz_round_up(new_length, core->page, &rounded))
		return core->calls->mremap(address, old_length, new_length, flags, target);
	lz_recycle_give_way(core, start, end);
	if (flags & MREMAP_FIXED)
		lz_recycle_give_way(core, (uintptr_t)target, (uintptr_t)target + rounded);
	lifted->windows.count = 0;
	lifted->windows.all = true;
	lifted->wiped.count = 0;
	lz_grant_nothing(&grant);
	on_window = old_length != 0 && stands_on_window(core, start, end);
	if (on_window && rounded > end - start && rounded >> core->geometry->user_bits == 0)
		lz_window_acquire(core, rounded, rounded - (end - start), &use);
	if (new_length > old_length || stays) {
		struct lz_need need = remap_need(core, start, old_length, new_length, flags);

		/* A window that is lost leaves plain memory to grow. */
		if (on_window && rounded > end - start && use.window == NULL)
			need.page_shift = core->page_shift;
		if (need.bytes != 0 && new_length <= PTRDIFF_MAX &&
			lz_core_charge_large(core, "mremap", caller, new_length, &need, &grant, NULL) != 0) {
			lz_window_release(core, &use);
			return -ENOMEM;
		}
	}
	if (flags & MREMAP_FIXED)
		atomic_store_explicit(&core->overlaid, true, memory_order_relaxed);
	new_start = new_end = 0;
	if (flags & MREMAP_FIXED)
		lz_core_page_range(core, target, new_length, core->page_shift, &new_start, &new_end);
	tracked = lift_source(core, start, end, !stays, new_start, new_end, lifted);
	if (on_window)
		result = lz_window_remap(core, &use, start, end - start, rounded, flags, (uintptr_t)target);
	else
		result = core->calls->mremap(address, old_length, new_length, flags, target);
	if (lz_os_failed(result)) {
		if (tracked && !stays)
			lz_core_put_back(core, start, lifted);
		/* The kernel clears the target before it finds out that it cannot move there. */
		if (flags & MREMAP_FIXED)
			lz_core_look_again(core);
	} else if (tracked && lz_core_page_range(core, (void *)result, rounded, core->page_shift, &new_start,
				      &new_end)) {
		book_target(core, new_start, new_end, end - start, on_window, lifted);
	}
	lz_core_settle(core, &grant, !lz_os_failed(result));
	lz_window_release(core, &use);
	lz_windows_release_unused(core);
	return result;
}

intptr_t lz_core_mremap(struct lz_core *core, void *address, size_t old_length, size_t new_length, int flags,
	void *target, const void *caller)
{
	struct lz_lifted *lifted = lz_scratch_take(core->os);
	intptr_t result;

	if (lifted == NULL)
		return -ENOMEM;
	result = remap(core, address, old_length, new_length, flags, target, caller, lifted);
	lz_scratch_release(core->os, lifted);
	return result;
}
