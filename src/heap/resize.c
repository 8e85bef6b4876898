/*
 * Resizing regions of the heap. To grow, page tables are moved and no bytes are copied: the region grows in
 * place, or moves to an address at the same offset within its page tables' span. Only a region that consists
 * of several mappings is copied.
 */
#include <errno.h>
#include <stdatomic.h>

#include "backing/backings.h"
#include "backing/sparse_copy.h"
#include "backing/placement.h"
#include "base/checked.h"
#include "heap/heap.h"
#include "os/mman.h"
#include "os/via_next.h"

/* Smaller growth is not checked against the kernel's overcommit rules. */
#define OVERCOMMIT_BYTES ((size_t)256 << 20)

/* A region about to be resized. */
struct resized {
	struct lz_region_record *region;
	uintptr_t base;
	size_t length, new_length;
	bool joined; /* the region and its header are one mapping */
};

/* Unmaps the tail. If the kernel cannot split the mapping (vm.max_map_count), only the pages are dropped. */
static void shrink(struct lz_heap *heap, const struct resized *resized)
{
	struct lz_region_record *region = resized->region;
	struct lz_books *books = heap->books;
	uintptr_t start = resized->base + resized->new_length, end = resized->base + resized->length;
	const struct lz_os *next = heap->backings->next;

	if (lz_report_is_active(heap->reporter))
		lz_report_before_free(heap->reporter, region, start, end);
	if (lz_books_lock(books)) {
		lz_ledger_remove(&books->ledger, start, end);
		lz_window_map_remove(&books->windows, start, end);
		lz_books_publish_statistics(books);
		lz_books_unlock(books);
	}
	if (lz_munmap_via_next(heap->os, next, start, end - start) != 0) {
		lz_madvise_via_next(heap->os, next, start, end - start, MADV_DONTNEED);
		lz_books_reconcile_after_failure(books);
		return;
	}
	lz_header_write(&heap->backings->header, resized->base, resized->new_length);
	atomic_store_explicit(&region->length, resized->new_length, memory_order_relaxed);
	lz_stats_sub(&books->stats, region_bytes, end - start);
	lz_stats_sub(&books->stats, window_region_bytes, region->on_window ? end - start : 0);
}

/*
 * Updates the books for a region that is now `new_length` bytes long at the same place; `length` bytes are
 * right in the ledger. 0: nothing is, nor is its header.
 */
static void set_length(struct lz_heap *heap, struct lz_region_record *region, uintptr_t base, size_t length,
	size_t new_length)
{
	struct lz_books *books = heap->books;
	struct lz_range_traits traits = {.page_shift = (uint8_t)books->page_shift, .tag = base};

	lz_header_write(&heap->backings->header, base, new_length);
	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	region->fully_resident = false;
	if (!lz_books_lock(books))
		return;
	lz_regions_filter_add(&books->regions, base, new_length);
	lz_ledger_remove(&books->ledger, base + length, base + new_length);
	lz_books_add_missing(books, length != 0 ? base + length : base - heap->backings->header.bytes,
		base + new_length, traits);
	lz_books_publish_statistics(books);
	lz_books_unlock(books);
}

/* Removes only the record of a claimed region from the table. */
static void remove_record(struct lz_heap *heap, struct lz_region_record *region)
{
	if (!lz_books_lock(heap->books)) {
		lz_regions_defer_unlink(&heap->books->regions, region);
		return;
	}
	lz_regions_unlink(&heap->books->regions, region);
	lz_books_unlock(heap->books);
}

/* Moves a claimed region to a new place. 0 or -errno; on failure it is where it was and is still claimed. */
static int move(
	struct lz_heap *heap, const struct lz_lease *lease, const struct resized *resized, uintptr_t *moved)
{
	const struct lz_region_record *region = resized->region;
	size_t lead = heap->backings->header.bytes, whole = resized->new_length + lead;
	intptr_t target = lz_placement_reserve_alike(heap->backings, resized->base - lead, whole);
	struct lz_region_entry to = {.base = (uintptr_t)target + lead,
		.length = resized->new_length,
		.header_bytes = lead,
		.attributes = {
			region->backing, region->huge_pages_refused, region->on_window, region->accounted}};
	struct lz_region_record *record;
	int error;

