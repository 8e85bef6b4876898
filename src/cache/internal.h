/* What the files of the cache share. */
#ifndef LZ_CACHE_INTERNAL_H
#define LZ_CACHE_INTERNAL_H

#include "cache/cache.h"

/* --- cache.c --- */

/* Enters a region into a free slot; its unreclaimable bytes are in the sum already. With the lock. */
void lz_cache_slot_fill(
	struct lz_cache *cache, struct lz_cache_slot *slot, const struct lz_cached_region *region);

/* Empties a slot; the ledger is the caller's. With the lock. */
void lz_cache_slot_clear(struct lz_cache *cache, struct lz_cache_slot *slot);

/* Removes a region from the slots and from the books; the caller unmaps it without the lock. With the lock.
 */
struct lz_cached_region lz_cache_remove(struct lz_cache *cache, struct lz_cache_slot *slot);

/* Unmaps a region that was removed, if it is still ours. No lock. */
void lz_cache_unmap(struct lz_cache *cache, const struct lz_cached_region *region);

/*
 * Unmaps the region freed first of those that `selects` is true of; false where there is none. Takes the
 * lock.
 */
bool lz_cache_evict_one(struct lz_cache *cache,
	bool (*selects)(const struct lz_cached_region *region, uint64_t a, uint64_t b), uint64_t a,
	uint64_t b);

/* --- ownership.c --- */

/* Whether something may have changed memory without our knowledge since the region was freed. */
bool lz_cache_region_may_be_stale(const struct lz_cache *cache, const struct lz_cached_region *region);

/*
 * Whether all of a kept region is still the mapping that was kept. A program may map over memory that it
 * freed: a call that passed us has made it leave, what did not (raw system calls, glibc's free by a plugin)
 * shows here.
 */
bool lz_cache_region_is_intact(struct lz_cache *cache, const struct lz_cached_region *region);

/* Gives the mappings of a region MADV_DONTFORK or MADV_DOFORK. */
int lz_cache_advise_fork(struct lz_cache *cache, const struct lz_cached_region *region, int advice);

/* --- contents.c --- */

/*
 * Bytes that a region holds, written pages and page tables, or as soon as that is clear `enough` and more;
 * *is_zero: all of it reads as zero now; *tables: bytes of its page tables. No lock.
 */
uint64_t lz_cache_resident_bytes(struct lz_cache *cache, uintptr_t base, size_t length, uint64_t enough,
	bool *is_zero, uint64_t *tables);

/*
 * Makes the first `length` bytes of a kept region zero; true when all of its pages are in memory now. A
 * region that was full once stays so, and needs no second look: where a system call empties the TLB, that
 * costs a full 16 MiB half as much as clearing.
 *
 * Before Linux 6.7 nothing tells written pages: all of them are cleared where most are in memory (faulting
 * them in anew takes four times as long), and given back where not.
 */
bool lz_cache_clear(struct lz_cache *cache, const struct lz_cached_region *region, size_t length);

#endif
