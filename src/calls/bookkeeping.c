/* Updating the books for calls of the program; see internal.h. */
#include <errno.h>
#include <stdatomic.h>

#include "backing/backings.h"
#include "calls/internal.h"

void lz_calls_count_mapping(struct lz_calls *calls, size_t length)
{
	if (length < calls->options->threshold)
		return;
	lz_stats_add(&calls->books->stats, mappings_total, 1);
	lz_stats_add(&calls->books->stats, mapping_bytes_total, length);
}

bool lz_calls_fits_budget_alone(struct lz_calls *calls, size_t length)
{
	const struct lz_geometry *geometry;
	struct lz_tables tables;

	/* Also determines the geometry. */
	lz_books_resolve_budget_early(calls->books);
	geometry = calls->books->geometry;
	if (geometry == NULL || length >> geometry->user_bits != 0)
		return false;
	tables = lz_tables_minimum(geometry, length, calls->books->page_shift);
	return lz_tables_vmpte_bytes(geometry, &tables) <= calls->books->budget.bytes;
}

void lz_calls_before_unmap(struct lz_calls *calls, uintptr_t start, uintptr_t end, bool owner_done)
{
	lz_books_before_unmap(calls->books, start, end);
	lz_zeroing_forget(calls->zeroing, start, end, owner_done);
}

void lz_calls_report_mapping(
	struct lz_calls *calls, const struct lz_request *request, intptr_t start, unsigned kind)
{
	uintptr_t first, end;

	if (lz_report_is_active(calls->reporter) && request->size >= calls->options->threshold &&
		lz_books_page_range(
			calls->books, (void *)start, request->size, calls->books->page_shift, &first, &end))
		lz_report_mapping_made(calls->reporter, request, first, end, kind);
}

void lz_calls_note_if_hugetlb(struct lz_calls *calls, unsigned page_shift)
{
	if (page_shift != calls->books->page_shift)
		atomic_store_explicit(&calls->hugetlb_seen, true, memory_order_relaxed);
}

void lz_calls_note_attributes_changed(struct lz_calls *calls, uintptr_t start, uintptr_t end)
{
	lz_cache_evict_range(calls->cache, start, end);
	lz_backings_note_attributes_changed(calls->backings, start, end, false);
	lz_books_mark_regions_altered(calls->books, start, end);
}

int lz_calls_request(struct lz_calls *calls, const struct lz_request *request, struct lz_table_demand *need,
	struct lz_grant *grant, struct lz_lease *lease)
{
	int error;

	lz_grant_init_empty(grant);
	if (lease != NULL)
		lease->backing = NULL;
	if (request->size < calls->options->threshold)
		return 0;
	error = lz_budget_request(calls->budget, request, need, grant, lease);
	if (error != 0)
		lz_grant_init_empty(grant);
	return error == -ENOMEM ? error : 0;
}

void lz_calls_record_mapping(struct lz_calls *calls, const struct lz_new_mapping *mapping)
{
	struct lz_books *books = calls->books;
	uintptr_t uncommitted = mapping->end - mapping->uncommitted;

	if (!lz_books_lock(books))
		return;
	if (mapping->placed_by_kernel)
		lz_books_remove_stale_regions(books, mapping->start, mapping->end);
	lz_backings_range_overwritten(calls->backings, mapping->start, mapping->end);
	if (mapping->window_tag != 0)
		lz_window_map_add(&books->windows, mapping->start, mapping->end, mapping->window_tag);
	else
		lz_window_map_remove(&books->windows, mapping->start, mapping->end);
	lz_ledger_remove(&books->ledger, mapping->start, mapping->end);
	if (mapping->touchable)
		lz_ledger_add_missing(&books->ledger, mapping->start, uncommitted, mapping->traits);
	if (mapping->uncommitted != 0 && (mapping->touchable || mapping->beyond_file))
		lz_ledger_add_missing(&books->ledger, uncommitted, mapping->end,
			(struct lz_range_traits){.page_shift = mapping->beyond_file
								       ? LZ_PAGE_SHIFT_BEYOND_FILE
								       : LZ_PAGE_SHIFT_UNCOMMITTED});
	lz_books_publish_statistics(books);
	lz_books_unlock(books);
}

/* --- saving a range before its call, and restoring it if the call fails --- */

void lz_saved_pieces_fill(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_saved_pieces *pieces)
{
	struct lz_range *range = lz_ledger_find_at_or_above(ledger, start);

	pieces->count = 0;
	pieces->all = true;
	for (; range != NULL && range->start < end; range = lz_ledger_next(range)) {
		if (pieces->count == LZ_SAVED_PIECES_MAX) {
			pieces->all = false;
			break;
		}
		pieces->piece[pieces->count].start = lz_sub_clamped(range->start, start);
		pieces->piece[pieces->count].end = lz_min_u64(range->end, end) - start;
		pieces->piece[pieces->count].traits = range->traits;
		pieces->count++;
	}
}

void lz_calls_save_range(struct lz_calls *calls, uintptr_t start, uintptr_t end, struct lz_saved_range *saved)
{
	struct lz_books *books = calls->books;

	lz_saved_pieces_fill(&books->ledger, start, end, &saved->touchable);
	lz_ledger_remove(&books->ledger, start, end);
	saved->windows.count = 0;
	saved->windows.all = true;
	saved->wiped.count = 0;
	if (!atomic_load_explicit(&books->windows.ever_used, memory_order_relaxed))
		return;
	lz_saved_pieces_fill(&books->windows.ranges, start, end, &saved->windows);
	lz_wipe_table_list(&books->windows.wipes, start, end, &saved->wiped);
	lz_window_map_remove(&books->windows, start, end);
}

static void restore(struct lz_ledger *ledger, uintptr_t start, const struct lz_saved_pieces *pieces)
{
	for (size_t i = 0; i < pieces->count; i++)
		lz_ledger_add_missing(ledger, start + pieces->piece[i].start, start + pieces->piece[i].end,
			pieces->piece[i].traits);
}

void lz_calls_restore_range(struct lz_calls *calls, uintptr_t start, const struct lz_saved_range *saved)
{
	struct lz_books *books = calls->books;

	if (!lz_books_lock(books))
		return;
	restore(&books->ledger, start, &saved->touchable);
	for (size_t i = 0; i < saved->windows.count; i++)
		lz_window_map_add_missing(&books->windows, start + saved->windows.piece[i].start,
			start + saved->windows.piece[i].end, saved->windows.piece[i].traits);
	lz_wipe_table_restore(&books->windows.wipes, start, &saved->wiped, SIZE_MAX, SIZE_MAX);
	if (!saved->touchable.all || !saved->windows.all)
		lz_books_reconcile(books);
	lz_books_publish_statistics(books);
	lz_books_unlock(books);
}
