/*
 * Finding out, without a fork handler, that this process was forked off: words on a page under
 * MADV_WIPEONFORK (Linux 4.14), which the kernel sets to 0 in the child of fork(2) and of a raw clone(2) that
 * copies memory. The child of vfork(2) shares memory with its parent and finds them as they are.
 *
 * Each user of os/ that keeps state which a child must not take over has a word. No lock; safe in threads and
 * signal handlers.
 */
#ifndef LZ_OS_FORK_STATE_H
#define LZ_OS_FORK_STATE_H

#include <stdbool.h>

#include "os/os.h"

enum lz_fork_state { LZ_FORK_STATE_DESCRIPTORS, LZ_FORK_STATE_SCRATCH, LZ_FORK_STATES };

/* Maps the page, the first time. 0 or -errno: then no child can be told from its parent. */
int lz_fork_state_init(const struct lz_os *os);

/*
 * Whether the state may be used. In a forked child the first call runs reset(os), which brings it in
 * line; who calls meanwhile (another thread, a handler) is told false and does without. True where no child
 * can be told.
 */
bool lz_fork_state_is_current(
	enum lz_fork_state which, void (*reset)(const struct lz_os *os), const struct lz_os *os);

#endif
