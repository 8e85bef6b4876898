/* The zero window's life: its size, how it is acquired, looked after, replaced and given back; see window.h.
 */
#include "backing/window/window.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "backing/window/create.h"
#include "base/checked.h"
#include "base/text.h"

#include "os/cgroup.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

/* A window that could not be had is tried again after this long, one that stands is looked at. */
#define RETRY_MS 1000u
#define CHECK_MS 100u

/* How long a window of one unit stays after the last range on it was unmapped. */
#define LINGER_MS 1000u

/* The size of the newest window, bytes; 0 without one. With the lock. */
static size_t newest_size(const struct lz_backings *backings)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (!backings->windows->window[i].retired)
			bytes = lz_max_u64(bytes, backings->windows->window[i].bytes);
	return bytes;
}

/* --- logging --- */

/* Whether a reason was not logged yet; then it counts as logged. */
static bool is_first(struct lz_windows *windows, const char *step)
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
	char buffer[400];
	struct lz_text text = lz_text_in(buffer, sizeof buffer);

	if (!is_first(backings->windows, step))
		return;
	lz_text_string(&text, "no zero window: ");
	lz_text_string(&text, step);
	if (error != 0) {
		lz_text_string(&text, ": ");
		lz_text_string(&text, lz_error_text(error));
	}
	if (options->backing == LZ_BACKING_WINDOW)
		lz_text_string(&text, "; the zero page serves instead");
	else if (options->policy == LZ_POLICY_REFUSE)
		lz_text_string(&text, "; what exceeds the budget is refused");
	else
		lz_text_string(&text, "; what exceeds the budget is served from the zero page");
	lz_log_note(backings->log, buffer);
}

/*
 * Frees the slots of retired windows that nobody uses; with the lock. Their mappings are to be unmapped
 * without it.
 */
struct swept {
	uintptr_t keeper[LZ_WINDOWS];
	size_t bytes[LZ_WINDOWS];
};

static void sweep(struct lz_backings *backings, struct swept *swept)
{
	bool retirees = false;

	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		swept->keeper[i] = 0;
		if (window->bytes == 0 || !window->retired)
			continue;
		if (atomic_load_explicit(&window->users, memory_order_acquire) != 0) {
			retirees = true;
			continue;
		}
		swept->keeper[i] = window->keeper;
		swept->bytes[i] = window->bytes;
		window->bytes = 0;
		atomic_signal_fence(memory_order_seq_cst);
		*window = (struct lz_window){.bytes = 0};
	}
	atomic_store(&backings->windows->retirees, retirees);
}

/* Whether nothing but a window lies in [start, end): a program may have unmapped what it did not know. */
static bool is_window(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct lz_lines lines;
	uintptr_t covered = start;
	char *line;

	if (lz_lines_open(&lines, backings->os, "/proc/thread-self/maps") != 0)
		return false;
	while (covered < end && (line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		if (mapping.start != covered || !lz_mapping_is_window(&mapping))
			break;
		covered = mapping.end;
	}
	lz_lines_close(&lines);
	return covered == end;
}

static void unmap_swept(struct lz_backings *backings, const struct swept *swept)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		uintptr_t end = swept->keeper[i] + 2 * swept->bytes[i];

		if (swept->keeper[i] != 0 && is_window(backings, swept->keeper[i], end))
			backings->os->munmap((void *)swept->keeper[i], 2 * swept->bytes[i]);
	}
}

/* Records that a call uses a window, which counts it as a user already; with the lock. */
static void fill_lease(
	struct lz_backings *backings, struct lz_window *window, size_t bytes, struct lz_lease *lease)
{
	const struct lz_users users = {&window->users, &backings->windows->retirees};

	lease->object = window;
	lease->keeper = window->keeper;
	lease->source = window->source;
	lease->bytes = bytes;
	lz_reservation_add(&backings->books->reservations, &lease->hold, 0, &users);
}

/* Takes hold of the newest window that is large enough; with the lock. */
static void hold(struct lz_backings *backings, size_t bytes, struct lz_lease *lease)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		if (window->bytes >= bytes && !window->retired) {
			atomic_fetch_add_explicit(&window->users, 1, memory_order_acquire);
			fill_lease(backings, window, bytes, lease);
			return;
		}
	}
}

static struct lz_window *free_slot(struct lz_backings *backings)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (backings->windows->window[i].bytes == 0)
			return &backings->windows->window[i];
	return NULL;
}

