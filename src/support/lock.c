/* A mutex that cannot deadlock; see lock.h. */
#include "support/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "os/facts.h"
#include "os/mman.h"

#define PAGE_BYTES 4096u

/*
 * Time a thread waits before it checks again whether the lock is free or the timeout has passed,
 * milliseconds.
 */
#define WAIT_SLICE_MS 10u

/*
 * The lock word. The two lowest bits are the state (Ulrich Drepper, "Futexes Are Tricky", mutex 2); the
 * others are lz_lock_thread_id() of the holder.
 */
enum { FREE, LOCKED, CONTENDED, STATE = 3 };

struct lz_lock_page {
	_Atomic uint64_t word;
	_Atomic uint32_t not_forked; /* 1 after set-up; 0 after a fork wiped the page */
};

/*
 * The mark of the section that this thread has open. Initial-exec: the first access to a lazily allocated TLS
 * block would call malloc.
 */
static __thread struct lz_frame_mark *_Atomic open_section __attribute__((tls_model("initial-exec")));

_Static_assert(_Alignof(struct lz_frame_mark *_Atomic) > STATE, "its address leaves the state's bits free");

/* --- marks --- */

/* Returns a value that differs for each address and that the program's memory is unlikely to hold. */
static uint32_t mark_value(uintptr_t at)
{
	return (uint32_t)((at >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) | 1;
}

void lz_frame_mark_set(struct lz_frame_mark *mark)
{
	atomic_store_explicit(&mark->value, mark_value((uintptr_t)mark), memory_order_relaxed);
}

void lz_frame_mark_clear(struct lz_frame_mark *mark)
{
	atomic_store_explicit(&mark->value, 0, memory_order_relaxed);
}

bool lz_frame_mark_may_be_alive(const struct lz_os *os, uintptr_t at)
{
	return os->word_equals((const _Atomic uint32_t *)at, mark_value(at)) != 0;
}

uintptr_t lz_lock_thread_id(void)
{
	return (uintptr_t)&open_section;
}

/* --- the lock --- */

int lz_lock_init(struct lz_lock *lock, const struct lz_os *os)
{
	intptr_t page =
		os->mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(page))
		return (int)page;
	lock->os = os;
	lock->page = (struct lz_lock_page *)page;
	lock->pid =
		lz_fact_madvise_own(os, LZ_FACT_WIPE_ON_FORK, lock->page, PAGE_BYTES, MADV_WIPEONFORK) == 0
			? 0
			: os->getpid();
	atomic_store(&lock->page->word, FREE);
	atomic_store(&lock->page->not_forked, 1);
	atomic_store(&lock->section_is_open, 0);
	atomic_store(&lock->holder_is_lost, 0);
	return 0;
}

/* Returns the half of the word that a futex can wait for: the one with the state. */
static _Atomic uint32_t *futex_word(struct lz_lock *lock)
{
	return (_Atomic uint32_t *)&lock->page->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/*
 * Acquire and release: on arm64, without release, the stores of the section could become visible before the
 * word is taken.
 */
static bool try_acquire(struct lz_lock *lock, uint64_t *seen, uint64_t state)
{
	return atomic_compare_exchange_strong_explicit(&lock->page->word, seen, lz_lock_thread_id() | state,
		memory_order_acq_rel, memory_order_relaxed);
}

/*
 * Acquires the lock while another thread holds it. Other threads may be waiting too, so the state is
 * CONTENDED from here on; the last waiter then makes one unneeded wake-up call.
 */
static bool acquire_contended(struct lz_lock *lock, uint64_t seen)
{
	bool may_wait = atomic_load_explicit(&lock->holder_is_lost, memory_order_relaxed) == 0;
	uint64_t deadline = 0, now;

	for (;;) {
		if ((seen & STATE) == FREE) {
			if (try_acquire(lock, &seen, CONTENDED))
				return true;
			continue;
		}
		now = lock->os->now_ms();
		if (deadline == 0)
			deadline = now + LZ_LOCK_TIMEOUT_MS;
		if (!may_wait || now >= deadline) {
			atomic_store_explicit(&lock->holder_is_lost, 1, memory_order_relaxed);
			return false;
		}
		if ((seen & STATE) == LOCKED) {
			uint64_t contended = (seen & ~(uint64_t)STATE) | CONTENDED;

			if (!atomic_compare_exchange_strong_explicit(&lock->page->word, &seen, contended,
				    memory_order_relaxed, memory_order_relaxed))
				continue;
			seen = contended;
		}
		lock->os->futex_wait(futex_word(lock), (uint32_t)seen, WAIT_SLICE_MS);
		seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);
	}
}

