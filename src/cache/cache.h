/*
 * The cache: freed regions kept for the next request. Fresh memory costs a page fault for each page, a kept one
 * only what clearing its written pages takes. A kept region of about the size wanted serves as it is; where there
 * is none, another that holds much is grown or cut.
 *
 * What always holds:
 *  - At most LAZYZERO_CACHE bytes of contents are kept, and no more than an eighth of the memory that this process
 *    may use; nothing under a limit of address space or data, under mlockall, and where the kernel never
 *    overcommits. A region that was not used for a second is unmapped at the next call of any kind.
 *  - The kernel can take what is kept with nothing of ours running: it is under MADV_FREE, but for at most 8 MiB or
 *    1% of the memory that is free, whichever is less. MADV_FREE of 64 MiB takes 1.2 ms in 4 KiB pages, 0.06 in huge
 *    ones.
 *  - A forked child does not have it (MADV_DONTFORK), so that it does not hold the parent's pages.
 *  - A kept region and its header are alone under MADV_DONTFORK, so any mapping made over it ends the one mapping that
 *    they lie in; on a window, whose pieces are a file's mappings, it shows in their bounds or names. PROCMAP_QUERY
 *    tells (Linux 6.11). What it does not tell from a piece of the window is another that a system call moved there.
 *    It is asked before a region is looked into, used again or unmapped. What is not ours any more is only
 *    forgotten.
 *  - Memory that the program gave other properties (protection, advice, keys, locks, policies, names) is not kept,
 *    nor is anything that lived while a call could not be followed.
 *  - A call of the program's on memory that is kept finds it unmapped (lz_recycle_give_way), as it is without us.
 *
 * Kept regions stay in the ledger, since their page tables are there; before a request is refused or fails, all are
 * unmapped. Thread-safe; the core's lock guards the slots, and no region is unmapped with it.
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
	uintptr_t base;
	size_t length;
	uint64_t resident; /* bytes that it holds, page tables included; at most, where nobody looked */
	uint64_t freed_ms; /* when */
	uint32_t changes;  /* lz_regions.changes at that time */
	uint64_t unreclaimable; /* bytes of it that are not under MADV_FREE */
	bool huge_pages_refused, on_window, accounted, full; /* as in struct lz_served */
	bool is_zero;                             /* nothing is left to clear */
};

/* Where it is can be read without the lock. */
struct lz_kept_slot {
	_Atomic uintptr_t base; /* 0: none in this slot; written last */
	_Atomic size_t length;
	struct lz_kept kept;
};

/* With the core's lock, but for what is atomic. */
struct lz_recycle {
	struct lz_kept_slot slot[LZ_RECYCLED];
	_Atomic uint32_t count;
	uint64_t resident;             /* the sum */
	_Atomic uint64_t unreclaimable; /* of it, what is not under MADV_FREE */
	_Atomic uint64_t cap;           /* of `resident`, at most */
	_Atomic uint64_t allowance;     /* of `unreclaimable`, at most */
	_Atomic uint64_t limits_ms;     /* when the two were last found out; 0: never */
	_Atomic bool locked_memory;     /* mlockall was called: nothing is kept */
	_Atomic uint32_t slow_rewrites; /* from 2 on: see lz_recycle_clear */
	/* Called with the lock when the first region comes in and when the last one goes; NULL: nobody. */
	void (*on_filled)(bool filled);
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
 * Keeps a claimed region, which leaves the table of regions, and unmaps others that have to go for it. False: it
 * is not worth keeping, or was altered by the program, or cannot be: the caller unmaps it. Takes the lock.
 */
bool lz_recycle_keep(struct lz_core *core, struct lz_served *region);

/* Whether p lies in a kept region that is still ours. With the lock. */
bool lz_recycle_has(struct lz_core *core, uintptr_t p);

/* Unmaps what was not used for a second; costs a load where nothing is kept. */
void lz_recycle_tend(struct lz_core *core);

/* Unmaps all. True when that was anything. */
bool lz_recycle_flush(struct lz_core *core);

/*
 * The program makes a call on [start, end), or at an address that it names: what is kept there is unmapped first.
 * Costs a load where nothing is kept, and takes the lock only where something lies there.
 */
void lz_recycle_give_way(struct lz_core *core, uintptr_t start, uintptr_t end);

/* Unmaps all, and finds the resource limits out again: they were changed. */
void lz_recycle_limited(struct lz_core *core);

/* The program changed what can be done with [start, end): a region there is not kept when freed. Takes the lock;
 * where it is not to be had, no region that lives now is kept. */
void lz_recycle_spoil(struct lz_core *core, uintptr_t start, uintptr_t end);

/* Where a change was left half done: a slot is in use or not by a single store. With the lock. */
void lz_recycle_mend(struct lz_recycle *recycle);

/* In a forked child, which has none of what was kept but the headers. With the lock. */
void lz_recycle_after_fork(struct lz_core *core);

#endif
