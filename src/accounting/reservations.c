/* Reservations of calls that are in progress; see reservations.h. */
#include "accounting/reservations.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/checked.h"

void lz_reservation_slot_add(struct lz_reservations *reservations, struct lz_reservation_handle *handle,
	uint64_t cost, const struct lz_use_count *use)
{
	handle->slot = NULL;
	lz_frame_mark_set(&handle->mark);
	for (unsigned i = 0; i < LZ_RESERVATIONS; i++) {
		struct lz_reservation *slot = &reservations->slot[i];

		if (atomic_load_explicit(&slot->mark, memory_order_acquire) != 0)
			continue;
		slot->thread = lz_lock_thread_id();
		slot->cost = cost;
		slot->use = use != NULL ? *use : (struct lz_use_count){NULL, NULL};
		handle->slot = slot;
		atomic_store_explicit(&slot->mark, (uintptr_t)&handle->mark, memory_order_release);
		return;
	}
}

bool lz_reservation_slot_remove(struct lz_reservation_handle *handle)
{
	uintptr_t mark = (uintptr_t)&handle->mark;
	bool ours = handle->slot == NULL || atomic_compare_exchange_strong_explicit(&handle->slot->mark,
						    &mark, 0, memory_order_release, memory_order_relaxed);

	lz_frame_mark_clear(&handle->mark);
	return ours;
}

void lz_reservations_subtract(struct lz_reservations *reservations, uint64_t cost)
{
	uint64_t bytes = atomic_load_explicit(&reservations->bytes, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&reservations->bytes, &bytes,
		lz_sub_clamped(bytes, cost), memory_order_relaxed, memory_order_relaxed))
		continue;
}

static void release_slot(struct lz_reservations *reservations, struct lz_reservation *slot, uintptr_t mark)
{
	uint64_t cost = slot->cost;
	struct lz_use_count use = slot->use;

	if (!atomic_compare_exchange_strong(&slot->mark, &mark, 0))
		return;
	lz_reservations_subtract(reservations, cost);
	if (use.count != NULL && atomic_fetch_sub(use.count, 1) == 1)
		atomic_store(use.reached_zero, true);
}

void lz_reservations_reclaim(struct lz_reservations *reservations)
{
	for (unsigned i = 0; i < LZ_RESERVATIONS; i++) {
		struct lz_reservation *slot = &reservations->slot[i];
		uintptr_t mark = atomic_load_explicit(&slot->mark, memory_order_acquire);

		if (mark != 0 && !lz_frame_mark_may_be_alive(reservations->os, mark))
			release_slot(reservations, slot, mark);
	}
}

void lz_reservations_after_fork(struct lz_reservations *reservations)
{
	uintptr_t self = lz_lock_thread_id();
	uint64_t bytes = 0;

	for (unsigned i = 0; i < LZ_RESERVATIONS; i++) {
		struct lz_reservation *slot = &reservations->slot[i];
		uintptr_t mark = atomic_load_explicit(&slot->mark, memory_order_acquire);

		if (mark != 0 && slot->thread != self)
			release_slot(reservations, slot, mark);
		else if (mark != 0)
			bytes += slot->cost;
	}
	atomic_store_explicit(&reservations->bytes, bytes, memory_order_relaxed);
}
