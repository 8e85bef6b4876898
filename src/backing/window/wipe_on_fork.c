/*
 * MADV_WIPEONFORK on memory that is on a window. A forked child drops the marked ranges before the program
 * continues: in a fork handler that the shim registers before those of the program, or, in a child of
 * _Fork(3) or clone(2), at its first call that takes the lock of the books.
 *
 * /proc/thread-self/maps is read before anything is dropped, so that only memory on a window is dropped,
 * whatever the program mapped by calls that were not followed.
 */
#include <stdatomic.h>

#include "backing/window/window.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"

/*
 * Uses lazyzero's own system calls, which other preloaded libraries do not see: the kernel does not report
 * its own wiping either.
 */
void lz_window_wipe_after_fork(struct lz_backings *backings)
{
	const struct lz_wipe_table *wipes = &backings->books->windows.wipes;
	_Atomic uint32_t *alive = atomic_load_explicit(&wipes->fork_sentinel, memory_order_acquire);
	struct lz_line_reader lines;
	const char *line;
	bool all;

	if (alive == NULL || atomic_exchange_explicit(alive, 1, memory_order_acq_rel) != 0 ||
		lz_wipe_table_is_empty(wipes))
		return;
	all = lz_line_reader_open(&lines, backings->os, MAPS) == 0;
	while (all && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) == 0 && lz_mapping_is_window(&mapping))
			lz_wipe_table_zero_ranges(wipes, backings->os, mapping.start, mapping.end);
	}
	if (all) {
		all = lines.error == 0;
		lz_line_reader_close(&lines);
	}
	/* If maps cannot be read, the records are trusted. */
	if (!all)
		lz_wipe_table_zero_ranges(wipes, backings->os, 0, UINTPTR_MAX);
}
