/*
 * What calls hold while they run: page tables that a request was granted and are not in the ledger yet, and
 * windows that pieces are cloned from. Their frames say whether they will ever give it back: a handler may
 * have jumped out of one (siglongjmp), or its thread be gone, above all in a forked child.
 *
 * Adding takes the core's lock, giving back does not. A call that finds no free slot holds what it holds
 * unseen. Allocates nothing.
 */
#ifndef LZ_CORE_PENDING_H
#define LZ_CORE_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "support/lock.h"

struct lz_core;
struct lz_window;

#define LZ_PENDING 64u

struct lz_pending {
	_Atomic uintptr_t at;     /* its mark; 0: a free slot */
	uintptr_t thread;         /* whose frame that is */
	uint64_t cost;            /* bytes of page tables reserved */
	struct lz_window *window; /* held, or NULL */
};

/* Stands in what a call has in its frame. */
struct lz_hold {
	struct lz_mark mark;
	struct lz_pending *slot; /* NULL: unseen */
};

/* Notes what was reserved and held; with the lock. */
void lz_pending_add(struct lz_core *core, struct lz_hold *hold, uint64_t cost, struct lz_window *window);

/* The call gives it back. False where others did so already, taking it for dead or in a forked child. */
bool lz_pending_remove(struct lz_hold *hold);

/* Gives back what calls that were left hold; with the lock. */
void lz_pending_reclaim(struct lz_core *core);

/* In a forked child: only this thread's calls go on. With the lock. */
void lz_pending_after_fork(struct lz_core *core);

#endif
