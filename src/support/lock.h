/*
 * One mutex that cannot deadlock its process.
 *
 *  - A thread that already is inside (a signal handler ran in the middle) is told so and does not wait.
 *  - A section that will never end, because a handler jumped out of it (siglongjmp) or its thread is gone, is
 *    found out: each marks a place in the stack frame that opened it, and a frame that was left is soon
 *    another's; its own thread sees that the stack does not reach so far any more; and a thread that ended is
 *    known to the kernel. Then the lock is taken over, and who does so is told that the books may be torn.
 *  - Nobody waits longer than LZ_LOCK_PATIENCE_MS: past that the caller does without the lock.
 *  - The lock word lives on a MADV_WIPEONFORK page (Linux 4.14), so the child of any fork, raw clone
 * included, finds it free, and finds out that it is a child. No fork handlers, hence no order between ours
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
 * Long enough for a holder that reads /proc and is not scheduled: on two cores with 13 runnable threads 100 ms
 * were not, and memory on a window that nobody knows of answers MADV_FREE as a file does.
 */
#define LZ_LOCK_PATIENCE_MS 1000u

/*
 * A place in the frame of a function, which lives until the function returns. What is marked is alive; what was
 * marked and is no longer was left by a jump, or its stack is gone.
 */
struct lz_mark {
	alignas(16) _Atomic uint32_t value;
};

void lz_mark_set(struct lz_mark *mark);
void lz_mark_clear(struct lz_mark *mark);

/*
 * Whether the frame that was marked at this address may be alive: false is certain. Asks the kernel, since the
 * stack may be gone: 0.2 us.
 */
bool lz_mark_alive(const struct lz_os *os, uintptr_t at);

struct lz_lock_page;

struct lz_lock {
	const struct lz_os *os;
	struct lz_lock_page *page;  /* wiped in a forked child */
	_Atomic uint32_t busy;      /* a section is open: a child that sees it inherits half-done work */
	_Atomic uint32_t abandoned; /* a holder did not come back: try once, do not wait */
	_Atomic uint64_t holder;    /* the count in the word and the holder's thread id */
	_Atomic uint32_t epoch;     /* forks since the lock was made: thread ids are other ones after each */
	pid_t pid;                  /* without MADV_WIPEONFORK: whose memory this is */
};

enum lz_lock_result {
	LZ_LOCK_UNAVAILABLE, /* not taken: re-entered, or the holder does not come back */
	LZ_LOCK_TAKEN,
	LZ_LOCK_TORN,       /* taken, from a section that was left open */
	LZ_LOCK_FORKED,     /* taken, for the first time in a forked child */
	LZ_LOCK_FORKED_TORN /* the same, and a section was open at the time of the fork */
};

/* Prepares the lock; maps one page through os. Returns 0 or -errno. */
int lz_lock_init(struct lz_lock *lock, const struct lz_os *os);

/*
 * Async-signal-safe. After any result but LZ_LOCK_UNAVAILABLE, lz_lock_leave must follow, in the same function
 * or in one that it calls: `mark` is in its frame.
 */
enum lz_lock_result lz_lock_enter(struct lz_lock *lock, struct lz_mark *mark);
void lz_lock_leave(struct lz_lock *lock);

/*
 * The same for a mark of the calling thread's: what lies beyond the end of the stack, of which `here` is near
 * the end, is gone, whatever it holds.
 */
bool lz_mark_alive_here(const struct lz_os *os, uintptr_t at, uintptr_t here);

/*
 * The program has a signal stack that the kernel forgets while a handler runs on it (SS_AUTODISARM): where a
 * frame lies says nothing from now on. Async-signal-safe.
 */
void lz_lock_stacks_disarm(void);

/* What tells the calling thread from others that live. */
uintptr_t lz_lock_self(void);

/* Whether the calling thread is inside now. */
bool lz_lock_inside(const struct lz_lock *lock);

#endif
