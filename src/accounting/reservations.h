/*
 * What calls handle while they run: page tables that a request was granted and that are not in the ledger
 * yet, and windows that pieces are mapped from. The frame of the call says whether it will ever give that
 * back: a signal handler may have jumped out of it (siglongjmp), or its thread be gone, above all in a forked
 * child.
 *
 * Adding needs the lock of the books, giving back does not. A call that finds no free slot holds what it
 * holds without a record, and nobody can reclaim it. Allocates nothing.
 */
#ifndef LZ_ACCOUNTING_RESERVATIONS_H
#define LZ_ACCOUNTING_RESERVATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "support/lock.h"

#define LZ_RESERVATIONS 64u

/* Something that calls use and that goes when the last of them is done. */
struct lz_use_count {
	_Atomic uint32_t *count;
	_Atomic bool *reached_zero; /* set when the last one is reclaimed */
};

struct lz_reservation {
	_Atomic uintptr_t mark;  /* address of its mark; 0: a free slot */
	uintptr_t thread;        /* lz_lock_thread_id() of the thread whose frame that is */
	uint64_t cost;           /* bytes of page tables reserved */
	struct lz_use_count use; /* count is NULL where it uses nothing */
};

struct lz_reservations {
	const struct lz_os *os;
	_Atomic uint64_t bytes; /* of page tables, granted and not in the ledger yet */
	struct lz_reservation slot[LZ_RESERVATIONS];
};

/* The part of a reservation that lies in the frame of the call. */
struct lz_reservation_handle {
	struct lz_frame_mark mark;
	struct lz_reservation *slot; /* NULL: without a record */
};

/* Records what a call reserved, and what it uses (NULL: nothing); with the lock. */
void lz_reservation_add(struct lz_reservations *reservations, struct lz_reservation_handle *handle,
	uint64_t cost, const struct lz_use_count *use);

/* The call gives it back. False where that was done already: the call was taken for dead, or is in a forked
 * child. */
bool lz_reservation_remove(struct lz_reservation_handle *handle);

/* Takes bytes of page tables out of the sum, which never becomes negative. No lock. */
void lz_reservations_subtract(struct lz_reservations *reservations, uint64_t cost);

/* Gives back what calls handle whose frames are gone; with the lock. */
void lz_reservations_reclaim(struct lz_reservations *reservations);

/* In a forked child: only calls of this thread go on. With the lock. */
void lz_reservations_after_fork(struct lz_reservations *reservations);

#endif
