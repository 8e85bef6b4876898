/*
 * MADV_WIPEONFORK on memory that stands on a window: a forked child drops what is to be wiped before the
 * program runs on, in a fork handler, which the shim registers before those of the program, or, in a child of
 * _Fork(3) or clone(2), at its first call that takes the lock of the books.
 *
 * It looks at /proc/thread-self/maps before it drops anything, so that nothing but a window's memory is
 * dropped, whatever the program mapped by calls that were not followed.
 */
#include <stdatomic.h>

#include "backing/window/window.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"

/* By our own system calls, which other libraries do not hear: the kernel, too, tells nobody that it wipes. */
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
			lz_wipe_table_discard(wipes, backings->os, mapping.start, mapping.end);
	}
	if (all) {
		all = lines.error == 0;
		lz_line_reader_close(&lines);
	}
	/* Where maps cannot be read, the records are believed. */
	if (!all)
		lz_wipe_table_discard(wipes, backings->os, 0, UINTPTR_MAX);
}
