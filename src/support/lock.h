/*
 * One mutex that cannot deadlock its process.
 *
 *  - A thread that already is inside (a signal handler ran in the middle) is told so and does not wait.
 *  - Nobody waits longer than LZ_LOCK_PATIENCE_MS: past that the caller does without the lock. A holder that
 *    never comes back (its thread was cancelled, a handler jumped out) costs that wait once.
 *  - The lock word lives on a MADV_WIPEONFORK page (Linux 4.14), so the child of any fork, raw clone
 * included, finds it free, and finds out that it is a child. No fork handlers, hence no order between ours
 * and those of an allocator beneath us, whose locks are held while it calls our mmap.
 *
 * A critical section makes no call that leaves lazyzero and no system call but reading /proc.
 */
#ifndef LZ_SUPPORT_LOCK_H
#define LZ_SUPPORT_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/os.h"

#define LZ_LOCK_PATIENCE_MS 100u

struct lz_lock_page;

struct lz_lock {
	const struct lz_os *os;
	struct lz_lock_page *page;  /* wiped in a forked child */
	_Atomic uint32_t busy;      /* a section is open: a child that sees it inherits half-done work */
	_Atomic uint32_t abandoned; /* a holder did not come back: try once, do not wait */
	pid_t pid;                  /* without MADV_WIPEONFORK: whose memory this is */
};

enum lz_lock_result {
	LZ_LOCK_UNAVAILABLE, /* not taken: re-entered, or the holder does not come back */
	LZ_LOCK_TAKEN,
	LZ_LOCK_FORKED, /* taken, for the first time in a forked child */
	LZ_LOCK_TORN    /* the same, and a section was open at the time of the fork */
};

/* Prepares the lock; maps one page through os. Returns 0 or -errno. */
int lz_lock_init(struct lz_lock *lock, const struct lz_os *os);

/* Async-signal-safe. After any result but LZ_LOCK_UNAVAILABLE, lz_lock_leave must follow. */
enum lz_lock_result lz_lock_enter(struct lz_lock *lock);
void lz_lock_leave(struct lz_lock *lock);

/* Whether the calling thread is inside now. */
bool lz_lock_inside(void);

#endif
