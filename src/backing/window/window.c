/* Acquiring zero windows: creating, checking and replacing them; see window.h. */
#include "backing/window/window.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backing/window/create.h"
#include "base/checked.h"
#include "base/text.h"

#include "os/cgroup.h"
#include "os/mman.h"
#include "os/scratch.h"

/* How soon to retry after a window could not be created, and how often to check an existing one. */
#define CREATE_RETRY_MS 1000u
#define CHECK_MS 100u

/* --- logging --- */

/* Whether a reason was not logged before; marks it as logged. */
static bool mark_reported(struct lz_windows *windows, const char *step)
{
	for (unsigned i = 0; i < LZ_WINDOW_REASONS; i++) {
		const char *said = NULL;

		if (atomic_compare_exchange_strong(&windows->logged[i], &said, step))
			return true;
		if (said == step)
			return false;
	}
	return false;
}

void lz_window_log_failure(struct lz_backings *backings, const char *step, int error)
{
	const struct lz_options *options = backings->options;
	char *buffer = lz_scratch_take(backings->os);
	struct lz_text text;

	if (buffer == NULL || !mark_reported(backings->windows, step)) {
		lz_scratch_release(backings->os, buffer);
		return;
	}
	text = lz_text_init(buffer, LZ_SCRATCH_BYTES);
	lz_text_string(&text, "no zero window: ");
	lz_text_string(&text, step);
	if (error != 0) {
		lz_text_string(&text, ": ");
		lz_text_string(&text, lz_error_text(error));
	}
	if (options->backing == LZ_BACKING_WINDOW)
		lz_text_string(&text, "; the zero page is used instead");
	else if (options->policy == LZ_POLICY_REFUSE)
		lz_text_string(&text, "; requests over the budget are refused");
	else
		lz_text_string(&text, "; requests over the budget are served from the zero page");
	lz_log_note(backings->log, buffer);
	lz_scratch_release(backings->os, buffer);
}

/* Fills a lease for a window that already counts this user. Needs the lock of the books. */
static void fill_lease(
	struct lz_backings *backings, struct lz_window *window, size_t bytes, struct lz_lease *lease)
{
	const struct lz_use_count users = {&window->users, &backings->windows->any_retired};

	lease->object = window;
	lease->keeper = window->keeper;
	lease->source = window->source;
	lease->bytes = bytes;
	lz_reservation_slot_add(&backings->books->reservations, &lease->hold, 0, &users);
}

/* What a window has to provide: pieces of `bytes`, of `min_bytes` if memory is short, for a mapping of
 * `length`. */
struct wanted {
	size_t bytes, min_bytes, length;
	size_t last; /* size of the newest window */
};

/*
 * Leases a window that is large enough for the pieces wanted. Needs the lock of the books.
 */
static void lease_existing(struct lz_backings *backings, const struct wanted *wanted, struct lz_lease *lease)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		if (window->bytes >= wanted->bytes && !window->retired) {
			atomic_fetch_add_explicit(&window->users, 1, memory_order_acquire);
			fill_lease(backings, window, wanted->bytes, lease);
			return;
		}
	}
}

static struct lz_window *find_free_slot(struct lz_backings *backings)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (backings->windows->window[i].bytes == 0)
			return &backings->windows->window[i];
	return NULL;
}

/*
 * Enters a new window, retires all others, and leases it for pieces of `bytes`. Returns false if no slot is
 * free or the lock cannot be had.
 */
static bool install(
	struct lz_backings *backings, const struct lz_window *created, size_t bytes, struct lz_lease *lease)
{
	struct lz_window *slot;

	if (!lz_books_lock(backings->books))
		return false;
	lz_windows_mark_all_retired(backings);
	slot = find_free_slot(backings);
	if (slot != NULL) {
		slot->keeper = created->keeper;
		slot->source = created->source;
		slot->checked_ms = created->checked_ms;
		slot->users = 1;
		slot->retired = false;
		fill_lease(backings, slot, bytes, lease);
		/* Written last: this marks the slot as used. */
		atomic_signal_fence(memory_order_seq_cst);
		slot->bytes = created->bytes;
		lz_windows_publish_size(backings);
		lz_window_map_note_unused(&backings->books->windows);
	}
	lz_books_unlock(backings->books);
	return slot != NULL;
}

/* Retires all windows and frees the slots of those without users, so that another one has room. */
__attribute__((noinline)) static void make_slot(struct lz_backings *backings)
{
	if (!lz_books_lock(backings->books))
		return;
	lz_windows_mark_all_retired(backings);
	lz_reservations_reclaim(&backings->books->reservations);
	lz_books_unlock(backings->books);
	lz_windows_unmap_retired(backings);
}

/* Creates a window of `size` bytes and leases it. Not inlined: its caller also reads the limits of control groups. */
__attribute__((noinline)) static bool create_and_install(struct lz_backings *backings, struct lz_window_failure *failure, size_t size,
	size_t bytes, struct lz_lease *lease)
{
	struct lz_window created;

	if (lz_window_create(backings, failure, size, &created) != 0)
		return false;
	make_slot(backings);
	if (install(backings, &created, bytes, lease))
		return true;
	lz_window_set_failure(failure, "too many windows of different sizes are in use", 0);
	backings->os->munmap((void *)created.keeper, 2 * size);
	return false;
}

