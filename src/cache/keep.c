/* Keeping a freed region; see cache.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/checked.h"
#include "cache/internal.h"
#include "os/cgroup.h"
#include "os/mman.h"

/* Resource limits and free memory are looked at this often: four system calls. */
#define LIMITS_MS 100u

/* Of the memory that this process may use. */
#define MEMORY_SHARE 8u

/* What is kept out of the kernel's reach, at most: so many bytes, and this share of the free memory. */
#define UNRECLAIMABLE_BYTES (UINT64_C(8) << 20)
#define UNRECLAIMABLE_SHARE 100u

/* Regions that one region replaces, at most. */
#define REPLACED 4u

/*
 * Up to this share of the limit a region is taken to be full without a look: looking at 16 MiB takes 10 us
 * when they are sparse, but 70 us when they are full, where clearing takes 330.
 */
#define UNSEEN_SHARE 4u

/*
 * Memory that is free for this process, as far as one system call each tells of the machine and of the
 * control group whose limit is the smallest. Files that could be dropped count as used.
 */
static uint64_t free_memory(struct lz_cache *cache)
{
	struct sysinfo info;
	uint64_t bytes, used = UINT64_MAX;

	if (cache->os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return 0;
	bytes = ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
	if (!cache->books->budget.from_cgroup)
		return bytes;
	lz_memory_cgroup_usage(cache->os, &used);
	return lz_min_u64(bytes, lz_sub_clamped(cache->books->budget.memory, used));
}

/*
 * Where address space or data is limited, what is kept could be what the next small request lacks; where the
 * kernel never overcommits (vm.overcommit_memory 2), what another program's does.
 */
static bool is_limited(struct lz_cache *cache)
{
	uint64_t space = RLIM_INFINITY, data = RLIM_INFINITY;

	cache->os->rlimit(RLIMIT_AS, &space);
	cache->os->rlimit(RLIMIT_DATA, &data);
	return space != RLIM_INFINITY || data != RLIM_INFINITY || cache->books->budget.overcommit_never;
}

/* With the lock. */
static void find_limits(struct lz_cache *cache, uint64_t now)
{
	bool limited;

	lz_books_resolve_budget(cache->books);
	limited = is_limited(cache);
	atomic_store(&cache->limit,
		limited ? 0 : lz_min_u64(cache->options->cache, cache->books->budget.memory / MEMORY_SHARE));
	atomic_store(&cache->allowance,
		limited ? 0 : lz_min_u64(UNRECLAIMABLE_BYTES, free_memory(cache) / UNRECLAIMABLE_SHARE));
	atomic_store(&cache->limits_ms, lz_nonzero_time(now));
}

/* The limit, as it was at most LIMITS_MS ago; 0 where nothing can be kept. */
static uint64_t current_limit(struct lz_cache *cache, uint64_t now)
{
	uint64_t found_ms = atomic_load(&cache->limits_ms);

	if (found_ms == 0 || now - found_ms >= LIMITS_MS) {
		if (!lz_books_lock(cache->books))
			return 0;
		find_limits(cache, now);
		lz_books_unlock(cache->books);
	}
	return atomic_load(&cache->limit);
}

/* Whether the ledger knows the region as it was made: nothing unmapped, replaced or made inaccessible. */
static bool is_unaltered(
	struct lz_cache *cache, const struct lz_region_record *record, uintptr_t base, size_t length)
{
	uintptr_t at = base;

	if (lz_regions_altered_by_program(&cache->books->regions, record) ||
		lz_books_may_be_stale(cache->books))
		return false;
	for (struct lz_range *range = lz_ledger_find(&cache->books->ledger, base); at < base + length;
		range = lz_ledger_next(range)) {
		if (range == NULL || range->start > at || range->traits.tag != base)
			return false;
		at = range->end;
	}
	return true;
}

static struct lz_cache_slot *oldest(struct lz_cache *cache)
{
	struct lz_cache_slot *found = NULL;

	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		struct lz_cache_slot *slot = &cache->slot[i];

		if (slot->base != 0 && (found == NULL || slot->region.freed_ms < found->region.freed_ms))
			found = slot;
	}
	return found;
}

/*
 * Makes room for one more that holds `resident` bytes: returns a free slot, or NULL, and what the caller has
 * to unmap without the lock. With the lock.
 */
static struct lz_cache_slot *make_room(
	struct lz_cache *cache, uint64_t resident, struct lz_cached_region out[REPLACED], unsigned *count)
{
	while (cache->resident + resident > atomic_load(&cache->limit) ||
		atomic_load_explicit(&cache->count, memory_order_relaxed) == LZ_CACHE_SLOTS) {
		struct lz_cache_slot *last = oldest(cache);

		if (last == NULL || *count == REPLACED)
			return NULL;
		out[(*count)++] = lz_cache_remove(cache, last);
	}
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++)
		if (cache->slot[i].base == 0)
			return &cache->slot[i];
	return NULL;
}

static bool stands_on(const struct lz_cached_region *region, uint64_t backing, uint64_t unused)
{
	(void)unused;
	return (uintptr_t)region->how.backing == backing;
}

