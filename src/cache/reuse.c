/* Serving a request from the cache; see cache.h. */
#include <errno.h>
#include <stdatomic.h>

#include "backing/all.h"
#include "backing/placement.h"
#include "base/checked.h"
#include "cache/internal.h"
#include "os/mman.h"

/*
 * Another size is made of a kept region that holds at least this share of it: what is in memory already needs
 * no page fault. Less, and moving page tables costs more than that saves.
 */
#define WORTH_RESIZING 8u

/* Whether it stands where the request wants to. Requests that are too small for a backing get the zero page.
 */
static bool backing_matches(const struct lz_cache *cache, const struct lz_cached_region *region,
	const struct lz_request *request, size_t length)
{
	enum lz_backing_choice choice = lz_request_backing(request, cache->options);
	const struct lz_backing *wanted = lz_backing_of(choice);

	return choice == LZ_BACKING_AUTO || region->how.backing == wanted ||
	       length < lz_backing_least_region(cache->backings, wanted);
}

bool lz_cache_fits(size_t kept, size_t length)
{
	return kept >= length && kept - length <= length / 4;
}

static bool fits(const struct lz_cache *cache, const struct lz_cached_region *region,
	const struct lz_request *request, size_t length, size_t alignment)
{
	return lz_cache_fits(region->length, length) && (alignment <= 1 || region->base % alignment == 0) &&
	       backing_matches(cache, region, request, length);
}

/* The smallest that fits; of equals, the one freed last, which is warmest. */
static struct lz_cache_slot *best(
	struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment)
{
	struct lz_cache_slot *found = NULL;

	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		struct lz_cache_slot *slot = &cache->slot[i];
		const struct lz_cached_region *region = &slot->region;

		if (slot->base != 0 && fits(cache, region, request, length, alignment) &&
			(found == NULL || region->length < found->region.length ||
				(region->length == found->region.length &&
					region->freed_ms > found->region.freed_ms)))
			found = slot;
	}
	return found;
}

/* Of two to make another size of, the one that holds more of what is wanted is better. */
static bool is_nearer(const struct lz_cached_region *region, const struct lz_cache_slot *found, size_t length)
{
	return found == NULL ||
	       lz_min_u64(region->resident, length) > lz_min_u64(found->region.resident, length);
}

/*
 * Where none fits, one that can be resized: grown, or cut where not much more is lost than is used. Random
 * sizes that are mostly written then take a quarter less page faults. Only a region that could be kept again,
 * so that a huge request, which will be sparse, does not wait for pages to be cleared that it may never use.
 */
static struct lz_cache_slot *nearest(
	struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment)
{
	const struct lz_geometry *geometry = cache->books->geometry;
	uint64_t tables = length / (lz_window_map_unit(&cache->books->windows) / lz_table_bytes(geometry, 0));
	struct lz_cache_slot *found = NULL;

	if (alignment > cache->books->page || length > atomic_load(&cache->limit) ||
		(cache->books->budget.resolved &&
			lz_books_exceeds(cache->books, tables + LZ_LEVELS_MAX * cache->books->page)))
		return NULL;
	for (unsigned i = 0; i < LZ_CACHE_SLOTS; i++) {
		struct lz_cache_slot *slot = &cache->slot[i];
		const struct lz_cached_region *region = &slot->region;

		if (slot->base != 0 && region->how.backing->can_resize_kept &&
			backing_matches(cache, region, request, length) &&
			region->how.huge_pages_refused == (cache->options->thp == LZ_THP_NEVER) &&
			region->resident >= length / WORTH_RESIZING && region->resident / 2 <= length &&
			is_nearer(region, found, length))
			found = slot;
	}
	return found;
}

static struct lz_cache_slot *choose(
	struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment)
{
	/* Beyond the budget, which may have shrunk since, what is kept is unmapped instead, and the policy
	 * decides. */
	bool exceeds = cache->books->budget.resolved && lz_books_exceeds(cache->books, 0);
	struct lz_cache_slot *slot = exceeds ? NULL : best(cache, request, length, alignment);

	return slot != NULL ? slot : nearest(cache, request, length, alignment);
}

/*
 * Moves a region from the cache to the table of regions, if it is still ours and nothing may have changed it.
 * NULL: it stays in *unfit, for the caller to unmap. With the lock.
 */
static struct lz_region_record *revive(
	struct lz_cache *cache, struct lz_cache_slot *slot, struct lz_cached_region *unfit)
{
	struct lz_cached_region region = slot->region;
	size_t lead = cache->backings->header.bytes;

	if (lz_cache_is_doubtful(cache, &region) || !lz_cache_is_ours(cache, &region) ||
		!lz_header_matches(&cache->backings->header, region.base, region.length)) {
		*unfit = lz_cache_remove(cache, slot);
		return NULL;
	}
	/* First: it must never be in both places, should this be left half done. */
	lz_cache_slot_clear(cache, slot);
	if (lz_regions_insert(&cache->books->regions, region.base, region.length, region.how) == 0)
		return lz_regions_find(&cache->books->regions, region.base);
	lz_ledger_remove(&cache->books->ledger, region.base - lead, region.base + region.length);
	lz_window_map_remove(&cache->books->windows, region.base, region.base + region.length);
	*unfit = region;
	return NULL;
}

/* One that serves the request: its record, and what was kept of it. NULL: there is none. */
static struct lz_region_record *take_best(struct lz_cache *cache, const struct lz_request *request,
	size_t length, size_t alignment, struct lz_cached_region *taken)
{
	struct lz_region_record *record = NULL;
	struct lz_cache_slot *slot;
	struct lz_cached_region unfit;

	do {
		if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0 ||
			!lz_books_lock(cache->books))
			return NULL;
		unfit.base = 0;
		slot = choose(cache, request, length, alignment);
		if (slot != NULL) {
			*taken = slot->region;
			record = revive(cache, slot, &unfit);
		}
		lz_books_unlock(cache->books);
		if (unfit.base != 0)
			lz_cache_unmap(cache, &unfit);
	} while (slot != NULL && record == NULL);
	return record;
}

int lz_cache_take(struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *got)
{
	struct lz_cached_region taken;
	struct lz_region_record *record = take_best(cache, request, length, alignment, &taken);
	size_t lead = cache->backings->header.bytes;
	bool full = taken.full;

	if (record == NULL)
		return -ENOENT;
	*base = taken.base;
	*got = taken.length;
	if (lz_cache_advise_fork(cache, &taken, MADV_DOFORK) != 0) {
		/* A child of the program would lack it. */
		if (lz_regions_claim(record)) {
			lz_books_remove_region(cache->books, record, *base, *got, lead);
			lz_placement_unmap(cache->backings, *base, *got);
		}
		return -ENOENT;
	}
	if (request->zeroed && !taken.is_zero)
		full = lz_cache_clear(
			cache, &taken, lz_cache_fits(*got, length) ? *got : lz_min_u64(*got, length));
	record->fully_resident = full;
	lz_stats_add(&cache->books->stats, recycled, 1);
	lz_stats_add(&cache->books->stats, recycled_bytes, *got);
	return 0;
}
