/* Functions on the books for callers that do not hold the lock; see books.h. */
#include <stdatomic.h>

#include "accounting/books.h"

uintptr_t lz_books_window_tag_at(struct lz_books *books, uintptr_t address)
{
	uintptr_t tag;

	if (!lz_books_lock(books))
		return 0;
	tag = lz_window_map_tag_at(&books->windows, address);
	lz_books_unlock(books);
	return tag;
}

void lz_books_reconcile_after_failure(struct lz_books *books)
{
	if (!lz_books_lock(books))
		return;
	lz_books_reconcile(books);
	lz_books_unlock(books);
}

void lz_books_publish_charge(struct lz_books *books)
{
	if (__atomic_load_n(&books->group.segment, __ATOMIC_RELAXED) == NULL || !lz_books_lock(books))
		return;
	lz_books_publish_statistics(books);
	lz_books_unlock(books);
}

void lz_books_resolve_budget_early(struct lz_books *books)
{
	if (__atomic_load_n(&books->budget.resolved, __ATOMIC_ACQUIRE) || !lz_books_lock(books))
		return;
	lz_books_resolve_budget(books);
	lz_books_unlock(books);
}