static void publish_size(struct lz_backings *backings)
{
	lz_stats_set(&backings->books->stats, window_size, newest_size(backings));
}

/*
 * Enters a new window in place of all others, and holds it to show `bytes` of in each piece. False: no free
 * slot, or not the lock.
 */
static bool install(
	struct lz_backings *backings, const struct lz_window *made, size_t bytes, struct lz_lease *lease)
{
	struct lz_window *place;
	struct swept swept;

	if (!lz_books_lock(backings->books))
		return false;
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		backings->windows->window[i].retired = true;
	lz_reservations_reclaim(&backings->books->reservations);
	sweep(backings, &swept);
	place = free_slot(backings);
	if (place != NULL) {
		place->keeper = made->keeper;
		place->source = made->source;
		place->checked_ms = made->checked_ms;
		place->users = 1;
		place->retired = false;
		fill_lease(backings, place, bytes, lease);
		/* Last: by this the slot is in use. */
		atomic_signal_fence(memory_order_seq_cst);
		place->bytes = made->bytes;
		publish_size(backings);
		lz_window_map_set_emptied(&backings->books->windows);
	}
	lz_books_unlock(backings->books);
	unmap_swept(backings, &swept);
	return place != NULL;
}

/* A new window of `size` bytes, held. */
static bool make_and_install(struct lz_backings *backings, struct lz_window_failure *failure, size_t size,
	size_t bytes, struct lz_lease *lease)
{
	struct lz_window made;

	if (lz_window_make(backings, failure, size, &made) != 0)
		return false;
	if (install(backings, &made, bytes, lease))
		return true;
	lz_window_fail(failure, "too many of different sizes are in use", 0);
	backings->os->munmap((void *)made.keeper, 2 * size);
	return false;
}

/*
 * Looks whether a window still stands in huge pages, every now and then, and mends it where not: reclaim may
 * have split it, or the program switched huge pages off.
 */
static bool still_whole(
	struct lz_backings *backings, struct lz_window_failure *failure, const struct lz_lease *lease)
{
	struct lz_window *window = lease->object;
	size_t size = lease->source - lease->keeper;
	uint64_t now = backings->os->now_ms();

	if (backings->os->thp_disabled() == 1) {
		lz_window_no_huge_pages(backings, failure, 0);
		return false;
	}
	if (now - window->checked_ms < CHECK_MS)
		return true;
	window->checked_ms = now;
	return lz_window_is_whole(backings, lease->keeper, size) ||
	       lz_window_collapse(backings, failure, lease->keeper, size) == 0;
}

/* mlockall(MCL_FUTURE): such a program is left what it wants. */
static bool locks_new_memory(struct lz_backings *backings)
{
	unsigned char resident = 0;
	int aged;
	intptr_t at = backings->os->mmap(
		NULL, backings->books->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(at))
		return false;
	/* With MCL_ONFAULT nothing is filled, but the kernel refuses to age what is locked. */
	backings->os->mincore((void *)at, backings->books->page, &resident);
	aged = backings->os->madvise((void *)at, backings->books->page, MADV_COLD);
	backings->os->munmap((void *)at, backings->books->page);
	return (resident & 1) != 0 || aged == -EINVAL;
}

/* Not to be cloned from any more. */
static void retire(struct lz_backings *backings, struct lz_lease *lease)
{
	struct lz_window *window = lease->object;

	atomic_store(&window->retired, true);
	atomic_store(&backings->windows->retirees, true);
	lz_window_release(backings, lease);
}

/* A new window to show `bytes` of in each piece of a mapping of `length`. */
static int acquire_new(
	struct lz_backings *backings, size_t bytes, size_t length, size_t last, struct lz_lease *lease)
{
	struct lz_window_failure failure = {NULL, 0};
	uint64_t free = lz_memory_free(backings->os, "");

	if (!lz_window_is_affordable(bytes, length, free)) {
		lz_window_log_failure(backings, "too little memory is free", 0);
		return -EAGAIN;
	}
	if (make_and_install(
		    backings, &failure, lz_window_next_bytes(backings, bytes, last, free), bytes, lease))
		return 0;
	backings->windows->failed_ms = lz_not_never(backings->os->now_ms());
	lz_window_log_failure(backings, failure.step, failure.error);
	return -EAGAIN;
}

