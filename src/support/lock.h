/*
 * One mutex that cannot deadlock its process.
 *
 *  - All signals but those that a thread raises itself by an instruction (SIGSEGV, SIGSYS ...) are blocked in
 * a section. No handler can switch to another user-level thread, jump away or call us while the lock is held:
 *    the holder always goes on. Two system calls, 0.2 to 0.5 us.
 *  - A thread that is already inside (a handler of SIGSYS under a seccomp filter) is told so and does not
 * wait. Where such a handler jumped out of the section (siglongjmp), its own thread finds the mark in the
 * frame of the section overwritten, and takes the lock again; the caller is told that the books may be torn.
 *  - The lock is never taken from another thread. One holder cannot go on: a child of vfork(2) that was
 * killed in a section. Its parent's thread, whose thread-local storage it used, frees the lock when it next
 * comes here.
 *  - Nobody waits longer than LZ_LOCK_TIMEOUT_MS: past that the caller does without the lock.
 *  - The lock word lies on a MADV_WIPEONFORK page (Linux 4.14), so the child of any fork, raw clone included,
 *    finds it free, and finds out that it is a child. There are no fork handlers, hence no order between ours
 * and those of an allocator beneath us, whose locks are held while it calls our mmap.
 *
 * A critical section makes no call that leaves lazyzero and no system call but reading /proc.
 */
#ifndef LZ_SUPPORT_LOCK_H
#define LZ_SUPPORT_LOCK_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/os.h"

/*
 * Long enough for a holder that reads /proc and is not scheduled: on two cores with 13 runnable threads 100
 * ms were not.
 */
#define LZ_LOCK_TIMEOUT_MS 1000u

/*
 * A place in the frame of a function that opened a section or holds a reservation. While the function runs
 * the mark stands; when it was left by a jump, or its stack is gone, the mark is overwritten sooner or later.
 */
struct lz_frame_mark {
	alignas(16) _Atomic uint32_t value;
	bool signals_blocked;   /* lz_lock_acquire blocked signals */
	uint64_t saved_signals; /* the mask to restore then */
};

void lz_frame_mark_set(struct lz_frame_mark *mark);
void lz_frame_mark_clear(struct lz_frame_mark *mark);

/*
 * Whether the frame that was marked at this address may be alive: false is certain. Asks the kernel, since
 * the stack may be gone: 0.2 us.
 */
bool lz_frame_mark_may_be_alive(const struct lz_os *os, uintptr_t at);

struct lz_lock_page;

struct lz_lock {
	const struct lz_os *os;
	struct lz_lock_page *page; /* wiped in a forked child */
	_Atomic uint32_t
		section_is_open;         /* a section is open: a child that sees it inherits half-done work */
	_Atomic uint32_t holder_is_lost; /* a holder did not come back: try once, do not wait */
	pid_t pid;                       /* without MADV_WIPEONFORK: whose memory this is */
	struct lz_frame_mark *mark;      /* of the open section; with the lock */
};

enum lz_lock_result {
	LZ_LOCK_UNAVAILABLE, /* not taken: re-entered, or the holder does not come back */
	LZ_LOCK_ACQUIRED,
	LZ_LOCK_INCONSISTENT,       /* taken, from a section that was left open */
	LZ_LOCK_FORKED,             /* taken, for the first time in a forked child */
	LZ_LOCK_FORKED_INCONSISTENT /* the same, and a section was open at the time of the fork */
};

/* Prepares the lock; maps one page through os. Returns 0 or -errno. */
int lz_lock_init(struct lz_lock *lock, const struct lz_os *os);

/*
 * Async-signal-safe. After any result but LZ_LOCK_UNAVAILABLE, lz_lock_release must follow, in the same
 * function or in one that it calls: `mark` is in its frame.
 */
enum lz_lock_result lz_lock_acquire(struct lz_lock *lock, struct lz_frame_mark *mark);
void lz_lock_release(struct lz_lock *lock);

/* Identifies the calling thread among the living threads of this process. */
uintptr_t lz_lock_thread_id(void);

#endif