	if (lz_os_failed(target))
		return (int)target;
	error = lz_books_add_region(heap->books, &to, resized->base, resized->length);
	if (error) {
		heap->os->munmap((void *)target, whole);
		return error;
	}
	/* Attributes that the program changed move along with the mapping. */
	record = lz_regions_find(&heap->books->regions, to.base);
	if (record != NULL && lz_regions_altered_by_program(&heap->books->regions, region))
		record->altered_by_program = true;
	error = region->backing->move(
		heap->backings, lease, resized->base, resized->length, &to, resized->joined);
	if (error == 0) {
		*moved = to.base;
		/* Without a lease, what was added is plain memory. */
		if (record != NULL && region->on_window)
			set_length(heap, record, to.base, resized->length, to.length);
		return 0;
	}
	if (record != NULL && lz_regions_claim(record))
		lz_books_remove_region(heap->books, record, to.base, to.length, lead);
	heap->os->munmap((void *)target, whole);
	return error;
}

/*
 * The last resort for a region that is one mapping with its header, if address space does not suffice for
 * both places (RLIMIT_AS): the kernel chooses the address. This is the only system call made with the lock
 * held, because the books must be updated without fail.
 */
static int move_anywhere(struct lz_heap *heap, const struct resized *resized, uintptr_t *moved)
{
	struct lz_books *books = heap->books;
	struct lz_range_traits traits = {.page_shift = (uint8_t)books->page_shift};
	size_t lead = heap->backings->header.bytes;
	uintptr_t base = resized->base;
	intptr_t at;

	if (!lz_books_lock(books))
		return -EAGAIN;
	at = heap->os->mremap((void *)(base - lead), resized->length + lead, resized->new_length + lead,
		MREMAP_MAYMOVE, NULL);
	if (!lz_os_failed(at)) {
		traits.tag = *moved = (uintptr_t)at + lead;
		lz_header_write(&heap->backings->header, *moved, resized->new_length);
		lz_ledger_remove(&books->ledger, base - lead, base + resized->length);
		lz_ledger_set(&books->ledger, *moved - lead, *moved + resized->new_length, traits);
		lz_regions_rebase(&books->regions, resized->region, *moved, resized->new_length);
		lz_books_publish_statistics(books);
	}
	lz_books_unlock(books);
	return lz_os_failed(at) ? (int)at : 0;
}

/*
 * Copies a claimed region that the program has split into several mappings, by advising, protecting or
 * locking a part of it (numpy gives MADV_HUGEPAGE from the second page on). mremap fails with EFAULT on such
 * a region, so its bytes are copied to plain memory.
 */
static int move_by_copy(struct lz_heap *heap, const struct resized *resized, uintptr_t *moved)
{
	const struct lz_backing *plain = lz_backing_for_choice(LZ_BACKING_ZEROPAGE);
	struct lz_placement placement = {
		.length = resized->new_length, .accounted = resized->region->accounted};
	uintptr_t end = resized->base + resized->length;
	struct lz_region_entry entry;
	int error = plain->map(heap->backings, NULL, &placement, &entry);

	if (error)
		return error;
	lz_header_write(&heap->backings->header, entry.base, entry.length);
	error = lz_books_add_region(heap->books, &entry, resized->base, resized->length);
	if (error) {
		heap->os->munmap(
			(void *)(entry.base - entry.header_bytes), entry.length + entry.header_bytes);
		return error;
	}
	lz_sparse_copy_pages(heap->backings, resized->base, end, entry.base);
	if (lz_books_lock(heap->books)) {
		lz_window_map_remove(&heap->books->windows, resized->base, end);
		lz_books_unlock(heap->books);
	}
	lz_placement_unmap(heap->backings, resized->base, resized->length);
	lz_backings_release_unused(heap->backings);
	*moved = entry.base;
	return 0;
}

/*
 * Whether the kernel would grant that much memory to a program without lazyzero. A region made with
 * MAP_NORESERVE, or on a window, is exempt from the overcommit rules. They never refuse a request smaller
 * than the machine's memory (__vm_enough_memory in mm/util.c).
 */
static bool overcommit_allows(struct lz_heap *heap, size_t bytes)
{
	intptr_t at;

	if (bytes < OVERCOMMIT_BYTES)
		return true;
	at = heap->os->mmap(NULL, bytes, PROT_READ | PROT_WRITE, lz_placement_flags(true), -1, 0);
	if (lz_os_failed(at))
		return false;
	heap->os->munmap((void *)at, bytes);
	return true;
}

__attribute__((noinline)) static int grow(
	struct lz_heap *heap, const struct lz_lease *lease, struct resized *resized, uintptr_t *moved)
{
	const struct lz_backing *backing = resized->region->backing;
	int error;

