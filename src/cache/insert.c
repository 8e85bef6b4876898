/* Caching a freed region; see cache.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/checked.h"
#include "cache/internal.h"
#include "os/cgroup.h"
#include "os/mman.h"

/* How often resource limits and free memory are read: four system calls. */
#define LIMITS_MS 100u

/* The cache may hold this share of the memory that the process may use. */
#define MEMORY_SHARE 8u

/* Upper limit of what the kernel cannot reclaim: a number of bytes, and a share of the free memory. */
#define UNRECLAIMABLE_BYTES (UINT64_C(8) << 20)
#define UNRECLAIMABLE_SHARE 100u

/* How many cached regions one new region may replace. */
#define EVICTED_MAX 4u

/*
 * Up to this share of the limit, a region is assumed to be fully resident and not walked: walking 16 MiB
 * takes 10 us if they are sparse, but 70 us if they are full; clearing them takes 330 us.
 */
#define ASSUME_RESIDENT_SHARE 4u

/*
 * Bytes that are free for this process: the smaller of what sysinfo(2) reports for the machine and what is
 * left in the control group with the smallest limit. Droppable page cache counts as used.
 */
static uint64_t free_memory(struct lz_cache *cache)
{
	uint64_t total, bytes, used = UINT64_MAX;

	if (lz_memory_by_sysinfo(cache->os, &total, &bytes) != 0)
		return 0;
	if (!cache->books->budget.from_cgroup)
		return bytes;
	lz_memory_cgroup_usage(cache->os, &used);
	return lz_min_u64(bytes, lz_sub_clamped(cache->books->budget.memory, used));
}

/*
 * Under RLIMIT_AS or RLIMIT_DATA, a cached region could make the next small request fail. If the kernel never
 * overcommits (vm.overcommit_memory=2), it could make another program's request fail.
 */
static bool caching_could_fail_requests(struct lz_cache *cache)
{
	uint64_t space = RLIM_INFINITY, data = RLIM_INFINITY;

	cache->os->rlimit(RLIMIT_AS, &space);
	cache->os->rlimit(RLIMIT_DATA, &data);
	return space != RLIM_INFINITY || data != RLIM_INFINITY || cache->books->budget.overcommit_never;
}

/* Reads the limits of the cache. Needs the lock of the books. */
static void read_limits(struct lz_cache *cache, uint64_t now)
{
	bool limited;

	lz_books_resolve_budget(cache->books);
	limited = caching_could_fail_requests(cache);
	atomic_store(&cache->limit,
		limited ? 0 : lz_min_u64(cache->options->cache, cache->books->budget.memory / MEMORY_SHARE));
	atomic_store(&cache->unreclaimable_limit,
		limited ? 0 : lz_min_u64(UNRECLAIMABLE_BYTES, free_memory(cache) / UNRECLAIMABLE_SHARE));
	atomic_store(&cache->limits_read_ms, lz_nonzero_time(now));
}

/* The limit of cached bytes, at most LIMITS_MS old; 0 if nothing can be cached. */
static uint64_t current_limit(struct lz_cache *cache, uint64_t now)
{
	uint64_t found_ms = atomic_load(&cache->limits_read_ms);

	if (found_ms == 0 || now - found_ms >= LIMITS_MS) {
		if (!lz_books_lock(cache->books))
			return 0;
		read_limits(cache, now);
		lz_books_unlock(cache->books);
	}
	return atomic_load(&cache->limit);
}

/*
 * Whether the ledger shows the region as it was created: no part was unmapped, replaced or made inaccessible.
 */
static bool is_unaltered(
	struct lz_cache *cache, const struct lz_region_record *record, uintptr_t base, size_t length)
{
	uintptr_t at = base;

	if (lz_regions_altered_by_program(&cache->books->regions, record) ||
		lz_books_may_be_stale(cache->books))
		return false;
	for (struct lz_range *range = lz_ledger_find_at_or_above(&cache->books->ledger, base);
		at < base + length; range = lz_ledger_next(range)) {
		if (range == NULL || range->start > at || range->traits.tag != base)
			return false;
		at = range->end;
	}
	return true;
}

/* Finds a slot for a region with `resident` bytes; NULL if another region must go first. Needs the lock of
 * the books. */
static struct lz_cache_slot *find_room(struct lz_cache *cache, uint64_t resident)
{
	if (cache->resident + resident > atomic_load(&cache->limit))
		return NULL;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++)
		if (cache->slot[i].base == 0)
			return &cache->slot[i];
	return NULL;
}

static bool is_on_backing(const struct lz_cached_region *region, uint64_t backing, uint64_t unused)
{
	(void)unused;
	return (uintptr_t)region->how.backing == backing;
}

/* Whether the backing allows caching the region; if not, also unmaps other cached regions on that backing. */
static bool check_backing_or_evict(struct lz_cache *cache, const struct lz_cached_region *region)
{
	uint64_t unreclaimable_limit =
		lz_sub_clamped(atomic_load(&cache->unreclaimable_limit), atomic_load(&cache->unreclaimable));

	if (region->how.backing->may_cache(cache->backings, region->length, unreclaimable_limit))
		return true;
	while (lz_cache_evict_one(cache, is_on_backing, (uintptr_t)region->how.backing, 0))
		continue;
	return false;
}

