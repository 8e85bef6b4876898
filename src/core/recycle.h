/*
 * Freed regions, kept for the next request: fresh memory costs a page fault for each page, a kept one only
 * what clearing its written pages takes. One of about the size wanted serves as it is; where there is none,
 * another that holds much is grown or cut.
 *
 * At most LAZYZERO_CACHE bytes of what they hold are kept, and no more than an eighth of the memory this
 * process may use; what lay idle for a second goes back at the next call that comes by. Kept regions stay in
 * the ledger, since their page tables are there; before a request is refused or fails, all go back.
 *
 * Unmapping is what giving back means: MADV_DONTNEED costs the same and leaves the page tables; MADV_FREE
 * costs a third of the faults it saves (0.15 ms of 0.6 ms for 16 MiB), or, where page tables are shadowed,
 * more than all of them (4.7 ms), on every free. Thread-safe.
 */
#ifndef LZ_CORE_RECYCLE_H
#define LZ_CORE_RECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_core;
struct lz_request;
struct lz_served;

#define LZ_RECYCLED 64u

struct lz_kept {
	_Atomic uintptr_t base; /* 0: none in this slot; written last */
	size_t length;
	uint64_t weight;   /* bytes that it holds, page tables included; at most, where nobody looked */
	uint64_t freed_ms; /* when */
	bool huge_pages_refused, on_window, full; /* as in struct lz_served */
	bool is_zero;                             /* nothing is left to clear */
};

/* With the core's lock, but for the count. */
struct lz_recycle {
	struct lz_kept kept[LZ_RECYCLED];
	_Atomic uint32_t count;
	uint64_t weight;     /* the sum */
	uint64_t cap;        /* of the sum, at most */
	uint64_t limited_ms; /* when the resource limits were last looked at; 0: never */
};

/* Whether a kept region of that size serves the request as it is: at most a fifth of it may be wasted. */
bool lz_recycle_fits(size_t kept, size_t length);

/*
 * A kept region, with a record and its range in the ledger; *got is what it has. Where that does not fit, the
 * caller resizes it. Its first `length` bytes, or all of one that fits, are zero where the request is for
 * zeros. -ENOENT: there is none. Takes the lock.
 */
int lz_recycle_take(struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *got);

/*
 * Keeps a claimed region, which leaves the table of regions, and gives back what has to go for it. False: it
 * is not worth keeping, or was altered by the program; nothing happened. Takes the lock.
 */
bool lz_recycle_keep(struct lz_core *core, struct lz_served *region);

/* Gives back what lay idle too long; costs a load where nothing is kept. */
void lz_recycle_tend(struct lz_core *core);

/* Gives all back. True when that was anything. */
bool lz_recycle_flush(struct lz_core *core);

/* The same, and the resource limits are looked at again: they were changed. */
void lz_recycle_limited(struct lz_core *core);

/* The program changed what can be done with [start, end): a region there is not kept when freed. Takes the lock;
 * where it is not to be had, no region that lives now is kept. */
void lz_recycle_spoil(struct lz_core *core, uintptr_t start, uintptr_t end);

/* Where a change was left half done: a slot is in use or not by a single store. With the lock. */
void lz_recycle_mend(struct lz_recycle *recycle);

#endif
