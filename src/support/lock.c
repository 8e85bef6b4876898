/* A mutex that cannot deadlock; see lock.h. */
#include "support/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "os/facts.h"
#include "os/mman.h"

#define PAGE_BYTES 4096u

/* How long a thread waits before it asks whether the holder still exists. */
#define SLICE_MS 10u

/*
 * The lock word: its state (Ulrich Drepper, "Futexes Are Tricky", mutex 2) in the lowest two bits, and in the
 * others lz_lock_self() of the holder.
 */
enum { FREE, LOCKED, CONTENDED, STATE = 3 };

struct lz_lock_page {
	_Atomic uint64_t word;
	_Atomic uint32_t alive; /* 1 where the page was set up, 0 after a fork wiped it */
};

/*
 * The mark of this thread's open section. Initial-exec: the first access to a lazily allocated TLS block
 * would call malloc.
 */
static __thread struct lz_mark *_Atomic inside __attribute__((tls_model("initial-exec")));

_Static_assert(_Alignof(struct lz_mark *_Atomic) > STATE, "its address leaves the state's bits free");

/* --- marks --- */

/* A different value for each address, and one that a program's memory is unlikely to hold. */
static uint32_t mark_of(uintptr_t at)
{
	return (uint32_t)((at >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) | 1;
}

void lz_mark_set(struct lz_mark *mark)
{
	atomic_store_explicit(&mark->value, mark_of((uintptr_t)mark), memory_order_relaxed);
}

void lz_mark_clear(struct lz_mark *mark)
{
	atomic_store_explicit(&mark->value, 0, memory_order_relaxed);
}

bool lz_mark_alive(const struct lz_os *os, uintptr_t at)
{
	return os->holds((const _Atomic uint32_t *)at, mark_of(at)) != 0;
}

uintptr_t lz_lock_self(void)
{
	return (uintptr_t)&inside;
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
	atomic_store(&lock->page->alive, 1);
	atomic_store(&lock->busy, 0);
	atomic_store(&lock->abandoned, 0);
	return 0;
}

/* The half of the word that a futex can wait for. */
static _Atomic uint32_t *futex_of(struct lz_lock *lock)
{
	return (_Atomic uint32_t *)&lock->page->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* Release as well: on arm64 the section's stores could otherwise be visible before the word is taken. */
static bool take(struct lz_lock *lock, uint64_t *seen, uint64_t state)
{
	return atomic_compare_exchange_strong_explicit(
		&lock->page->word, seen, lz_lock_self() | state, memory_order_acq_rel, memory_order_relaxed);
}

/*
 * Another thread holds the lock. Others may wait for it, too, so the word is CONTENDED from here on, which
 * costs the last one a useless wake-up.
 */
static bool acquire_late(struct lz_lock *lock, uint64_t seen)
{
	bool patient = atomic_load_explicit(&lock->abandoned, memory_order_relaxed) == 0;
	uint64_t deadline = 0, now;

	for (;;) {
		if ((seen & STATE) == FREE) {
			if (take(lock, &seen, CONTENDED))
				return true;
			continue;
		}
		now = lock->os->now_ms();
		if (deadline == 0)
			deadline = now + LZ_LOCK_PATIENCE_MS;
		if (!patient || now >= deadline) {
			atomic_store_explicit(&lock->abandoned, 1, memory_order_relaxed);
			return false;
		}
		if ((seen & STATE) == LOCKED) {
			uint64_t contended = (seen & ~(uint64_t)STATE) | CONTENDED;

			if (!atomic_compare_exchange_strong_explicit(&lock->page->word, &seen, contended,
				    memory_order_relaxed, memory_order_relaxed))
				continue;
			seen = contended;
		}
		lock->os->futex_wait(futex_of(lock), (uint32_t)seen, SLICE_MS);
		seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);
	}
}

static bool acquire(struct lz_lock *lock)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	if (__builtin_expect((seen & STATE) == FREE, 1) && take(lock, &seen, LOCKED))
		return true;
	return acquire_late(lock, seen);
}

/* Frees the word if this thread holds it: in a child forked from inside, by a handler of SIGSYS, nobody does.
 */
static void release(struct lz_lock *lock)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	while ((seen & ~(uint64_t)STATE) == lz_lock_self())
		if (atomic_compare_exchange_weak_explicit(
			    &lock->page->word, &seen, FREE, memory_order_release, memory_order_relaxed)) {
			if ((seen & STATE) == CONTENDED)
				lock->os->futex_wake(futex_of(lock), 1);
			break;
		}
}

/* Whether this is the first section of a process that was forked off; with the lock. */
static bool is_new_child(struct lz_lock *lock)
{
	if (lock->pid == 0)
		return atomic_exchange_explicit(&lock->page->alive, 1, memory_order_relaxed) == 0;
	pid_t pid = lock->os->getpid();
	bool forked = pid != lock->pid;
	lock->pid = pid;
	return forked;
}

static void restore_signals(const struct lz_lock *lock, const struct lz_mark *mark)
{
	if (mark->blocked)
		lock->os->restore_signals(mark->signals);
}

static void close_section(const struct lz_lock *lock, struct lz_mark *mark)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&inside, NULL, memory_order_relaxed);
	lz_mark_clear(mark);
	restore_signals(lock, mark);
}

enum lz_lock_result lz_lock_enter(struct lz_lock *lock, struct lz_mark *mark)
{
	struct lz_mark *open;

	if (lock->page == NULL)
		return LZ_LOCK_UNAVAILABLE;
	/* A filter that denies the call leaves signals as they are. */
	mark->blocked = lock->os->block_signals(&mark->signals) == 0;
	open = atomic_load_explicit(&inside, memory_order_relaxed);
	/* A section whose frame lies where ours does was left by a jump. */
	if (__builtin_expect(open != NULL && open != mark && lz_mark_alive(lock->os, (uintptr_t)open), 0)) {
		restore_signals(lock, mark);
		return LZ_LOCK_UNAVAILABLE;
	}
	lz_mark_set(mark);
	atomic_store_explicit(&inside, mark, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/* `busy` stays set: the state that section left is torn. */
	if (__builtin_expect(open != NULL, 0))
		release(lock);
	if (!acquire(lock)) {
		close_section(lock, mark);
		return LZ_LOCK_UNAVAILABLE;
	}
	if (atomic_load_explicit(&lock->abandoned, memory_order_relaxed))
		atomic_store_explicit(&lock->abandoned, 0, memory_order_relaxed);
	bool torn = atomic_load_explicit(&lock->busy, memory_order_relaxed) != 0;
	atomic_store_explicit(&lock->busy, 1, memory_order_relaxed);
	lock->mark = mark;
	/* A fork copies memory at any moment: `busy` must be in the copy before anything that it guards. */
	atomic_thread_fence(memory_order_release);
	bool forked = is_new_child(lock);
	if (forked)
		return torn ? LZ_LOCK_FORKED_TORN : LZ_LOCK_FORKED;
	return torn ? LZ_LOCK_TORN : LZ_LOCK_TAKEN;
}

/* The mark is the lock's, not the thread's: clone(CLONE_VM) may run two processes on one thread-local
 * storage. */
void lz_lock_leave(struct lz_lock *lock)
{
	struct lz_mark *mark = lock->mark;

	atomic_store_explicit(&lock->busy, 0, memory_order_release);
	release(lock);
	close_section(lock, mark);
}
