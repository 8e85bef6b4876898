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

void lz_books_before_unmap(struct lz_books *books, uintptr_t start, uintptr_t end)
{
	if (!lz_group_overlaps(&books->group, start, end) || !lz_books_lock(books))
		return;
	lz_group_abandon(&books->group);
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

bool lz_books_update_budget(struct lz_books *books, unsigned age_ms)
{
	uint64_t checked_ms = __atomic_load_n(&books->budget.checked_ms, __ATOMIC_RELAXED);
	bool changed;

	/* Under a seccomp filter of the program, not even the clock may be read. */
	if (atomic_load_explicit(&books->disabled, memory_order_relaxed) ||
		books->os->now_ms() - checked_ms < age_ms || !lz_books_lock(books))
		return false;
	changed = lz_budget_size_update(&books->budget, books->os, &books->options->budget, "");
	if (changed)
		lz_books_publish_budget(books);
	lz_books_unlock(books);
	return changed;
}
