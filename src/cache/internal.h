/* Declarations shared by the files of the cache. */
#ifndef LZ_CACHE_INTERNAL_H
#define LZ_CACHE_INTERNAL_H

#include "cache/cache.h"

/* --- cache.c --- */

/*
 * Puts a region into a free slot; its unreclaimable bytes are already in the sum. Needs the lock of the
 * books.
 */
void lz_cache_slot_fill(
	struct lz_cache *cache, struct lz_cache_slot *slot, const struct lz_cached_region *region);

/* Empties a slot; the caller updates the ledger. Needs the lock of the books. */
void lz_cache_slot_release(struct lz_cache *cache, struct lz_cache_slot *slot);

/* Removes a region from its slot and from the books. The caller unmaps it after unlocking. Needs the lock of
 * the books. */
void lz_cache_slot_release_and_unrecord(struct lz_cache *cache, struct lz_cache_slot *slot);

/* Unmaps a removed region if it is still intact. Called without the lock. */
void lz_cache_unmap(struct lz_cache *cache, const struct lz_cached_region *region);

/*
 * Unmaps the region that was freed first among those for which `selects` returns true. Returns false if there
 * is none. Takes the lock of the books.
 */
bool lz_cache_evict_one(struct lz_cache *cache,
	bool (*selects)(const struct lz_cached_region *region, uint64_t a, uint64_t b), uint64_t a,
	uint64_t b);

/* --- verify.c --- */

/*
 * Whether memory may have been changed without lazyzero's knowledge since the region was freed. Needs no
 * lock.
 */
bool lz_cache_region_may_be_stale(const struct lz_cache *cache, const struct lz_cached_region *region);

/*
 * Whether all of a cached region is still the mapping that was cached. A program may map over freed memory:
 * calls that lazyzero sees evict the region first; others (raw system calls, glibc's free called by a plugin)
 * are found here. Needs no lock.
 */
bool lz_cache_region_is_intact(struct lz_cache *cache, const struct lz_cached_region *region);

/* Gives the mappings of a region MADV_DONTFORK or MADV_DOFORK. 0 or -errno. */
int lz_cache_advise_fork(struct lz_cache *cache, const struct lz_cached_region *region, int advice);

/* --- clear.c --- */

/*
 * Bytes of written pages and page tables of a region; stops at `enough`. Sets *is_zero if all of it reads as
 * zero now, and *tables to the bytes of its page tables. Needs no lock.
 */
uint64_t lz_cache_resident_bytes(struct lz_cache *cache, uintptr_t base, size_t length, uint64_t enough,
	bool *is_zero, uint64_t *tables);

/*
 * Clears the first `length` bytes of a cached region. Returns true if all its pages are resident now. A
 * region that was fully resident once stays so and is not walked again: where a system call flushes the TLB,
 * a walk costs half as much as clearing a full 16 MiB.
 *
 * Before Linux 6.7 written pages cannot be told apart. Then all pages are cleared if most are resident,
 * because faulting them in again takes four times as long, and dropped otherwise.
 */
bool lz_cache_region_zero(struct lz_cache *cache, const struct lz_cached_region *region, size_t length);

#endif
