/* Reconciles the ledger and the map of windows with /proc/self/maps; see books.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "accounting/books.h"
#include "base/checked.h"
#include "os/descriptors.h"
#include "os/procfs.h"

/*
 * Removes a mapping that is not a piece of a window. Memory of /dev/zero that left its window must still be
 * treated as a file, so it stays in the map.
 */
static void remove_from_window_map(struct lz_books *books, const struct lz_mapping *mapping)
{
	bool anonymous = mapping->inode == 0 && !mapping->shared;
	uintptr_t start = mapping->start;
	struct lz_window_part part;

	for (; lz_window_map_find(&books->windows, start, mapping->end, &part); start = part.end)
		if (!part.dev_zero || !anonymous)
			lz_window_map_remove(&books->windows, part.start, part.end);
}

static uintptr_t window_tag(const struct lz_books *books, const struct lz_mapping *mapping)
{
	uintptr_t tag = 0;

	for (unsigned i = 0; i < books->observers && tag == 0; i++)
		if (books->observer[i].window_tag != NULL)
			tag = books->observer[i].window_tag(books->observer[i].context, mapping);
	return tag;
}

/*
 * Updates the map of windows from a mapping of /proc/self/maps. If the position of the pieces is known, it is
 * kept.
 */
static void update_window_map(struct lz_books *books, const struct lz_mapping *mapping)
{
	struct lz_range_traits traits = {
		.page_shift = (uint8_t)books->page_shift, .tag = window_tag(books, mapping)};

	if (traits.tag == 0) {
		remove_from_window_map(books, mapping);
		return;
	}
	/*
	 * Another thread may have removed a region and be about to unmap its pieces. If the program's calls
	 * are followed, what is mapped there next removes the entry again; if not, nothing would.
	 */
	if ((books->options->intercept & LZ_INTERCEPT_MMAP) == 0 &&
		lz_books_region_around(books, mapping->start) == NULL)
		return;
	atomic_store_explicit(&books->windows.ever_used, true, memory_order_relaxed);
	lz_window_map_add_missing(&books->windows, mapping->start, mapping->end, traits);
}

/*
 * Returns the traits of a mapping of /proc/self/maps, which identifies huge pages only by the names of some
 * mappings. The size of a mapped file cannot be found out here, because a path may by now name another file:
 * parts that were not recorded when they were mapped count as whole mappings.
 */
static struct lz_range_traits listed_traits(struct lz_books *books, const struct lz_mapping *mapping)
{
	unsigned page_shift = books->page_shift;

	if (strncmp(mapping->path, "/anon_hugepage", 14) == 0)
		page_shift = lz_books_mapped_page_shift(books, mapping->start);
	return (struct lz_range_traits){.page_shift = (uint8_t)page_shift};
}

int lz_books_reconcile(struct lz_books *books)
{
	const uintptr_t top = (uintptr_t)1 << books->geometry->user_bits;
	struct lz_ledger *ledger = &books->ledger;
	struct lz_line_reader lines;
	uintptr_t gap = 0; /* end of the previous mapping */
	char *line;
	uint64_t started_ms = books->os->now_ms();
	int error = lz_line_reader_open(&lines, books->os, LZ_MAPS);

	if (error)
		return error;
	while (error == 0 && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.start >= top)
			continue;
		if (mapping.start > gap) {
			error = lz_ledger_remove(ledger, gap, mapping.start);
			lz_window_map_remove(&books->windows, gap, mapping.start);
		}
		gap = mapping.end;
		if (error != 0)
			break;
		update_window_map(books, &mapping);
		/* What was recorded of a file is stale where a call was missed that mapped something else. */
		if (mapping.inode == 0)
			error = lz_ledger_remove_where(ledger, mapping.start, mapping.end, true);
		if (error == 0 && !mapping.readable && !mapping.writable && !mapping.executable)
			error = lz_ledger_remove_where(ledger, mapping.start, mapping.end, false);
		else if (error == 0)
			lz_books_add_missing(
				books, mapping.start, mapping.end, listed_traits(books, &mapping));
	}
	/* If reading the file failed, or it was empty, nothing is known about higher addresses. */
	if (error == 0)
		error = lines.error != 0 ? lines.error
			: gap == 0       ? -ENODATA
					 : lz_ledger_remove(ledger, gap, UINTPTR_MAX);
	if (error == 0)
		lz_window_map_remove(&books->windows, gap, UINTPTR_MAX);
	lz_line_reader_close(&lines);
	ledger->inexact = error != 0;
	books->reconciled_ms = lz_nonzero_time(books->os->now_ms());
	books->reconcile_took_ms = lz_sub_clamped(books->reconciled_ms, started_ms);
	lz_books_publish_statistics(books);
	return error;
}
