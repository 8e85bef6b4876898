/* What calls hold while they run; see pending.h. */
#include "accounting/reservations.h"

#include <stdatomic.h>
#include <stddef.h>

#include "core/inside.h"

void lz_pending_add(struct lz_core *core, struct lz_hold *hold, uint64_t cost, struct lz_window *window)
{
	hold->slot = NULL;
	lz_mark_set(&hold->mark);
	for (unsigned i = 0; i < LZ_PENDING; i++) {
		struct lz_pending *slot = &core->pending[i];

		if (atomic_load_explicit(&slot->at, memory_order_acquire) != 0)
			continue;
		slot->thread = lz_lock_self();
		slot->cost = cost;
		slot->window = window;
		hold->slot = slot;
		atomic_store_explicit(&slot->at, (uintptr_t)&hold->mark, memory_order_release);
		return;
	}
}

bool lz_pending_remove(struct lz_hold *hold)
{
	uintptr_t at = (uintptr_t)&hold->mark;
	bool ours = hold->slot == NULL ||
		    atomic_compare_exchange_strong_explicit(
			    &hold->slot->at, &at, 0, memory_order_release, memory_order_relaxed);

	lz_mark_clear(&hold->mark);
	return ours;
}

static void give_back(struct lz_core *core, struct lz_pending *slot, uintptr_t at)
{
	uint64_t cost = slot->cost;
	struct lz_window *window = slot->window;

	if (!atomic_compare_exchange_strong(&slot->at, &at, 0))
		return;
	lz_core_unreserve(core, cost);
	if (window != NULL && atomic_fetch_sub(&window->users, 1) == 1)
		atomic_store(&core->windows.retirees, true);
}

void lz_pending_reclaim(struct lz_core *core)
{
	for (unsigned i = 0; i < LZ_PENDING; i++) {
		uintptr_t at = atomic_load_explicit(&core->pending[i].at, memory_order_acquire);

		if (at != 0 && !lz_mark_alive(core->os, at))
			give_back(core, &core->pending[i], at);
	}
}

void lz_pending_after_fork(struct lz_core *core)
{
	uintptr_t self = lz_lock_self();
	uint64_t reserved = 0;

	for (unsigned i = 0; i < LZ_PENDING; i++) {
		uintptr_t at = atomic_load_explicit(&core->pending[i].at, memory_order_acquire);

		if (at != 0 && core->pending[i].thread != self)
			give_back(core, &core->pending[i], at);
		else if (at != 0)
			reserved += core->pending[i].cost;
	}
	atomic_store_explicit(&core->reserved, reserved, memory_order_relaxed);
}
