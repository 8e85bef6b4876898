/* The lock of the books, and recovery after a fork or an unfinished section; see books.h. */
#include "accounting/books.h"

#include <stdatomic.h>

#include "os/descriptors.h"

void lz_books_init(
	struct lz_books *books, const struct lz_os *os, const struct lz_options *options, struct lz_log *log)
{
	books->os = os;
	books->options = options;
	books->log = log;
	books->page = os->page_size();
	books->page_shift = (unsigned)__builtin_ctzl(books->page);
	books->actual = UINT64_MAX;
	lz_regions_init(&books->regions, os);
	books->reservations.os = os;
}

void lz_books_register(struct lz_books *books, const struct lz_books_observer *observer)
{
	if (books->observers < LZ_BOOKS_OBSERVERS)
		books->observer[books->observers++] = *observer;
}

static void prepare(struct lz_books *books)
{
	/* Atomic, because the heap reads it without the lock. */
	__atomic_store_n(&books->geometry, lz_geometry_probe(books->os), __ATOMIC_RELAXED);
	lz_ledger_init(&books->ledger, books->geometry, books->os);
	lz_window_map_init(&books->windows, books->geometry, books->os);
	books->prepared = true;
}

/*
 * A thread changed the books and will never finish. Keeps the table of regions, in which every change is a
 * single store; has the observers recount the state they guard; and rebuilds the ledger.
 */
static void recover_inconsistent(struct lz_books *books)
{
	lz_pool_reset(&books->regions.pool);
	if (!books->prepared)
		return;
	lz_ledger_reset(&books->ledger);
	lz_window_map_reset(&books->windows);
	for (unsigned i = 0; i < books->observers; i++)
		if (books->observer[i].recount != NULL)
			books->observer[i].recount(books->observer[i].context);
	lz_books_reconcile(books);
}

/* In a forked child: updates the copied books before they are used. */
static void after_fork(struct lz_books *books)
{
	lz_descriptors_after_fork(books->os);
	lz_reservations_after_fork(&books->reservations);
	books->actual_read_ms = 0;
	lz_books_inherit_charge(books);
	for (unsigned i = 0; i < books->observers; i++)
		if (books->observer[i].after_fork != NULL)
			books->observer[i].after_fork(books->observer[i].context);
	lz_stats_after_fork(&books->stats);
	lz_log_after_fork(books->log);
}

bool lz_books_lock_at(struct lz_books *books, struct lz_frame_mark *mark)
{
	enum lz_lock_result result;

	if (books->lock.page == NULL)
		return false; /* not initialised: too early, or there was no memory for it */
	if (atomic_load_explicit(&books->disabled, memory_order_relaxed))
		return false;
	result = lz_lock_acquire(&books->lock, mark);
	if (result == LZ_LOCK_UNAVAILABLE) {
		lz_stats_add(&books->stats, untracked, 1);
		/*
		 * The call continues untracked and may change any region, so no region that is live now may
		 * be reused.
		 */
		atomic_store_explicit(&books->has_untracked_calls, true, memory_order_relaxed);
		atomic_fetch_add_explicit(&books->regions.untracked_changes, 1, memory_order_relaxed);
		return false;
	}
	if (result == LZ_LOCK_INCONSISTENT || result == LZ_LOCK_FORKED_INCONSISTENT)
		recover_inconsistent(books);
	if (!books->prepared)
		prepare(books);
	if (result == LZ_LOCK_FORKED || result == LZ_LOCK_FORKED_INCONSISTENT)
		after_fork(books);
	lz_regions_unlink_deferred(&books->regions);
	return true;
}

void lz_books_unlock(struct lz_books *books)
{
	lz_lock_release(&books->lock);
}
