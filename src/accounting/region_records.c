/* Adds the heap's regions to the books and removes them; see books.h. */
#include <errno.h>
#include <stdatomic.h>

#include "accounting/books.h"

static size_t length_of(const struct lz_region_record *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

void lz_books_count_region(struct lz_books *books, size_t length, bool on_window)
{
	lz_stats_add(&books->stats, regions, 1);
	lz_stats_add(&books->stats, region_bytes, length);
	lz_stats_add(&books->stats, window_regions, on_window);
	lz_stats_add(&books->stats, window_region_bytes, on_window ? length : 0);
	lz_stats_add(&books->stats, regions_total, 1);
	lz_stats_add(&books->stats, region_bytes_total, length);
}

void lz_books_uncount_region(struct lz_books *books, size_t length, bool on_window)
{
	lz_stats_sub(&books->stats, regions, 1);
	lz_stats_sub(&books->stats, region_bytes, length);
	lz_stats_sub(&books->stats, window_regions, on_window);
	lz_stats_sub(&books->stats, window_region_bytes, on_window ? length : 0);
}

void lz_books_count_placed_on_window(struct lz_books *books, size_t length)
{
	lz_stats_add(&books->stats, window_regions_total, 1);
	lz_stats_add(&books->stats, window_bytes_total, length);
}

/* Removes the record of a claimed region. The caller updates the ledger. Needs the lock. */
static void remove_record(struct lz_books *books, struct lz_region_record *region)
{
	lz_books_uncount_region(books, length_of(region), region->on_window);
	lz_regions_unlink(&books->regions, region);
}

void lz_books_remove_stale_regions(struct lz_books *books, uintptr_t start, uintptr_t end)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&books->ledger, start);

	for (; range != NULL && range->start < end; range = lz_ledger_next(range)) {
		struct lz_region_record *region =
			range->traits.tag != 0 ? lz_regions_find(&books->regions, range->traits.tag) : NULL;

		if (region != NULL && lz_regions_claim(region)) {
			remove_record(books, region);
			/* Other parts of the region may still be in the ledger. */
			atomic_store_explicit(&books->has_untracked_calls, true, memory_order_relaxed);
		}
	}
}

/* Removes the record of a region that the program unmapped without freeing it. */
static void remove_record_at(struct lz_books *books, uintptr_t base)
{
	struct lz_region_record *region = lz_regions_find(&books->regions, base);

	if (region != NULL && lz_regions_claim(region))
		remove_record(books, region);
}

int lz_books_add_region(
	struct lz_books *books, const struct lz_region_entry *entry, uintptr_t from, size_t from_length)
{
	uintptr_t base = entry->base, end = base + entry->length, start = base - entry->header_bytes;
	struct lz_range_traits traits = {.page_shift = (uint8_t)books->page_shift, .tag = base};
	int error;

	if (!lz_books_lock(books))
		return -EAGAIN;
	lz_books_remove_stale_regions(books, start, end);
	remove_record_at(books, base);
	error = lz_regions_insert(&books->regions, base, entry->length, entry->attributes);
	if (error == 0) {
		if (from != 0)
			lz_ledger_remove(&books->ledger, from - entry->header_bytes, from + from_length);
		lz_ledger_set(&books->ledger, start, end, traits);
		if (entry->window_tag != 0)
			lz_window_map_add(&books->windows, base, end, entry->window_tag);
		if (entry->attributes.on_window) {
			lz_books_window_traits(books, &traits);
			lz_ledger_set(&books->ledger, base, end, traits);
		}
		lz_books_publish_statistics(books);
	}
	lz_books_unlock(books);
	return error;
}

void lz_books_remove_region(struct lz_books *books, struct lz_region_record *region, uintptr_t base,
	size_t length, size_t header_bytes)
{
	if (!lz_books_lock(books)) {
		lz_regions_defer_unlink(&books->regions, region);
		return;
	}
	lz_books_read_vmpte_before_unmap(books, length);
	lz_regions_unlink(&books->regions, region);
	lz_ledger_remove(&books->ledger, base - header_bytes, base + length);
	lz_window_map_remove(&books->windows, base, base + length);
	lz_books_publish_statistics(books);
	lz_books_unlock(books);
}

void lz_books_remove_unmapped_region(
	struct lz_books *books, struct lz_region_record *region, uintptr_t base, size_t header_bytes)
{
	atomic_store_explicit(&books->has_untracked_calls, true, memory_order_relaxed);
	if (!lz_books_lock(books))
		return;
	if (lz_regions_claim(region)) {
		lz_ledger_remove(&books->ledger, base - header_bytes, base + length_of(region));
		lz_window_map_remove(&books->windows, base, base + length_of(region));
		remove_record(books, region);
	}
	lz_books_unlock(books);
}

/* A range that no region was ever near needs no lock. Larger ranges are not looked up block by block. */
static bool may_hold_regions(const struct lz_books *books, uintptr_t start, uintptr_t end)
{
	return start >> LZ_REGION_FILTER_SHIFT != (end - 1) >> LZ_REGION_FILTER_SHIFT ||
	       lz_regions_may_be_near(&books->regions, start);
}

void lz_books_mark_regions_altered(struct lz_books *books, uintptr_t start, uintptr_t end)
{
	if (start >= end || !may_hold_regions(books, start, end) || !lz_books_lock(books))
		return;
	for (struct lz_range *range = lz_ledger_find_at_or_above(&books->ledger, start);
		range != NULL && range->start < end; range = lz_ledger_next(range)) {
		struct lz_region_record *region =
			range->traits.tag != 0 ? lz_regions_find(&books->regions, range->traits.tag) : NULL;

		if (region != NULL)
			region->altered_by_program = true;
	}
	lz_books_unlock(books);
}
