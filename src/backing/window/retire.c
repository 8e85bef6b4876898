/* Retiring and unmapping zero windows that are no longer used; see window.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backing/window/window.h"
#include "base/checked.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "os/scratch.h"
#include "os/vma.h"

/* How long a window of one unit stays after the last range on it was unmapped. */
#define SMALL_WINDOW_IDLE_MS 1000u

size_t lz_windows_newest_bytes(const struct lz_backings *backings)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (!backings->windows->window[i].retired)
			bytes = lz_max_u64(bytes, backings->windows->window[i].bytes);
	return bytes;
}

/*
 * Reads /proc/self/maps, which takes 0.3 us for each mapping of the process. Used before Linux 6.11. Not
 * inlined, so that its 150 bytes of stack are not taken where the kernel answers queries.
 */
__attribute__((noinline)) static bool contains_only_windows_by_maps(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct lz_line_reader lines;
	uintptr_t covered = start;
	char *line;

	if (lz_line_reader_open(&lines, backings->os, "/proc/thread-self/maps") != 0)
		return false;
	while (covered < end && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		if (mapping.start != covered || !lz_mapping_is_window(&mapping))
			break;
		covered = mapping.end;
	}
	lz_line_reader_close(&lines);
	return covered == end;
}

/*
 * Whether [start, end) contains nothing but a window: the program may have unmapped memory that is not its
 * own.
 */
static bool contains_only_windows(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	char *name = lz_scratch_take(backings->os);
	struct lz_vma_queries queries = {.query = NULL};
	int error = name == NULL ? -ENOMEM : lz_vma_begin(&queries, backings->os);
	uintptr_t covered = start;
	struct lz_vma vma;

	while (error == 0 && covered < end) {
		error = lz_vma_query_next(&queries, covered, &vma, name, LZ_SCRATCH_BYTES);
		if (error == 0 && (vma.start != covered || vma.shared ||
					  strncmp(name, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) != 0))
			error = -ENOENT;
		if (error == 0)
			covered = vma.end;
	}
	lz_vma_end(&queries);
	lz_scratch_release(backings->os, name);
	if (error == -ENOTTY)
		return contains_only_windows_by_maps(backings, start, end);
	return error == 0 && covered == end;
}

/*
 * Frees the slot of a retired window without users; returns false if there is none. *keeper is 0 if the
 * program has overwritten its mappings. Needs the lock of the books.
 */
static bool take_retired(struct lz_backings *backings, uintptr_t *keeper, size_t *bytes)
{
	bool found = false, any_retired = false;

	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		if (window->bytes == 0 || !window->retired)
			continue;
		if (found || atomic_load_explicit(&window->users, memory_order_acquire) != 0) {
			any_retired = true;
			continue;
		}
		found = true;
		*keeper = window->keeper;
		*bytes = window->bytes;
		window->bytes = 0;
		atomic_signal_fence(memory_order_seq_cst);
		*window = (struct lz_window){.bytes = 0};
	}
	atomic_store(&backings->windows->any_retired, any_retired);
	return found;
}

void lz_windows_unmap_retired(struct lz_backings *backings)
{
	uintptr_t keeper = 0;
	size_t bytes = 0;
	bool found;

	do {
		if (!lz_books_lock(backings->books))
			return;
		found = take_retired(backings, &keeper, &bytes);
		lz_books_unlock(backings->books);
		if (found && keeper != 0 && contains_only_windows(backings, keeper, keeper + 2 * bytes))
			backings->os->munmap((void *)keeper, 2 * bytes);
	} while (found);
}

void lz_windows_publish_size(struct lz_backings *backings)
{
	lz_stats_set(&backings->books->stats, window_size, lz_windows_newest_bytes(backings));
}

void lz_windows_mark_all_retired(struct lz_backings *backings)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (backings->windows->window[i].bytes != 0) {
			backings->windows->window[i].retired = true;
			atomic_store(&backings->windows->any_retired, true);
		}
	lz_windows_publish_size(backings);
}

void lz_windows_retire_all(struct lz_backings *backings)
{
	atomic_store_explicit(&backings->windows->memory_was_locked, true, memory_order_relaxed);
	if (!lz_books_lock(backings->books))
		return;
	lz_windows_mark_all_retired(backings);
	lz_books_unlock(backings->books);
	lz_windows_unmap_retired(backings);
}

/*
 * Whether the windows can be released: nobody is about to clone from one, and releasing is worth the work.
 * Creating 2 MiB takes 0.3 ms, as long as mapping a hundred pieces. If a program maps and unmaps a few MiB in
 * a loop, such a window therefore stays for a second. Larger windows serve regions of 16 GiB and more, whose
 * pieces take 20 ms to map. Needs the lock of the books.
 */
static bool prepare_release(struct lz_backings *backings)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		bytes += backings->windows->window[i].bytes;
	if (bytes == 0 || lz_ledger_find_at_or_above(&backings->books->windows.ranges, 0) != NULL) {
		atomic_store_explicit(&backings->books->windows.release_due, false, memory_order_relaxed);
		return false;
	}
	lz_reservations_reclaim(&backings->books->reservations);
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		const struct lz_window *window = &backings->windows->window[i];

		if (window->bytes != 0 && atomic_load_explicit(&window->users, memory_order_acquire) != 0)
			return false;
	}
	return bytes > lz_window_map_unit(&backings->books->windows) ||
	       backings->os->now_ms() - backings->books->windows.empty_since_ms >= SMALL_WINDOW_IDLE_MS;
}

void lz_windows_release_unused(struct lz_backings *backings)
{
	bool release;

	if (!atomic_load_explicit(&backings->books->windows.release_due, memory_order_relaxed) ||
		!lz_books_lock(backings->books))
		return;
	release = prepare_release(backings);
	if (release) {
		lz_windows_mark_all_retired(backings);
		atomic_store_explicit(&backings->books->windows.release_due, false, memory_order_relaxed);
		lz_books_publish_statistics(backings->books);
	}
	lz_books_unlock(backings->books);
	if (release)
		lz_windows_unmap_retired(backings);
}

void lz_windows_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &backings->windows->window[i];

		if (window->bytes == 0 || window->keeper >= end ||
			window->keeper + 2 * window->bytes <= start)
			continue;
		/*
		 * The rest of the window is not unmapped, because the program may have mapped something else
		 * there.
		 */
		window->retired = true;
		backings->windows->any_retired = true;
		window->keeper = window->source = 0;
	}
}