/* Whether what stands behind a region allows to keep it; where not, others that stand there are unmapped as
 * well. */
static bool backing_allows(struct lz_cache *cache, const struct lz_cached_region *region)
{
	uint64_t allowance =
		lz_sub_clamped(atomic_load(&cache->allowance), atomic_load(&cache->unreclaimable));

	if (region->how.backing->may_keep(cache->backings, region->length, allowance))
		return true;
	while (lz_cache_unmap_one(cache, stands_on, (uintptr_t)region->how.backing, 0))
		continue;
	return false;
}

/* Takes up to so many bytes of what may be kept out of the kernel's reach; whole pages. */
static uint64_t take_allowance(struct lz_cache *cache, uint64_t bytes)
{
	uint64_t taken = atomic_load(&cache->unreclaimable), more;

	do
		more = lz_round_down(lz_min_u64(bytes, lz_sub_clamped(atomic_load(&cache->allowance), taken)),
			cache->books->page);
	while (!atomic_compare_exchange_weak(&cache->unreclaimable, &taken, taken + more));
	return more;
}

/*
 * Lets the kernel take the contents, except for the allowance: where page tables are shadowed by a
 * hypervisor, writing to a page after MADV_FREE takes as long as a page fault, elsewhere a third of it. False
 * where that cannot be done.
 */
static bool make_reclaimable(struct lz_cache *cache, struct lz_cached_region *region, uint64_t tables)
{
	uintptr_t from, end = region->base + region->length;
	bool dropped = false;
	int error = -ENOMEM;

	region->unreclaimable = take_allowance(cache, region->resident);
	if (region->unreclaimable == region->resident)
		return true;
	/* Of a region that holds less than its length, the first part holds no more than that. */
	from = region->base + region->unreclaimable;
	/* The kernel takes no page tables. */
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

/* Enters a region that is ready to be kept. False where the books cannot be had, or know of a change. */
static bool insert(
	struct lz_cache *cache, struct lz_region_record *record, const struct lz_cached_region *region)
{
	struct lz_cached_region out[REPLACED];
	struct lz_cache_slot *slot = NULL;
	unsigned count = 0;

	if (!lz_books_lock(cache->books))
		return false;
	if (is_unaltered(cache, record, region->base, region->length))
		slot = make_room(cache, region->resident, out, &count);
	if (slot != NULL) {
		lz_cache_slot_fill(cache, slot, region);
		lz_regions_unlink(&cache->books->regions, record);
	}
	if (count != 0)
		lz_books_publish_statistics(cache->books);
	lz_books_unlock(cache->books);
	for (unsigned i = 0; i < count; i++)
		lz_cache_unmap(cache, &out[i]);
	return slot != NULL;
}

/*
 * Without the mmap family, what the program does to a region is not seen. And pages that the kernel still
 * reads for the program, which nobody can see, must not be cleared.
 */
static bool may_keep(const struct lz_cache *cache, const struct lz_region_record *record)
{
	return cache->options->cache != 0 && (cache->options->intercept & LZ_INTERCEPT_MMAP) != 0 &&
	       !atomic_load_explicit(&cache->pages_shared_with_kernel, memory_order_relaxed) &&
	       !atomic_load_explicit(&cache->books->disabled, memory_order_relaxed) &&
	       !lz_regions_altered_by_program(&cache->books->regions, record) &&
	       !atomic_load_explicit(&cache->memory_locked, memory_order_relaxed);
}

bool lz_cache_keep(struct lz_cache *cache, struct lz_region_record *record)
{
	struct lz_cached_region region = {.base = atomic_load_explicit(&record->base, memory_order_relaxed),
		.length = atomic_load_explicit(&record->length, memory_order_relaxed),
		.how = {record->backing, record->huge_pages_refused, record->on_window, record->accounted},
		.changes = record->changes_at_creation,
		.full = record->fully_resident};
	uint64_t limit, tables = 0;

	if (!may_keep(cache, record))
		return false;
	lz_cache_trim_idle(cache);
	region.freed_ms = cache->os->now_ms();
	limit = current_limit(cache, region.freed_ms);
	if (limit == 0 || !backing_allows(cache, &region))
		return false;
	/* Before others can take it: a child must have what is alive. And before it is looked into: a region
	 * that is not one mapping after that was given other properties in parts, and may not be memory that
	 * can be written. */
	if (lz_cache_advise_fork(cache, &region, MADV_DONTFORK) != 0 || !lz_cache_is_ours(cache, &region))
		return false;
	region.resident = region.length;
	/* What was full when it was last made zero holds its length. */
	if (region.length > limit / UNSEEN_SHARE && !(region.full && region.length <= limit))
		region.resident = lz_cache_resident_bytes(
			cache, region.base, region.length, limit + 1, &region.is_zero, &tables);
	if (region.resident > limit || !make_reclaimable(cache, &region, tables))
		return false;
	if (insert(cache, record, &region))
		return true;
	atomic_fetch_sub(&cache->unreclaimable, region.unreclaimable);
	return false;
}
