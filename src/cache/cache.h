/*
 * The cache: freed regions that are kept for later requests. A new mapping costs a page fault for each page;
 * a cached region costs only the clearing of its written pages. A cached region of about the requested size
 * is used as it is. If there is none, a region with many resident pages is grown or shrunk.
 *
 * Invariants:
 *
 * - At most LAZYZERO_CACHE bytes of resident pages and page tables are cached, and at most an eighth of the
 * memory that the process may use. Nothing is cached under RLIMIT_AS or RLIMIT_DATA, after mlockall, or if
 * the kernel never overcommits. A region that was not reused for a second is unmapped at the next call of any
 * kind.
 * - The kernel can reclaim cached memory without help from this process: it is under MADV_FREE, except for at
 *   most 8 MiB or 1% of the free memory, whichever is less. MADV_FREE of 64 MiB takes 1.2 ms in 4 KiB pages,
 *   0.06 ms in huge pages.
 * - A forked child does not inherit cached regions (MADV_DONTFORK), so it does not hold the parent's pages.
 * - Only cached regions carry MADV_DONTFORK. If another mapping is made over one, its mapping is split; on a
 * window, the bounds or names of its pieces change. PROCMAP_QUERY (Linux 6.11) shows both; before,
 * /proc/self/maps is read. One case is missed: a raw mremap that moved another piece of the window there. The
 * check precedes each read, reuse and unmapping; a region that fails it is forgotten without being unmapped.
 * - Memory whose attributes the program changed (protection, advice, keys, locks, policies, names) is not
 *   cached, nor is any region that existed while a call could not be followed.
 * - If the program makes a call on cached memory, the memory is unmapped first (lz_cache_evict_range), so
 *   that the call finds what it would find without lazyzero.
 *
 * Cached regions stay in the ledger, because their page tables exist; all are unmapped before a request is
 * refused or fails. Thread-safe: the lock of the books guards the slots. No region is unmapped while the lock
 * is held.
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
	uint64_t
		resident; /* bytes of contents and page tables; an upper bound if the region was not walked */
	uint64_t freed_ms;      /* when it was freed */
	uint64_t unreclaimable; /* bytes of it that are not under MADV_FREE */
	uint32_t changes;       /* value of lz_regions.untracked_changes when the region was created */
	bool full;              /* fully_resident of struct lz_region_record */
	bool is_zero;           /* no page needs clearing */
};

/* Base and length can be read without the lock. */
struct lz_cache_slot {
	_Atomic uintptr_t base; /* 0: the slot is free; written last */
	_Atomic size_t length;
	struct lz_cached_region region;
};

/* Members need the lock of the books, except for atomic ones. */
struct lz_cache {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_options *options;
	struct lz_cache_slot slot[LZ_CACHE_SLOTS];
	_Atomic uint32_t count;
	uint64_t resident;                    /* sum over all slots */
	_Atomic uint64_t unreclaimable;       /* part of `resident` that is not under MADV_FREE */
	_Atomic uint64_t next_trim_ms;        /* no region is idle for a second before this time */
	_Atomic uint64_t limit;               /* upper limit of `resident` */
	_Atomic uint64_t unreclaimable_limit; /* upper limit of `unreclaimable` */
	_Atomic uint64_t limits_read_ms;      /* when the two limits were last read; 0: never */
	_Atomic uint32_t
		slow_first_writes; /* 2 or more: first writes after MADV_FREE are slow here, see clear.c */
	bool drops_pages; /* of each region that is cached, so that what its next owner writes can be told */
	_Atomic bool stopped;      /* nothing is cached any more; see lz_cache_stop */
	/* Called with the lock held when the cache becomes non-empty (true) or empty (false); may be NULL. */
	void (*on_occupancy_change)(bool filled);
};

/* Initialises a zeroed cache whose first four members are set. Called before there are threads. */
void lz_cache_init(struct lz_cache *cache);

/*
 * Whether a cached region of `kept` bytes serves a request of `length` bytes without resizing: at most a
 * fifth of it may be unused. Needs no lock.
 */
bool lz_cache_size_fits(size_t kept, size_t length);

/*
 * Takes a region out of the cache and gives it a record; its range is in the ledger. *kept_length is its
 * length; if that does not fit (lz_cache_size_fits), the caller resizes the region. If the request is for
 * zeroed memory, all of a region that fits is zero; of another one the first `length` bytes are. Returns 0,
 * or -ENOENT if no region is suitable. Takes the lock of the books.
 */
int lz_cache_reuse(struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *kept_length);

/*
 * Moves a claimed region from the table of regions to the cache, and unmaps other regions to make room for
 * it. Returns false if the region is not worth keeping, was changed by the program, or cannot be kept; the
 * caller then unmaps it. Takes the lock of the books.
 */
bool lz_cache_insert(struct lz_cache *cache, struct lz_region_record *region);

/* Whether p lies in a cached region that is still intact. Needs the lock of the books. */
bool lz_cache_contains(struct lz_cache *cache, uintptr_t p);

/* Unmaps regions that were not reused for a second. Costs one load if the cache is empty. */
void lz_cache_trim_idle(struct lz_cache *cache);

/*
 * Unmaps all cached regions, and caches none from now on: all memory is locked (mlockall); the kernel may
 * read pages of the program after they were freed (pipes filled by vmsplice, sockets with MSG_ZEROCOPY,
 * registered buffers of io_uring); or a seccomp filter is about to be installed.
 */
void lz_cache_stop(struct lz_cache *cache);

/*
 * An upper bound of the page tables that all cached regions need: what unmapping them could gain. Needs the
 * lock of the books.
 */
uint64_t lz_cache_table_bytes_max(const struct lz_cache *cache);

/* Unmaps all cached regions. Returns whether there was any. */
bool lz_cache_flush(struct lz_cache *cache);

/*
 * The program is about to make a call on [start, end): unmaps the cached regions there first. Costs one load
 * if the cache is empty; takes the lock only if a cached region overlaps the range.
 */
void lz_cache_evict_range(struct lz_cache *cache, uintptr_t start, uintptr_t end);

/* Unmaps all cached regions and reads the resource limits again: the program changed them. */
void lz_cache_limits_changed(struct lz_cache *cache);

#endif
