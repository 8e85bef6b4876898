/* The slots of the cache, and unmapping cached regions; see cache.h. */
#include "cache/cache.h"

#include <stdatomic.h>

#include "backing/backings.h"
#include "backing/placement.h"
#include "base/checked.h"
#include "cache/internal.h"
#include "os/via_next.h"
#include "os/mman.h"

/* Regions that were not reused for this long are unmapped. */
#define IDLE_MS 1000u

/* How often idle regions are looked for, once there are any: with the lock, which is two system calls. */
#define TRIM_MS 100u

/* --- slots --- */

static void report_occupancy(struct lz_cache *cache, bool filled)
{
	if (cache->on_occupancy_change != NULL)
		cache->on_occupancy_change(filled);
}

static void set_resident(struct lz_cache *cache, uint64_t resident)
{
	cache->resident = resident;
	lz_stats_set(&cache->books->stats, cache_bytes, resident);
}

void lz_cache_slot_release(struct lz_cache *cache, struct lz_cache_slot *slot)
{
	atomic_store_explicit(&slot->base, 0, memory_order_release);
	set_resident(cache, cache->resident - slot->region.resident);
	atomic_fetch_sub(&cache->unreclaimable, slot->region.unreclaimable);
	if (atomic_fetch_sub_explicit(&cache->count, 1, memory_order_relaxed) == 1)
		report_occupancy(cache, false);
}

void lz_cache_slot_fill(
	struct lz_cache *cache, struct lz_cache_slot *slot, const struct lz_cached_region *region)
{
	slot->region = *region;
	atomic_store_explicit(&slot->length, region->length, memory_order_relaxed);
	atomic_store_explicit(&slot->base, region->base, memory_order_release);
	set_resident(cache, cache->resident + region->resident);
	/* Before the count, by which lz_cache_trim_idle finds that there is something to do. */
	if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0)
		atomic_store_explicit(
			&cache->next_trim_ms, region->freed_ms + IDLE_MS + 1, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&cache->count, 1, memory_order_release) == 0)
		report_occupancy(cache, true);
}

/*
 * Recomputes the sums after a holder left the lock half way, that is, after its holder stopped half way.
 * Whether a slot is in use is decided by a single store.
 */
static void recount(void *context)
{
	struct lz_cache *cache = context;
	uint64_t unreclaimable = 0;
	uint32_t count = 0;

	cache->resident = 0;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		const struct lz_cache_slot *slot = &cache->slot[i];

		if (slot->base == 0)
			continue;
		cache->resident += slot->region.resident;
		unreclaimable += slot->region.unreclaimable;
		count++;
	}
	atomic_store(&cache->unreclaimable, unreclaimable);
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
	report_occupancy(cache, count != 0);
}

void lz_cache_slot_release_and_unrecord(struct lz_cache *cache, struct lz_cache_slot *slot)
{
	uintptr_t base = slot->region.base, end = base + slot->region.length;

	lz_ledger_remove(&cache->books->ledger, base - cache->backings->header.bytes, end);
	lz_window_map_remove(&cache->books->windows, base, end);
	lz_cache_slot_release(cache, slot);
}

/*
 * A forked child has no cached regions (MADV_DONTFORK), except for headers that are not covered by the
 * advice.
 */
static void after_fork(void *context)
{
	struct lz_cache *cache = context;

	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		struct lz_cache_slot *slot = &cache->slot[i];
		uintptr_t base = slot->region.base, start = base - cache->backings->header.bytes, mark;

		if (slot->base == 0)
			continue;
		mark = slot->region.how.backing->dontfork_start(cache->backings, base);
		if (mark > start && lz_header_matches(&cache->backings->header, base, slot->region.length))
			cache->os->munmap((void *)start, mark - start);
		lz_cache_slot_release_and_unrecord(cache, slot);
	}
	atomic_store(&cache->unreclaimable, 0);
}

void lz_cache_init(struct lz_cache *cache)
{
	const struct lz_books_observer observer = {
		.context = cache, .after_fork = after_fork, .recount = recount};

	lz_books_register(cache->books, &observer);
}

bool lz_cache_contains(struct lz_cache *cache, uintptr_t p)
{
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		const struct lz_cache_slot *slot = &cache->slot[i];

		if (slot->base != 0 && p - slot->base < slot->length)
			return lz_cache_region_is_intact(cache, &slot->region);
	}
	return false;
}

