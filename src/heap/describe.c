/* Finding a region of the heap, describing it, and zeroing a part of it; see heap.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "heap/heap.h"
#include "os/plain_memset.h"
#include "pagetables/census.h"

static size_t length_of(const struct lz_region_record *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

struct lz_region_record *lz_heap_validate_region_at(struct lz_heap *heap, const void *p)
{
	struct lz_books *books = heap->books;
	const struct lz_region_header *header = &heap->backings->header;
	uintptr_t base = (uintptr_t)p;
	struct lz_region_record *region = lz_regions_find(&books->regions, base);

	if (region == NULL || atomic_load_explicit(&books->disabled, memory_order_relaxed) ||
		lz_header_matches(header, base, length_of(region)))
		return region;
	lz_books_remove_unmapped_region(books, region, base, header->bytes);
	return NULL;
}

/* Finds the region that contains p. 0, -EINVAL if there is none, or -EAGAIN. */
static int find_containing(
	struct lz_heap *heap, const void *p, uintptr_t *base, size_t *length, bool *on_window)
{
	struct lz_region_record *region;

	if (!lz_books_lock(heap->books))
		return -EAGAIN;
	region = lz_books_region_around(heap->books, (uintptr_t)p);
	if (region != NULL) {
		*base = atomic_load_explicit(&region->base, memory_order_relaxed);
		*length = atomic_load_explicit(&region->length, memory_order_relaxed);
		*on_window = region->on_window;
	}
	lz_books_unlock(heap->books);
	return region != NULL ? 0 : -EINVAL;
}

int lz_heap_region_info(struct lz_heap *heap, const void *p, struct lz_region *info)
{
	struct lz_census census;
	uintptr_t base;
	size_t length;
	bool on_window;
	int error = find_containing(heap, p, &base, &length, &on_window);

	if (error)
		return error;
	*info = (struct lz_region){
		.base = (void *)base,
		.size = length,
		.backing = on_window ? LZ_WINDOW : LZ_ZEROPAGE,
		.resident_bytes = LZ_UNKNOWN,
		.zero_mapped_bytes = LZ_UNKNOWN,
		.page_table_bytes = LZ_UNKNOWN,
		.window_bytes = LZ_UNKNOWN,
	};
	if (lz_census_of_range(&census, heap->os, heap->books->geometry, base, base + length) == 0) {
		info->resident_bytes = census.written;
		info->zero_mapped_bytes = census.zero_mapped;
		info->window_bytes = census.window;
		info->page_table_bytes = census.table_bytes;
	}
	return 0;
}

int lz_heap_zero(struct lz_heap *heap, void *p, size_t size)
{
	uintptr_t start = (uintptr_t)p, base, end, first, last;
	size_t length;
	bool on_window;
	int error = find_containing(heap, p, &base, &length, &on_window);

	if (error)
		return error;
	if (__builtin_add_overflow(start, size, &end) || end > base + length)
		return -EINVAL;
	first = lz_round_down(start + heap->books->page - 1, heap->books->page);
	last = lz_round_down(end, heap->books->page);
	if (first >= last) {
		lz_plain_memset(p, 0, size);
		return 0;
	}
	lz_plain_memset(p, 0, first - start);
	lz_plain_memset((void *)last, 0, end - last);
	/* MADV_DONTNEED fails on locked memory (EINVAL); clear the pages instead. */
	if (heap->os->madvise((void *)first, last - first, MADV_DONTNEED) != 0)
		lz_plain_memset((void *)first, 0, last - first);
	return 0;
}

int lz_heap_size(struct lz_heap *heap, const void *p, size_t *bytes)
{
	struct lz_region_record *region = lz_heap_validate_region_at(heap, p);

	if (region == NULL)
		return -ENOENT;
	*bytes = length_of(region);
	return 0;
}
