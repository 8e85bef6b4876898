/*
 * Reservations: what calls in progress hold. That is granted page tables that are not in the ledger yet, and
 * windows from which pieces are being mapped.
 *
 * A mark in the stack frame of the call shows whether the call can still finish. If a signal handler jumped
 * out of it (siglongjmp), or its thread is gone, as in a forked child, the reservation is reclaimed.
 *
 * Adding needs the lock of the books; removing does not. If no slot is free, a call holds its reservation
 * without a record, and it cannot be reclaimed. Allocates nothing.
 */
#ifndef LZ_ACCOUNTING_RESERVATIONS_H
#define LZ_ACCOUNTING_RESERVATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "support/lock.h"

#define LZ_RESERVATIONS 64u

/* A use count of something that is released when the last call that uses it ends. */
struct lz_use_count {
	_Atomic uint32_t *count;
	_Atomic bool *reached_zero; /* set if the last use was reclaimed, not removed by its call */
};

struct lz_reservation {
	_Atomic uintptr_t mark;  /* address of the call's mark; 0: free slot */
	uintptr_t thread;        /* lz_lock_thread_id() of the thread that runs the call */
	uint64_t cost;           /* bytes of page tables reserved */
	struct lz_use_count use; /* count is NULL if the call uses nothing */
};

struct lz_reservations {
	const struct lz_os *os;
	_Atomic uint64_t bytes; /* bytes of page tables granted but not in the ledger yet */
	struct lz_reservation slot[LZ_RESERVATIONS];
};

/* The part of a reservation that is in the stack frame of the call. */
struct lz_reservation_handle {
	struct lz_frame_mark mark;
	struct lz_reservation *slot; /* NULL: not recorded */
};

/*
 * Records the page tables that a call reserved, in bytes, and the use count it holds (NULL: none). Needs the
 * lock.
 */
void lz_reservation_slot_add(struct lz_reservations *reservations, struct lz_reservation_handle *handle,
	uint64_t cost, const struct lz_use_count *use);

/*
 * Ends the reservation of a call. Returns false if it was already reclaimed: the call was considered dead, or
 * runs in a forked child. No lock.
 */
bool lz_reservation_slot_remove(struct lz_reservation_handle *handle);

/* Subtracts bytes of page tables from the sum, which never becomes negative. No lock. */
void lz_reservations_subtract(struct lz_reservations *reservations, uint64_t cost);

/* Reclaims the reservations of calls whose stack frames are gone. Needs the lock. */
void lz_reservations_reclaim(struct lz_reservations *reservations);

/* In a forked child: releases the reservations of all threads but the calling one. Needs the lock. */
void lz_reservations_after_fork(struct lz_reservations *reservations);

#endif