	*moved = resized->base;
	if (!overcommit_allows(heap, resized->new_length - resized->length))
		return -ENOMEM;
	error = backing->grow(
		heap->backings, lease, resized->base, resized->length, resized->new_length, &resized->joined);
	if (error == 0) {
		set_length(heap, resized->region, resized->base, resized->length, resized->new_length);
		return 0;
	}
	if (!lz_regions_claim(resized->region))
		return -ENOENT;
	/*
	 * Each method is tried if the one before failed; a region in several mappings (EFAULT) can only be
	 * copied.
	 */
	if (error != -EFAULT && move(heap, lease, resized, moved) == 0) {
		remove_record(heap, resized->region);
		return 0;
	}
	if (resized->joined && move_anywhere(heap, resized, moved) == 0)
		return 0;
	error = move_by_copy(heap, resized, moved);
	if (error == 0) {
		remove_record(heap, resized->region);
		return 0;
	}
	/* The region is unchanged: its record becomes live again, and its range returns to the ledger. */
	*moved = resized->base;
	lz_regions_unclaim(resized->region);
	set_length(heap, resized->region, resized->base, 0, resized->length);
	return error;
}

/* Updates the statistics after growth; a region that was copied is not on a window any more. */
static void count_growth(
	struct lz_heap *heap, bool was_on_window, uintptr_t base, const struct resized *resized)
{
	const struct lz_region_record *region = lz_regions_find(&heap->books->regions, base);
	bool is_on_window = region != NULL && region->on_window;
	struct lz_stats *stats = &heap->books->stats;

	lz_stats_add(stats, region_bytes, resized->new_length - resized->length);
	lz_stats_add(stats, window_region_bytes, is_on_window ? resized->new_length - resized->length : 0);
	lz_stats_sub(stats, window_regions, was_on_window && !is_on_window);
	lz_stats_sub(stats, window_region_bytes, was_on_window && !is_on_window ? resized->length : 0);
}

/* Decides on growth, and grows. 0, -ENOMEM or -EAGAIN. */
__attribute__((noinline)) static int request_growth(
	struct lz_heap *heap, const struct lz_request *request, struct resized *resized, uintptr_t *moved)
{
	const struct lz_backing *backing = resized->region->backing;
	struct lz_table_demand need = {.page_shift = heap->books->page_shift,
		.bytes = resized->new_length,
		.old_bytes = resized->length};
	unsigned site = resized->region->site;
	bool on_window = resized->region->on_window;
	struct lz_lease lease = {.backing = NULL};
	struct lz_grant grant;
	int error;

	if (backing->acquire != NULL && backing->acquire(heap->backings, resized->new_length,
						resized->new_length - resized->length, &lease) == 0)
		need.page_shift = heap->books->ledger.span_shift[0];
	error = lz_budget_request(heap->budget, request, &need, &grant, NULL);
	if (error == 0) {
		error = grow(heap, &lease, resized, moved) != 0 ? -EAGAIN : 0;
		lz_budget_settle(heap->budget, &grant, error == 0);
	}
	lz_lease_release(heap->backings, &lease);
	if (error)
		return error;
	if (!grant.over_budget)
		lz_placement_populate_if_configured(
			heap->backings, *moved + resized->length, resized->new_length - resized->length);
	count_growth(heap, on_window, *moved, resized);
	if (lz_report_is_active(heap->reporter))
		lz_report_region_resized(
			heap->reporter, site, resized->base, (void *)*moved, resized->length);
	return 0;
}

int lz_heap_resize(struct lz_heap *heap, const struct lz_request *request, void *p, void **out)
{
	struct resized resized = {.region = lz_heap_validate_region_at(heap, p), .base = (uintptr_t)p};
	uintptr_t moved = resized.base;
	int error = 0;

	if (resized.region == NULL)
		return -ENOENT;
	if (!lz_books_page_length(heap->books, request->size, &resized.new_length))
		return -ENOMEM;
	resized.length = atomic_load_explicit(&resized.region->length, memory_order_relaxed);
	lz_zeroing_forget(heap->zeroing, resized.base, resized.base + resized.length, false);
	if (resized.new_length < resized.length)
		shrink(heap, &resized);
	else if (resized.new_length > resized.length)
		error = request_growth(heap, request, &resized, &moved);
	if (error == 0)
		*out = (void *)moved;
	return error;
}