/* Whether the program locks all future memory (mlockall with MCL_FUTURE); then windows are not used. */
static bool locks_new_memory(struct lz_backings *backings)
{
	unsigned char resident = 0;
	int aged;
	intptr_t at = backings->os->mmap(
		NULL, backings->books->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(at))
		return false;
	/* With MCL_ONFAULT the page is not populated, but madvise rejects MADV_COLD on locked memory. */
	backings->os->mincore((void *)at, backings->books->page, &resident);
	aged = backings->os->madvise((void *)at, backings->books->page, MADV_COLD);
	backings->os->munmap((void *)at, backings->books->page);
	return (resident & 1) != 0 || aged == -EINVAL;
}

/*
 * Checks whether the leased window can be used. From time to time also whether huge pages still map it, and
 * collapses it again if not (reclaim may have split them), and whether all new memory is locked by a call
 * that was not seen.
 */
static bool is_usable(
	struct lz_backings *backings, struct lz_window_failure *failure, const struct lz_lease *lease)
{
	struct lz_window *window = lease->object;
	size_t size = lease->source - lease->keeper;
	uint64_t now;

	if (backings->os->thp_disabled() == 1) {
		lz_window_explain_no_huge_pages(backings, failure, 0);
		return false;
	}
	now = backings->os->now_ms();
	if (now - window->checked_ms < CHECK_MS)
		return true;
	window->checked_ms = now;
	return !locks_new_memory(backings) &&
	       (lz_window_has_huge_pages(backings, lease->keeper, size) ||
		       lz_window_collapse(backings, failure, lease->keeper, size) == 0);
}

/* Retires the leased window and releases the lease. */
static void retire(struct lz_backings *backings, struct lz_lease *lease)
{
	struct lz_window *window = lease->object;

	atomic_store(&window->retired, true);
	atomic_store(&backings->windows->any_retired, true);
	lz_window_release(backings, lease);
}

/* Creates a window and leases it. */
static int acquire_new(struct lz_backings *backings, const struct wanted *wanted, struct lz_lease *lease)
{
	struct lz_window_failure failure = {NULL, 0};
	uint64_t free, share;
	size_t bytes;

	if (locks_new_memory(backings)) {
		lz_window_log_failure(backings, "the program locks all new memory (mlockall)", 0);
		return -EAGAIN;
	}
	free = lz_memory_available(backings->os, "");
	/* Others that share the budget will want a window as well. */
	share = free / lz_group_count(&backings->books->group);
	bytes = lz_window_fit_to_memory(backings, wanted->bytes, wanted->min_bytes, share);
	if (!lz_window_is_affordable(bytes, wanted->length, free)) {
		lz_window_log_failure(backings, "too little memory is free", 0);
		return -EAGAIN;
	}
	if (create_and_install(backings, &failure, lz_window_next_bytes(backings, bytes, wanted->last, share),
		    bytes, lease))
		return 0;
	backings->windows->create_failed_ms = lz_nonzero_time(backings->os->now_ms());
	lz_window_log_failure(backings, failure.step, failure.error);
	return -EAGAIN;
}

int lz_window_acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease)
{
	struct lz_window_failure failure = {NULL, 0};
	struct wanted wanted = {.length = length};
	bool possible, too_soon;

	*lease = (struct lz_lease){.object = NULL};
	if (!lz_books_lock(backings->books))
		return -EAGAIN;
	/* Regions below one unit, or larger than the address space, cannot be on a window. */
	possible = total >= lz_window_map_unit(&backings->books->windows) &&
		   total >> backings->books->geometry->user_bits == 0;
	wanted.bytes = possible ? lz_window_piece_bytes(backings, total, length, &wanted.min_bytes) : 0;
	if (wanted.bytes != 0)
		lease_existing(backings, &wanted, lease);
	too_soon = backings->windows->create_failed_ms != 0 &&
		   backings->os->now_ms() - backings->windows->create_failed_ms < CREATE_RETRY_MS;
	wanted.last = lz_windows_newest_bytes(backings);
	lz_books_unlock(backings->books);
	if (wanted.bytes == 0) {
		if (possible)
			lz_window_log_failure(backings, "too few mappings (vm.max_map_count)", 0);
		return -EAGAIN;
	}
	if (lease->object != NULL && !is_usable(backings, &failure, lease))
		retire(backings, lease);
	if (lease->object != NULL)
		return 0;
	return too_soon ? -EAGAIN : acquire_new(backings, &wanted, lease);
}

void lz_window_release(struct lz_backings *backings, struct lz_lease *lease)
{
	struct lz_window *window = lease->object;

	lease->object = NULL;
	if (window == NULL || !lz_reservation_slot_remove(&lease->hold) ||
		atomic_fetch_sub(&window->users, 1) != 1)
		return;
	lz_windows_release_unused(backings);
	if (atomic_load(&backings->windows->any_retired))
		lz_windows_unmap_retired(backings);
}
