/*
 * A mutex whose waiters give up after a second, so that it cannot deadlock its process.
 *
 *  - In a section, all signals are blocked except those that a thread raises by its own instructions
 *    (SIGSEGV, SIGSYS ...). No handler can switch to another user-level thread, jump out of the section or
 *    call the library while the lock is held, so the holder always continues. This takes two system calls,
 *    0.2 to 0.5 us.
 *  - A thread that is already in a section (in a handler of SIGSYS under a seccomp filter) does not wait;
 *    lz_lock_acquire returns LZ_LOCK_UNAVAILABLE. If such a handler jumped out of the section (siglongjmp),
 *    its thread later finds the mark in the frame of the section overwritten and acquires the lock again. The
 *    caller then learns that the guarded state may be inconsistent.
 *  - The lock is never taken away from another thread. One holder cannot continue: a child of vfork(2) that
 *    was killed in a section. Such a child shares thread-local storage with one thread of its parent, which
 * detects it and frees the lock at its next acquisition.
 *  - A thread waits at most LZ_LOCK_TIMEOUT_MS. After that, the caller continues without the lock.
 *  - The lock word is on a page under MADV_WIPEONFORK (Linux 4.14). The child of any fork, including a raw
 *    clone, finds the lock free and learns that it is a child. There are no fork handlers, hence no ordering
 *    problem with those of another allocator, which holds its locks while it calls our mmap.
 *
 * A section must not call code outside lazyzero, and must make no system calls except reading /proc.
 */
#ifndef LZ_SUPPORT_LOCK_H
#define LZ_SUPPORT_LOCK_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/os.h"

/*
 * Long enough for a holder that reads /proc and is not scheduled: 100 ms were too short on two cores with 13
 * runnable threads.
 */
#define LZ_LOCK_TIMEOUT_MS 1000u

/*
 * A mark in the stack frame of a function that opened a section or holds a reservation. The mark is valid
 * while the function runs. If the function was left by a jump, or its stack is gone, the mark is eventually
 * overwritten.
 */
struct lz_frame_mark {
	alignas(16) _Atomic uint32_t value;
	bool signals_blocked;   /* lz_lock_acquire blocked signals */
	uint64_t saved_signals; /* the signal mask to restore */
};

void lz_frame_mark_set(struct lz_frame_mark *mark);
void lz_frame_mark_clear(struct lz_frame_mark *mark);

/*
 * Whether the frame that was marked at this address may still be alive. False: it is certainly gone. The
 * address is read by a system call, because the stack may be unmapped: 0.2 us.
 */
bool lz_frame_mark_may_be_alive(const struct lz_os *os, uintptr_t at);

struct lz_lock_page;

struct lz_lock {
	const struct lz_os *os;
	struct lz_lock_page *page;        /* wiped in a forked child */
	_Atomic uint32_t section_is_open; /* a section is open; a child that finds it set has inherited
					     inconsistent state */
	_Atomic uint32_t holder_is_lost;  /* a wait timed out; later callers try once and do not wait */
	pid_t pid;                  /* only without MADV_WIPEONFORK: the process that initialised the lock */
	struct lz_frame_mark *mark; /* mark of the open section; needs the lock */
};

enum lz_lock_result {
	LZ_LOCK_UNAVAILABLE, /* not acquired: re-entered, or the wait timed out */
	LZ_LOCK_ACQUIRED,
	LZ_LOCK_INCONSISTENT,       /* acquired; the previous section was left open */
	LZ_LOCK_FORKED,             /* acquired, for the first time in a forked child */
	LZ_LOCK_FORKED_INCONSISTENT /* the same, and a section was open at the time of the fork */
};

/* Initialises the lock and maps one page through os. Returns 0 or -errno. */
int lz_lock_init(struct lz_lock *lock, const struct lz_os *os);

/*
 * Thread-safe and async-signal-safe. After any result except LZ_LOCK_UNAVAILABLE, lz_lock_release must follow
 * in the same function or in one that it calls, because `mark` is in its frame.
 */
enum lz_lock_result lz_lock_acquire(struct lz_lock *lock, struct lz_frame_mark *mark);
void lz_lock_release(struct lz_lock *lock);

/* Returns a number that identifies the calling thread among the running threads of this process. */
uintptr_t lz_lock_thread_id(void);

#endif
