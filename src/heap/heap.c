/* Allocating and freeing regions of the heap; see heap.h. */
#include "heap/heap.h"

#include <errno.h>
#include <stdatomic.h>

#include "backing/backings.h"
#include "backing/placement.h"

static size_t length_of(const struct lz_region_record *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

/* Maps a region and enters it into the books. 0 or -errno; on failure nothing is mapped. */
static int map_region(struct lz_heap *heap, const struct lz_lease *lease,
	const struct lz_placement *placement, struct lz_region_entry *entry)
{
	const struct lz_backing *backing =
		lease->backing != NULL ? lease->backing : lz_backing_for_choice(LZ_BACKING_ZEROPAGE);
	int error = backing->map(heap->backings, lease, placement, entry);

	if (error)
		return error;
	lz_header_write(&heap->backings->header, entry->base, entry->length);
	error = lz_books_add_region(heap->books, entry, 0, 0);
	if (error)
		heap->os->munmap(
			(void *)(entry->base - entry->header_bytes), entry->length + entry->header_bytes);
	return error;
}

/*
 * Serves a request from the cache. Returns 0, -ENOENT if no region is suitable, or -ENOMEM for a size that no
 * region can have. Its stack frame is gone before a fresh region is mapped.
 */
__attribute__((noinline)) static int allocate_from_cache(
	struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out)
{
	size_t length, kept_length;
	uintptr_t base;
	int error;

	if (!lz_books_page_length(heap->books, request->size, &length))
		return -ENOMEM;
	error = lz_cache_reuse(heap->cache, request, length, alignment, &base, &kept_length);
	if (error)
		return error;
	lz_books_count_region(
		heap->books, kept_length, lz_regions_find(&heap->books->regions, base)->on_window);
	*out = (void *)base;
	if (!lz_cache_size_fits(kept_length, length) &&
		lz_heap_resize(heap, request, (void *)base, out) != 0) {
		lz_heap_free(heap, (void *)base);
		return -ENOENT;
	}
	return 0;
}

static void count_allocated(struct lz_heap *heap, const struct lz_region_entry *entry, bool over_budget)
{
	lz_books_count_region(heap->books, entry->length, entry->attributes.on_window);
	if (entry->attributes.on_window)
		lz_books_count_placed_on_window(heap->books, entry->length);
	if (!over_budget)
		lz_placement_populate_if_configured(heap->backings, entry->base, entry->length);
}

__attribute__((noinline)) static int allocate_fresh(
	struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out)
{
	struct lz_table_demand need = {.page_shift = heap->books->page_shift,
		.can_use_window = lz_request_backing(request, heap->options) != LZ_BACKING_ZEROPAGE};
	struct lz_placement placement = {.alignment = alignment, .accounted = request->accounted};
	struct lz_region_entry entry;
	struct lz_lease lease;
	struct lz_grant grant;
	bool is_plain;
	int error;

	lz_books_page_length(heap->books, request->size, &placement.length);
	need.bytes = placement.length + heap->backings->header.bytes;
	do {
		error = lz_budget_request(heap->budget, request, &need, &grant, &lease);
		if (error)
			return error;
		is_plain = lease.backing == NULL;
		error = map_region(heap, &lease, &placement, &entry);
		if (error != 0 && lz_cache_flush(heap->cache))
			error = map_region(heap, &lease, &placement, &entry);
		lz_budget_settle(heap->budget, &grant, error == 0);
		lz_lease_release(heap->backings, &lease);
		/*
		 * A window needs many mappings, and some of them failed; retry on the zero page, which needs
		 * one.
		 */
		need.can_use_window = false;
		need.page_shift = heap->books->page_shift;
	} while (error != 0 && !is_plain);
	if (error)
		return -EAGAIN; /* the allocator below may have mapped memory left */
	*out = (void *)entry.base;
	count_allocated(heap, &entry, grant.over_budget);
	return 0;
}

int lz_heap_allocate(struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out)
{
	const struct lz_geometry *geometry = __atomic_load_n(&heap->books->geometry, __ATOMIC_RELAXED);
	int error;

	/* The next allocator rejects sizes beyond the address space as fast as without lazyzero. */
	if (geometry != NULL && request->size >> geometry->user_bits != 0)
		return -EAGAIN;
	error = allocate_from_cache(heap, request, alignment, out);

	return error == -ENOENT ? allocate_fresh(heap, request, alignment, out) : error;
}

int lz_heap_free(struct lz_heap *heap, void *p)
{
	uintptr_t base = (uintptr_t)p;
	struct lz_region_record *region = lz_heap_validate_region_at(heap, p);
	size_t length;
	bool on_window;

	if (region == NULL || !lz_regions_claim(region))
		return -ENOENT;
	length = length_of(region);
	on_window = region->on_window;
	lz_zeroing_forget(heap->zeroing, base, base + length, true);
	if (lz_report_is_active(heap->reporter))
		lz_report_before_free(heap->reporter, region, base, base + length);
	if (on_window)
		lz_backings_sample_resident(heap->backings, false);
	if (!lz_cache_insert(heap->cache, region)) {
		lz_books_remove_region(heap->books, region, base, length, heap->backings->header.bytes);
		lz_placement_unmap(heap->backings, base, length);
		lz_backings_release_unused(heap->backings);
	}
	lz_books_uncount_region(heap->books, length, on_window);
	return 0;
}
