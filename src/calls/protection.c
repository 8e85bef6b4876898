/* mprotect(2) and pkey_mprotect(2) of the program; see calls.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "backing/backings.h"
#include "calls/internal.h"
#include "os/mman.h"

static int protect(struct lz_calls *calls, void *address, size_t length, int protection, int key)
{
	if (key == -1)
		return calls->next->mprotect(address, length, protection);
	return (int)calls->next->any_syscall(
		SYS_pkey_mprotect, (long)address, (long)length, protection, key, 0, 0);
}

int lz_calls_mprotect(
	struct lz_calls *calls, void *address, size_t length, int protection, int key, const void *caller)
{
	struct lz_table_demand need = {.page_shift = calls->books->page_shift};
	const struct lz_request request = {.call = "mprotect", .size = length, .caller = caller};
	struct lz_grant grant;
	bool touchable = lz_is_accessible(protection);
	struct lz_backed_part part;
	uintptr_t start, end;
	int error;

	lz_cache_evict_range(calls->cache, (uintptr_t)address, lz_range_end(address, length));
	if (!lz_books_page_range(calls->books, address, length, calls->books->page_shift, &start, &end))
		return protect(calls, address, length, protection, key);
	if (touchable && atomic_load_explicit(&calls->hugetlb_seen, memory_order_relaxed))
		need.page_shift = lz_books_mapped_page_shift(calls->books, start);
	else if (touchable && lz_backings_next_part(calls->backings, start, end, &part) &&
		 part.where.start == start && part.where.end == end)
		need.page_shift = calls->books->ledger.span_shift[0];
	need.start = start;
	need.end = end;
	lz_grant_init_empty(&grant);
	if (touchable && lz_calls_request(calls, &request, &need, &grant, NULL) != 0)
		return -ENOMEM;
	error = protect(calls, address, length, protection, key);
	/* ENOMEM at a hole: the memory before the hole was changed. */
	if (error != -EINVAL && (protection != (PROT_READ | PROT_WRITE) || key != -1))
		lz_calls_note_attributes_changed(calls, start, end);
	if (error != -EINVAL && key > 0)
		lz_backings_note_attributes_changed(calls->backings, start, end, true);
	if (error != 0 && error != -EINVAL) {
		lz_books_reconcile_after_failure(calls->books);
	} else if (error == 0 && lz_books_lock(calls->books)) {
		if (touchable)
			lz_books_add_missing(calls->books, start, end,
				(struct lz_range_traits){.page_shift = (uint8_t)need.page_shift});
		else
			lz_ledger_remove_where(&calls->books->ledger, start, end, false);
		lz_books_publish_statistics(calls->books);
		lz_books_unlock(calls->books);
	}
	lz_budget_settle(calls->budget, &grant, error == 0);
	return error;
}