/* Reserves up to `bytes` of the limit for unreclaimable memory; returns whole pages. */
static uint64_t reserve_unreclaimable(struct lz_cache *cache, uint64_t bytes)
{
	uint64_t taken = atomic_load(&cache->unreclaimable), more;

	do
		more = lz_round_down(
			lz_min_u64(bytes, lz_sub_clamped(atomic_load(&cache->unreclaimable_limit), taken)),
			cache->books->page);
	while (!atomic_compare_exchange_weak(&cache->unreclaimable, &taken, taken + more));
	return more;
}

/*
 * Lets the kernel reclaim the contents, except for the part within the unreclaimable limit: a write to a page
 * after MADV_FREE takes a third as long as a page fault, and just as long if a hypervisor shadows page
 * tables. Returns false on failure.
 */
static bool make_reclaimable(struct lz_cache *cache, struct lz_cached_region *region, uint64_t tables)
{
	uintptr_t from, end = region->base + region->length;
	bool dropped = false;
	int error = -ENOMEM;

	region->unreclaimable = reserve_unreclaimable(cache, region->resident);
	if (region->unreclaimable == region->resident)
		return true;
	/* A region that is not fully resident has at most that many resident bytes in this first part. */
	from = region->base + region->unreclaimable;
	/* The kernel cannot reclaim page tables. */
	if (region->unreclaimable >= tables)
		error = region->how.backing->make_reclaimable(cache->backings, from, end - from, &dropped);
	if (dropped) {
		region->resident = region->unreclaimable;
		region->full = false;
	}
	if (error == 0)
		return true;
	atomic_fetch_sub(&cache->unreclaimable, region->unreclaimable);
	return false;
}

static bool is_any(const struct lz_cached_region *region, uint64_t unused, uint64_t unused_too)
{
	(void)region;
	(void)unused;
	(void)unused_too;
	return true;
}

/*
 * Enters a region into a slot, and evicts up to EVICTED_MAX others for it. Returns false if that is not
 * enough, the lock cannot be had, or the books show a change.
 */
static bool insert_region(
	struct lz_cache *cache, struct lz_region_record *record, const struct lz_cached_region *region)
{
	for (unsigned evicted = 0; evicted <= EVICTED_MAX; evicted++) {
		struct lz_cache_slot *slot = NULL;
		bool unaltered;

		if (!lz_books_lock(cache->books))
			return false;
		unaltered = !atomic_load_explicit(&cache->stopped, memory_order_relaxed) &&
			    is_unaltered(cache, record, region->base, region->length);
		if (unaltered)
			slot = find_room(cache, region->resident);
		if (slot != NULL) {
			lz_cache_slot_fill(cache, slot, region);
			lz_regions_unlink(&cache->books->regions, record);
		}
		lz_books_unlock(cache->books);
		if (slot != NULL)
			return true;
		if (!unaltered || !lz_cache_evict_one(cache, is_any, 0, 0))
			return false;
	}
	return false;
}

/* Without the mmap family, changes of the program to a region are not seen. */
static bool may_cache(const struct lz_cache *cache, const struct lz_region_record *record)
{
	return cache->options->cache != 0 && (cache->options->intercept & LZ_INTERCEPT_MMAP) != 0 &&
	       !atomic_load_explicit(&cache->stopped, memory_order_relaxed) &&
	       !atomic_load_explicit(&cache->books->disabled, memory_order_relaxed) &&
	       !lz_regions_altered_by_program(&cache->books->regions, record);
}

bool lz_cache_insert(struct lz_cache *cache, struct lz_region_record *record)
{
	struct lz_cached_region region = {.base = atomic_load_explicit(&record->base, memory_order_relaxed),
		.length = atomic_load_explicit(&record->length, memory_order_relaxed),
		.how = {record->backing, record->huge_pages_refused, record->on_window, record->accounted},
		.changes = record->changes_at_creation,
		.full = record->fully_resident};
	uint64_t limit, tables = 0;

	if (!may_cache(cache, record))
		return false;
	lz_cache_trim_idle(cache);
	region.freed_ms = cache->os->now_ms();
	limit = current_limit(cache, region.freed_ms);
	if (limit == 0 || !check_backing_or_evict(cache, &region))
		return false;
	/*
	 * Before the region is in the cache, because live memory must be inherited. Also before it is walked:
	 * if the program changed parts of it, it is more than one mapping now and may not be writable.
	 */
	if (lz_cache_advise_fork(cache, &region, MADV_DONTFORK) != 0 ||
		!lz_cache_region_is_intact(cache, &region))
		return false;
	if (cache->drops_pages) {
		if (cache->os->madvise((void *)region.base, region.length, MADV_DONTNEED) != 0)
			return false;
		region.is_zero = true;
		region.full = false;
		return insert_region(cache, record, &region);
	}
	region.resident = region.length;
	/* A region that was fully resident when it was last cleared still is. */
	if (region.length > limit / ASSUME_RESIDENT_SHARE && !(region.full && region.length <= limit))
		region.resident = lz_cache_resident_bytes(
			cache, region.base, region.length, limit + 1, &region.is_zero, &tables);
	if (region.resident > limit || !make_reclaimable(cache, &region, tables))
		return false;
	if (insert_region(cache, record, &region))
		return true;
	atomic_fetch_sub(&cache->unreclaimable, region.unreclaimable);
	return false;
}