int lz_window_acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease)
{
	struct lz_window_failure failure = {NULL, 0};
	bool possible, too_soon;
	size_t bytes, last;

	*lease = (struct lz_lease){.object = NULL};
	if (!lz_books_lock(backings->books))
		return -EAGAIN;
	/* Neither what is too small nor what no address space has room for. */
	possible = total >= lz_window_map_unit(&backings->books->windows) &&
		   total >> backings->books->geometry->user_bits == 0;
	bytes = possible ? lz_window_piece_bytes(backings, total, length) : 0;
	if (bytes != 0)
		hold(backings, bytes, lease);
	too_soon = backings->windows->failed_ms != 0 &&
		   backings->os->now_ms() - backings->windows->failed_ms < RETRY_MS;
	last = newest_size(backings);
	lz_books_unlock(backings->books);
	if (bytes == 0) {
		if (possible)
			lz_window_log_failure(backings, "too few mappings (vm.max_map_count)", 0);
		return -EAGAIN;
	}
	if (lease->object != NULL && !still_whole(backings, &failure, lease))
		retire(backings, lease);
	if (lease->object == NULL && (too_soon || acquire_new(backings, bytes, length, last, lease) != 0))
		return -EAGAIN;
	if (!locks_new_memory(backings))
		return 0;
	lz_window_release(backings, lease);
	lz_window_log_failure(backings, "the program locks all new memory (mlockall)", 0);
	return -EAGAIN;
}

void lz_window_release(struct lz_backings *backings, struct lz_lease *lease)
{
	struct lz_window *window = lease->object;
	struct swept swept;

	lease->object = NULL;
	if (window == NULL || !lz_reservation_remove(&lease->hold) ||
		atomic_fetch_sub(&window->users, 1) != 1)
		return;
	lz_windows_release_unused(backings);
	if (!atomic_load(&backings->windows->retirees) || !lz_books_lock(backings->books))
		return;
	sweep(backings, &swept);
	lz_books_unlock(backings->books);
	unmap_swept(backings, &swept);
}

static void retire_all(struct lz_backings *backings, struct swept *swept)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		backings->windows->window[i].retired = true;
	sweep(backings, swept);
	publish_size(backings);
}

void lz_windows_retire_all(struct lz_backings *backings)
{
	struct swept swept;

	if (!lz_books_lock(backings->books))
		return;
	retire_all(backings, &swept);
	lz_books_unlock(backings->books);
	unmap_swept(backings, &swept);
}

/* --- windows that nothing stands on --- */

/*
 * Whether the windows can go: nobody is about to clone from one, and they are worth the work. Making 2 MiB
 * takes 0.3 ms, as long as mapping a hundred pieces: where a program maps and unmaps a few MiB in a loop,
 * such a window stays for a second. Larger ones serve regions of 16 GiB and more, whose pieces take 20 ms to
 * map. With the lock.
 */
static bool can_go(struct lz_backings *backings)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		bytes += backings->windows->window[i].bytes;
	if (bytes == 0 || lz_ledger_find(&backings->books->windows.where, 0) != NULL) {
		atomic_store_explicit(&backings->books->windows.emptied, false, memory_order_relaxed);
		return false;
	}
	lz_reservations_reclaim(&backings->books->reservations);
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		const struct lz_window *window = &backings->windows->window[i];

		if (window->bytes != 0 && atomic_load_explicit(&window->users, memory_order_acquire) != 0)
			return false;
	}
	return bytes > lz_window_map_unit(&backings->books->windows) ||
	       backings->os->now_ms() - backings->books->windows.emptied_ms >= LINGER_MS;
}

void lz_windows_release_unused(struct lz_backings *backings)
{
	struct swept swept;
	bool go;

	if (!atomic_load_explicit(&backings->books->windows.emptied, memory_order_relaxed) ||
		!lz_books_lock(backings->books))
		return;
	go = can_go(backings);
	if (go) {
		retire_all(backings, &swept);
		atomic_store_explicit(&backings->books->windows.emptied, false, memory_order_relaxed);
		lz_books_publish(backings->books);
	}
	lz_books_unlock(backings->books);
	if (go)
		unmap_swept(backings, &swept);
}

void lz_windows_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		if (window->bytes == 0 || window->keeper >= end ||
			window->keeper + 2 * window->bytes <= start)
			continue;
		/* What is left of it is not unmapped: who knows what lies there now. */
		window->retired = true;
		backings->windows->retirees = true;
		window->keeper = window->source = 0;
	}
}