static bool acquire_word(struct lz_lock *lock)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	if (__builtin_expect((seen & STATE) == FREE, 1) && try_acquire(lock, &seen, LOCKED))
		return true;
	return acquire_contended(lock, seen);
}

/*
 * Frees the word if this thread holds it. In a child that a SIGSYS handler forked inside a section, no thread
 * holds it.
 */
static void release_word(struct lz_lock *lock)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	while ((seen & ~(uint64_t)STATE) == lz_lock_thread_id())
		if (atomic_compare_exchange_weak_explicit(
			    &lock->page->word, &seen, FREE, memory_order_release, memory_order_relaxed)) {
			if ((seen & STATE) == CONTENDED)
				lock->os->futex_wake(futex_word(lock), 1);
			break;
		}
}

/* Whether this is the first section of a forked process. Needs the lock. */
static bool is_first_section_after_fork(struct lz_lock *lock)
{
	if (lock->pid == 0)
		return atomic_exchange_explicit(&lock->page->not_forked, 1, memory_order_relaxed) == 0;
	pid_t pid = lock->os->getpid();
	bool forked = pid != lock->pid;
	lock->pid = pid;
	return forked;
}

static void restore_signals(const struct lz_lock *lock, const struct lz_frame_mark *mark)
{
	if (mark->signals_blocked)
		lock->os->restore_signals(mark->saved_signals);
}

static void end_section(const struct lz_lock *lock, struct lz_frame_mark *mark)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&open_section, NULL, memory_order_relaxed);
	lz_frame_mark_clear(mark);
	restore_signals(lock, mark);
}

enum lz_lock_result lz_lock_acquire(struct lz_lock *lock, struct lz_frame_mark *mark)
{
	struct lz_frame_mark *open;

	if (lock->page == NULL)
		return LZ_LOCK_UNAVAILABLE;
	/* If a seccomp filter denies the call, signals stay unblocked. */
	mark->signals_blocked = lock->os->block_signals(&mark->saved_signals) == 0;
	open = atomic_load_explicit(&open_section, memory_order_relaxed);
	/* If the open section's mark is at the same address, its frame was left by a jump. */
	if (__builtin_expect(
		    open != NULL && open != mark && lz_frame_mark_may_be_alive(lock->os, (uintptr_t)open),
		    0)) {
		restore_signals(lock, mark);
		return LZ_LOCK_UNAVAILABLE;
	}
	lz_frame_mark_set(mark);
	atomic_store_explicit(&open_section, mark, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/* `section_is_open` stays set: the state that the section left is inconsistent. */
	if (__builtin_expect(open != NULL, 0))
		release_word(lock);
	if (!acquire_word(lock)) {
		end_section(lock, mark);
		return LZ_LOCK_UNAVAILABLE;
	}
	if (atomic_load_explicit(&lock->holder_is_lost, memory_order_relaxed))
		atomic_store_explicit(&lock->holder_is_lost, 0, memory_order_relaxed);
	bool inconsistent = atomic_load_explicit(&lock->section_is_open, memory_order_relaxed) != 0;
	atomic_store_explicit(&lock->section_is_open, 1, memory_order_relaxed);
	lock->mark = mark;
	/*
	 * A fork may copy the memory at any moment. The copy must contain `section_is_open` before any change
	 * to the guarded state.
	 */
	atomic_thread_fence(memory_order_release);
	bool forked = is_first_section_after_fork(lock);
	if (forked)
		return inconsistent ? LZ_LOCK_FORKED_INCONSISTENT : LZ_LOCK_FORKED;
	return inconsistent ? LZ_LOCK_INCONSISTENT : LZ_LOCK_ACQUIRED;
}

/*
 * The mark is stored in the lock, not in the thread: after clone(CLONE_VM), two processes may use one
 * thread-local storage.
 */
void lz_lock_release(struct lz_lock *lock)
{
	struct lz_frame_mark *mark = lock->mark;

	atomic_store_explicit(&lock->section_is_open, 0, memory_order_release);
	release_word(lock);
	end_section(lock, mark);
}
