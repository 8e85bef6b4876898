/* Address ranges: rounding, adding to the ledger, and the page size of a mapping; see books.h. */
#include <errno.h>
#include <stdatomic.h>

#include "accounting/books.h"
#include "base/checked.h"
#include "os/vma.h"

/* Of the calling thread: /proc/self refers to the main thread, whose files are empty after pthread_exit. */
#define SMAPS "/proc/thread-self/smaps"

bool lz_books_page_length(const struct lz_books *books, uint64_t size, size_t *length)
{
	uint64_t rounded;

	if (size == 0 || size > PTRDIFF_MAX || !lz_round_up(size, books->page, &rounded) ||
		rounded > PTRDIFF_MAX)
		return false;
	*length = (size_t)rounded;
	return true;
}

bool lz_books_page_range(const struct lz_books *books, const void *address, size_t length,
	unsigned page_shift, uintptr_t *start, uintptr_t *end)
{
	uint64_t rounded, sum;

	if (length == 0 || ((uintptr_t)address & (books->page - 1)) != 0 ||
		!lz_round_up(length, UINT64_C(1) << page_shift, &rounded) ||
		__builtin_add_overflow((uintptr_t)address, rounded, &sum))
		return false;
	*start = (uintptr_t)address;
	*end = sum;
	return true;
}

void lz_books_add_missing(
	struct lz_books *books, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	struct lz_window_part part;

	while (atomic_load_explicit(&books->windows.ever_used, memory_order_relaxed) && start < end &&
		lz_window_map_find(&books->windows, start, end, &part)) {
		struct lz_range_traits window = {.tag = traits.tag};

		lz_books_window_traits(books, &window);
		lz_ledger_add_missing(&books->ledger, start, part.start, traits);
		lz_ledger_add_missing(&books->ledger, part.start, part.end, window);
		start = part.end;
	}
	lz_ledger_add_missing(&books->ledger, start, end, traits);
}

unsigned lz_books_mapped_page_shift(struct lz_books *books, uintptr_t address)
{
	struct lz_vma vma;
	uint64_t bytes;
	int error = lz_vma_query(books->os, address, &vma);

	if (error == 0)
		bytes = vma.page_size;
	else if (error != -ENOENT)
		error = lz_smaps_value(books->os, SMAPS, address, "KernelPageSize:", &bytes);
	if (error != 0 || !lz_is_power_of_two(bytes) || bytes < books->page)
		return books->page_shift;
	return (unsigned)__builtin_ctzl(bytes);
}

struct lz_region_record *lz_books_region_around(struct lz_books *books, uintptr_t p)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&books->ledger, p);

	return range != NULL && range->start <= p && range->traits.tag != 0
		       ? lz_regions_find(&books->regions, range->traits.tag)
		       : NULL;
}
