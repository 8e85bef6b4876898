/* Serving a request from the cache; see cache.h. */
#include <errno.h>
#include <stdatomic.h>

#include "backing/backings.h"
#include "backing/placement.h"
#include "base/checked.h"
#include "cache/internal.h"
#include "os/mman.h"

/*
 * A cached region is resized if it has at least this share of the request resident, since resident pages need
 * no page fault. Below that, moving page tables costs more than it saves.
 */
#define RESIZE_MIN_SHARE 8u

/*
 * Whether the region is on the backing that the request asks for. Requests below a backing's minimum get the
 * zero page.
 */
static bool backing_matches(const struct lz_cache *cache, const struct lz_cached_region *region,
	const struct lz_request *request, size_t length)
{
	enum lz_backing_choice choice = lz_request_backing(request, cache->options);
	const struct lz_backing *wanted = lz_backing_for_choice(choice);

	return choice == LZ_BACKING_AUTO || region->how.backing == wanted ||
	       length < lz_backing_min_region(cache->backings, wanted);
}

bool lz_cache_size_fits(size_t kept, size_t length)
{
	return kept >= length && kept - length <= length / 4;
}

static bool fits(const struct lz_cache *cache, const struct lz_cached_region *region,
	const struct lz_request *request, size_t length, size_t alignment)
{
	return lz_cache_size_fits(region->length, length) &&
	       (alignment <= 1 || region->base % alignment == 0) &&
	       backing_matches(cache, region, request, length);
}

/*
 * The smallest region that fits; among equals, the one freed last, whose pages are most likely in the CPU
 * cache.
 */
static struct lz_cache_slot *best_fit(
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

/* Of two regions to resize, the one with more resident bytes of the request is better. */
static bool holds_more(
	const struct lz_cached_region *region, const struct lz_cache_slot *found, size_t length)
{
	return found == NULL ||
	       lz_min_u64(region->resident, length) > lz_min_u64(found->region.resident, length);
}

/*
 * Finds a region to resize: to grow, or to shrink if it does not lose much more than is used. With random
 * sizes that are mostly written, this saves a quarter of the page faults. Requests larger than the cache's
 * limit are excluded: they are likely to be sparse, and should not wait for the clearing of pages that they
 * may never use.
 */
static struct lz_cache_slot *find_resizable(
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

		if (slot->base != 0 && region->how.backing->can_resize_cached &&
			backing_matches(cache, region, request, length) &&
			region->how.huge_pages_refused == (cache->options->thp == LZ_THP_NEVER) &&
			region->resident >= length / RESIZE_MIN_SHARE && region->resident / 2 <= length &&
			holds_more(region, found, length))
			found = slot;
	}
	return found;
}

/*
 * Page tables of cached regions are charged already, so that reusing one costs nothing, also over the budget.
 * Where the policy refuses, cached regions are unmapped instead if the budget was lowered since, and the
 * policy decides.
 */
static struct lz_cache_slot *choose_slot(
	struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment)
{
	bool refused = cache->options->policy == LZ_POLICY_REFUSE && cache->books->budget.resolved &&
		       lz_books_exceeds(cache->books, 0);
	struct lz_cache_slot *slot = refused ? NULL : best_fit(cache, request, length, alignment);

	return slot != NULL ? slot : find_resizable(cache, request, length, alignment);
}

/*
 * Moves a region from the cache to the table of regions, if it is intact and cannot have been changed.
 * Otherwise removes it and returns NULL; the caller unmaps it. Needs the lock of the books.
 */
__attribute__((noinline)) static struct lz_region_record *move_to_regions(
	struct lz_cache *cache, struct lz_cache_slot *slot)
{
	const struct lz_cached_region *region = &slot->region;
	uintptr_t base = region->base, end = base + region->length;

	if (lz_cache_region_may_be_stale(cache, region) || !lz_cache_region_is_intact(cache, region) ||
		!lz_header_matches(&cache->backings->header, base, region->length)) {
		lz_cache_slot_release_and_unrecord(cache, slot);
		return NULL;
	}
	/* Cleared first, so that the region is never in both places if this is interrupted. */
	lz_cache_slot_release(cache, slot);
	if (lz_regions_insert(&cache->books->regions, base, region->length, region->how) == 0)
		return lz_regions_find(&cache->books->regions, base);
	lz_ledger_remove(&cache->books->ledger, base - cache->backings->header.bytes, end);
	lz_window_map_remove(&cache->books->windows, base, end);
	return NULL;
}

/*
 * Finds a region for the request. Returns its record, and in *kept what the cache knew of it; NULL if there
 * is none.
 */
static struct lz_region_record *reuse_region(struct lz_cache *cache, const struct lz_request *request,
	size_t length, size_t alignment, struct lz_cached_region *kept)
{
	struct lz_region_record *record = NULL;
	struct lz_cache_slot *slot;

	do {
		if (atomic_load_explicit(&cache->count, memory_order_relaxed) == 0 ||
			!lz_books_lock(cache->books))
			return NULL;
		slot = choose_slot(cache, request, length, alignment);
		if (slot != NULL) {
			*kept = slot->region;
			record = move_to_regions(cache, slot);
		}
		lz_books_unlock(cache->books);
		if (slot != NULL && record == NULL)
			lz_cache_unmap(cache, kept);
	} while (slot != NULL && record == NULL);
	return record;
}

int lz_cache_reuse(struct lz_cache *cache, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *kept_length)
{
	struct lz_cached_region kept;
	struct lz_region_record *record = reuse_region(cache, request, length, alignment, &kept);
	size_t lead = cache->backings->header.bytes;
	bool full;

	if (record == NULL)
		return -ENOENT;
	full = kept.full;
	*base = kept.base;
	*kept_length = kept.length;
	if (lz_cache_advise_fork(cache, &kept, MADV_DOFORK) != 0) {
		/* The region would be missing in a forked child. */
		if (lz_regions_claim(record)) {
			lz_books_remove_region(cache->books, record, *base, *kept_length, lead);
			lz_placement_unmap(cache->backings, *base, *kept_length);
		}
		return -ENOENT;
	}
	if (request->zeroed && !kept.is_zero)
		full = lz_cache_region_zero(cache, &kept,
			lz_cache_size_fits(*kept_length, length) ? *kept_length
								 : lz_min_u64(*kept_length, length));
	record->fully_resident = full;
	lz_stats_add(&cache->books->stats, recycled, 1);
	lz_stats_add(&cache->books->stats, recycled_bytes, *kept_length);
	return 0;
}