/* --- unmapping --- */

void lz_cache_unmap(struct lz_cache *cache, const struct lz_cached_region *region)
{
	struct lz_backings *backings = cache->backings;

	if (!lz_cache_region_is_intact(cache, region)) {
		/* The books do not know what is mapped there now. */
		atomic_store_explicit(&cache->books->has_untracked_calls, true, memory_order_relaxed);
		return;
	}
	if (lz_header_matches(&backings->header, region->base, region->length))
		lz_placement_unmap(backings, region->base, region->length);
	else
		lz_munmap_via_next(cache->os, backings->next, region->base, region->length);
	lz_backings_release_unused(backings);
}

bool lz_cache_evict_one(struct lz_cache *cache,
	bool (*selects)(const struct lz_cached_region *region, uint64_t a, uint64_t b), uint64_t a,
	uint64_t b)
{
	struct lz_cache_slot *found = NULL;
	struct lz_cached_region region;

	if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0 || !lz_books_lock(cache->books))
		return false;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		struct lz_cache_slot *slot = &cache->slot[i];

		if (slot->base != 0 && selects(&slot->region, a, b) &&
			(found == NULL || slot->region.freed_ms < found->region.freed_ms))
			found = slot;
	}
	if (found != NULL) {
		region = found->region;
		lz_cache_slot_release_and_unrecord(cache, found);
		lz_books_publish_statistics(cache->books);
	}
	lz_books_unlock(cache->books);
	if (found != NULL)
		lz_cache_unmap(cache, &region);
	return found != NULL;
}

static bool was_freed_before_ms(const struct lz_cached_region *region, uint64_t ms, uint64_t unused)
{
	(void)unused;
	return region->freed_ms < ms;
}

static bool overlaps(const struct lz_cached_region *region, uint64_t start, uint64_t end)
{
	return region->base < end && start < region->base + region->length;
}

void lz_cache_trim_idle(struct lz_cache *cache)
{
	uint64_t now;

	if (atomic_load_explicit(&cache->count, memory_order_acquire) == 0)
		return;
	now = cache->os->now_ms();
	if (now < atomic_load_explicit(&cache->next_trim_ms, memory_order_relaxed))
		return;
	atomic_store_explicit(&cache->next_trim_ms, now + TRIM_MS, memory_order_relaxed);
	while (lz_cache_evict_one(cache, was_freed_before_ms, lz_sub_clamped(now, IDLE_MS), 0))
		continue;
}

/* A region has tables that it shares with others at both of its ends, on each level. */
uint64_t lz_cache_table_bytes_max(const struct lz_cache *cache)
{
	const struct lz_geometry *geometry = cache->books->geometry;
	uint64_t bytes = 0, span = UINT64_C(1) << lz_table_span_shift(geometry, 0);

	if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0)
		return 0;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++)
		if (cache->slot[i].base != 0)
			bytes += (cache->slot[i].region.length / span + 2 * LZ_LEVELS_MAX) *
				 lz_table_bytes(geometry, 0);
	return bytes;
}

bool lz_cache_flush(struct lz_cache *cache)
{
	bool any = false;

	while (lz_cache_evict_one(cache, was_freed_before_ms, UINT64_MAX, 0))
		any = true;
	return any;
}

/* The flag is set first: it is checked again under the lock before a region enters the cache. */
void lz_cache_stop(struct lz_cache *cache)
{
	if (!atomic_exchange(&cache->stopped, true))
		lz_cache_flush(cache);
}

void lz_cache_evict_range(struct lz_cache *cache, uintptr_t start, uintptr_t end)
{
	size_t lead = cache->backings->header.bytes;

	if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0)
		return;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		const struct lz_cache_slot *slot = &cache->slot[i];
		uintptr_t base = atomic_load_explicit(&slot->base, memory_order_acquire);
		size_t length = atomic_load_explicit(&slot->length, memory_order_relaxed);

		/*
		 * A slot that changes meanwhile holds a region that another thread freed or took; this call
		 * cannot be on it.
		 */
		if (base != 0 && base - lead < end && start < base + length) {
			while (lz_cache_evict_one(cache, overlaps, start, end + lead))
				continue;
			return;
		}
	}
}

void lz_cache_limits_changed(struct lz_cache *cache)
{
	atomic_store(&cache->limits_read_ms, 0);
	lz_cache_flush(cache);
}
