/*
 * What a shared memory object holds, block by block, as seen from outside.
 *
 * The object itself is mapped, if it can be opened, and asked with mincore(2): it tells what the object
 * holds, also pages that nobody maps any more, such as those that an ended process wrote. It takes 23 to 95
 * us a block, where SEEK_DATA and SEEK_HOLE take 370 to 810 us if a quarter of the pages is missing;
 * SEEK_DATA is used to pass over what is empty. An object is opened
 *  - through /proc/PID/map_files, which needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN and works for all
 * kinds;
 *  - through /proc/PID/fd, if a process still has a descriptor of it; or
 *  - by its path below /proc/PID/root.
 *
 * If it cannot be opened, the pages that its processes map are counted with PAGEMAP_SCAN (Linux 6.7), which
 * needs ptrace read access: 4 to 7 us for a block and a process. That can be less than the object holds.
 *
 * Swapped pages do not count: a collapse would read them back. Nothing is written and no hole is filled. A
 * file that is truncated meanwhile raises no signal.
 */
#ifndef LZ_CLI_COLLAPSE_VIEW_H
#define LZ_CLI_COLLAPSE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/collapse/sharing.h"

struct lz_view {
	const struct lz_sharing *sharing;
	const struct lz_shared_object *object;
	int fd;        /* of the object; -1: by pagemap */
	intptr_t at;   /* where a block of it can be mapped */
	int *pagemaps; /* for each sharer, -1 if it is not open; NULL if fd is */
	uint8_t *seen; /* pages of a block that are mapped somewhere; NULL if fd is open */
};

/* Returns 0 or -errno; -EACCES if it can be seen in neither way. Call lz_view_close in either case. */
int lz_view_open(
	struct lz_view *view, const struct lz_sharing *sharing, const struct lz_shared_object *object);
void lz_view_close(struct lz_view *view);

/* The first block from `block` on that may hold pages; SIZE_MAX if there is none. */
size_t lz_view_next(const struct lz_view *view, size_t block);

/* Counts the pages of a block, and tells whether it is a huge page. Returns 0 or -errno. */
int lz_view_block(const struct lz_view *view, size_t block, uint64_t *pages, bool *huge);

/* Collapses a block through a mapping of this process, to which the memory is then charged. 0 or -errno. */
int lz_view_collapse(const struct lz_view *view, size_t block);

#endif
