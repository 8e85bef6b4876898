/* Regions of the heap: allocate and free; see heap.h. */
#include "heap/heap.h"

#include <errno.h>
#include <stdatomic.h>

#include "backing/all.h"
#include "backing/placement.h"

static size_t length_of(const struct lz_region_record *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

/* Maps a region and enters it into the books. On failure there is none. */
static int map_region(struct lz_heap *heap, const struct lz_lease *lease,
	const struct lz_placement *placement, struct lz_region_entry *entry)
{
	const struct lz_backing *backing =
		lease->backing != NULL ? lease->backing : lz_backing_of(LZ_BACKING_ZEROPAGE);
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

/* Serves from the cache. -ENOENT: there is nothing of use. */
static int reuse(
	struct lz_heap *heap, const struct lz_request *request, size_t length, size_t alignment, void **out)
{
	uintptr_t base;
	size_t got;
	int error = lz_cache_take(heap->cache, request, length, alignment, &base, &got);

	if (error)
		return error;
	lz_books_count_region(heap->books, got, lz_regions_find(&heap->books->regions, base)->on_window);
	*out = (void *)base;
	if (lz_cache_fits(got, length) || lz_heap_resize(heap, request, (void *)base, out) == 0)
		return 0;
	lz_heap_free(heap, (void *)base);
	return -ENOENT;
}

int lz_heap_allocate(struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out)
{
	struct lz_table_demand need = {.page_shift = heap->books->page_shift,
		.can_use_window = lz_request_backing(request, heap->options) != LZ_BACKING_ZEROPAGE};
	struct lz_placement placement = {.alignment = alignment, .accounted = request->accounted};
	struct lz_region_entry entry;
	struct lz_lease lease;
	struct lz_grant grant;
	bool is_plain;
	int error;

	if (!lz_books_page_length(heap->books, request->size, &placement.length))
		return -ENOMEM;
	/* Nothing is kept where a report is wanted. */
	if (reuse(heap, request, placement.length, alignment, out) == 0)
		return 0;
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
		/* Some of its many mappings could not be had: the zero page needs one. */
		need.can_use_window = false;
	} while (error != 0 && !is_plain);
	if (error)
		return -EAGAIN; /* the allocator below may still find room: it has some mapped already */
	lz_books_count_region(heap->books, entry.length, entry.attributes.on_window);
	if (entry.attributes.on_window)
		lz_books_count_window(heap->books, entry.length);
	if (!grant.over)
		lz_placement_populate(heap->backings, entry.base, entry.length);
	*out = (void *)entry.base;
	if (heap->reporter->report != NULL)
		lz_report_region_made(heap->reporter, request, *out);
	return 0;
}

int lz_heap_free(struct lz_heap *heap, void *p)
{
	uintptr_t base = (uintptr_t)p;
	struct lz_region_record *region = lz_heap_find(heap, p);
	size_t length;
	bool on_window;

	if (region == NULL || !lz_regions_claim(region))
		return -ENOENT;
	length = length_of(region);
	on_window = region->on_window;
	if (heap->reporter->report != NULL)
		lz_report_range_ends(heap->reporter, region, base, base + length);
	if (on_window)
		lz_backings_sample_resident(heap->backings, false);
	if (!lz_cache_keep(heap->cache, region)) {
		lz_books_remove_region(heap->books, region, base, length, heap->backings->header.bytes);
		lz_placement_unmap(heap->backings, base, length);
		lz_backings_release_unused(heap->backings);
	}
	lz_books_uncount_region(heap->books, length, on_window);
	return 0;
}
