/*
 * The cache: freed regions kept for the next request. Fresh memory costs a page fault for each page, a kept
 * one only what clearing its written pages takes. A kept region of about the size wanted serves as it is;
 * where there is none, another that holds much is grown or cut.
 *
 * What always holds:
 *  - At most LAZYZERO_CACHE bytes of contents are kept, and no more than an eighth of the memory that this
 * process may use; nothing under a limit of address space or data, under mlockall, and where the kernel never
 * overcommits. A region that was not used for a second is unmapped at the next call of any kind.
 *  - The kernel can take what is kept with nothing of ours running: it is under MADV_FREE, except for at most
 * 8 MiB or 1% of the memory that is free, whichever is less. MADV_FREE of 64 MiB takes 1.2 ms in 4 KiB pages,
 * 0.06 in huge ones.
 *  - A forked child does not have it (MADV_DONTFORK), so that it does not hold the parent's pages.
 *  - A kept region and its header are alone under MADV_DONTFORK, so any mapping made over it ends the one
 * mapping that they lie in; on a window, whose pieces are a file's mappings, it shows in their bounds or
 * names. PROCMAP_QUERY tells (Linux 6.11). It does not tell a piece of the window from another that a system
 * call moved there. It is asked before a region is looked into, used again or unmapped. A region that is not
 * ours any more is only forgotten.
 *  - Memory that the program gave other properties (protection, advice, keys, locks, policies, names) is not
 * kept, nor is anything that lived while a call could not be followed.
 *  - A call of the program's on memory that is kept finds it unmapped (lz_cache_evict_range), as it is
 * without us.
 *
 * Kept regions stay in the ledger, since their page tables are there; before a request is refused or fails,
 * all are unmapped. Thread-safe; the lock of the books guards the slots, and no region is unmapped with it.
 */
#ifndef LZ_CACHE_CACHE_H
#define LZ_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/request.h"
#include "backing/backing.h"

#define LZ_CACHE_SLOTS 64u

struct lz_cached_region {
	uintptr_t base;
	size_t length;
	struct lz_region_attributes how;
	uint64_t resident;      /* bytes that it holds, page tables included; at most, where nobody looked */
	uint64_t freed_ms;      /* when */
	uint64_t unreclaimable; /* bytes of it that are not under MADV_FREE */
	uint32_t changes;       /* lz_regions.changes at that time */
	bool full;              /* as in struct lz_served */
	bool is_zero;           /* nothing is left to clear */
};

/* Where a region is can be read without the lock. */
struct lz_cache_slot {
	_Atomic uintptr_t base; /* 0: none in this slot; written last */
	_Atomic size_t length;
	struct lz_cached_region region;
};

/* Needs the lock of the books, except for atomic members. */
struct lz_cache {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_options *options;
	struct lz_cache_slot slot[LZ_CACHE_SLOTS];
	_Atomic uint32_t count;
	uint64_t resident;              /* the sum over all slots */
	_Atomic uint64_t unreclaimable; /* of it, what is not under MADV_FREE */
	_Atomic uint64_t limit;         /* of `resident`, at most */
	_Atomic uint64_t allowance;     /* of `unreclaimable`, at most */
	_Atomic uint64_t limits_ms;     /* when the two were last found out; 0: never */
	_Atomic bool memory_locked;     /* mlockall was called: nothing is kept */
	_Atomic uint32_t slow_rewrites; /* from 2 on: see lz_cache_clear */
	/* The kernel may read pages of the program after they were freed: pipes filled by vmsplice, sockets
	 * with MSG_ZEROCOPY, registered buffers of io_uring. Never unset. */
	_Atomic bool pages_shared_with_kernel;
	/* Called with the lock when the first region comes in and when the last one goes; NULL: nobody. */
	void (*on_filled)(bool filled);
};

/* Sets up a zeroed cache whose first four members are set, before there are threads. */
void lz_cache_init(struct lz_cache *cache);

/* Whether a kept region of that size serves the request as it is: at most a fifth of it may be wasted. */
bool lz_cache_fits(size_t kept, size_t length);

/*
 * Takes a kept region, which gets a record; its range is in the ledger; *got is its length. Where that does
 * not fit, the caller resizes it. Its first `length` bytes, or all of one that fits, are zero where the
 * request is for zeros. -ENOENT: there is none. Takes the lock.
 */
int lz_cache_take(struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *got);

/*
 * Keeps a claimed region, which leaves the table of regions, and unmaps others that have to go for it. False:
 * it is not worth keeping, or was altered by the program, or cannot be: the caller unmaps it. Takes the lock.
 */
bool lz_cache_keep(struct lz_cache *cache, struct lz_region_record *region);

/* Whether p lies in a kept region that is still ours. With the lock. */
bool lz_cache_contains(struct lz_cache *cache, uintptr_t p);

/* Unmaps regions that were not used for a second; costs a load where nothing is kept. */
void lz_cache_trim_idle(struct lz_cache *cache);

/* Unmaps all. True when that was anything. */
bool lz_cache_flush(struct lz_cache *cache);

/*
 * The program makes a call on [start, end), or at an address that it names: unmaps what is kept there first.
 * Costs a load where nothing is kept, and takes the lock only where something lies there.
 */
void lz_cache_evict_range(struct lz_cache *cache, uintptr_t start, uintptr_t end);

/* Unmaps all, and finds the resource limits out again: the program changed them. */
void lz_cache_limits_changed(struct lz_cache *cache);

#endif
