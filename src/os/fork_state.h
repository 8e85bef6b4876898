/*
 * Detects without a fork handler that this process was forked, so that state inherited from the parent is
 * reset before it is used.
 *
 * A page under MADV_WIPEONFORK (Linux 4.14) holds one word for each kind of state. The kernel zeroes it in
 * the child of fork(2) and of a raw clone(2) that copies memory. The child of vfork(2) shares memory with its
 * parent, so it finds the words unchanged.
 *
 * There is no lock. Thread-safe and async-signal-safe.
 */
#ifndef LZ_OS_FORK_STATE_H
#define LZ_OS_FORK_STATE_H

#include <stdbool.h>

#include "os/os.h"

enum lz_fork_state { LZ_FORK_STATE_DESCRIPTORS, LZ_FORK_STATE_SCRATCH, LZ_FORK_STATES };

/*
 * Maps the page on the first call. Returns 0 or -errno; after an error, a child cannot be told from its
 * parent.
 */
int lz_fork_state_init(const struct lz_os *os);

/*
 * Whether the state may be used. In a forked child, the first call runs reset(os), which brings the state up
 * to date. A concurrent call (from another thread or a signal handler) returns false, and its caller does
 * without the state. Returns true if a child cannot be told from its parent.
 */
bool lz_fork_state_refresh(
	enum lz_fork_state which, void (*reset)(const struct lz_os *os), const struct lz_os *os);

#endif
