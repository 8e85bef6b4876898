/* A mutex that cannot deadlock; see lock.h. */
#include "support/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "os/mman.h"

#define PAGE_BYTES 4096u

/* The states of the futex word: Ulrich Drepper, "Futexes Are Tricky", mutex 2. */
enum { FREE, LOCKED, CONTENDED };

struct lz_lock_page {
	_Atomic uint32_t word;
	_Atomic uint32_t alive; /* 1 where the page was set up, 0 after a fork wiped it */
};

/*
 * Initial-exec: the first access to a lazily allocated TLS block would call malloc. Set before the lock is
 * tried and cleared after it is free, so there is no moment at which a signal handler could wait for its
 * own thread.
 */
static __thread _Atomic bool inside __attribute__((tls_model("initial-exec")));

bool lz_lock_inside(void)
{
	return atomic_load_explicit(&inside, memory_order_relaxed);
}

int lz_lock_init(struct lz_lock *lock, const struct lz_os *os)
{
	intptr_t page =
		os->mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(page))
		return (int)page;
	lock->os = os;
	lock->page = (struct lz_lock_page *)page;
	lock->pid = os->madvise(lock->page, PAGE_BYTES, MADV_WIPEONFORK) == 0 ? 0 : os->getpid();
	atomic_store(&lock->page->word, FREE);
	atomic_store(&lock->page->alive, 1);
	atomic_store(&lock->busy, 0);
	atomic_store(&lock->abandoned, 0);
	return 0;
}

/* Takes the word; false when the holder does not give it back in time. */
static bool acquire(struct lz_lock *lock)
{
	_Atomic uint32_t *word = &lock->page->word;
	uint32_t seen = FREE;
	uint64_t deadline = 0;

	if (atomic_compare_exchange_strong_explicit(
		    word, &seen, LOCKED, memory_order_acquire, memory_order_relaxed))
		return true;
	if (atomic_load_explicit(&lock->abandoned, memory_order_relaxed))
		return false;
	while (atomic_exchange_explicit(word, CONTENDED, memory_order_acquire) != FREE) {
		uint64_t now = lock->os->now_ms();

		if (deadline == 0)
			deadline = now + LZ_LOCK_PATIENCE_MS;
		if (now >= deadline) {
			atomic_store_explicit(&lock->abandoned, 1, memory_order_relaxed);
			return false;
		}
		lock->os->futex_wait(word, CONTENDED, (unsigned)(deadline - now));
	}
	return true;
}

/* Whether this is the first time inside in a process that was forked off. */
static bool is_new_child(struct lz_lock *lock)
{
	if (lock->pid == 0)
		return atomic_exchange_explicit(&lock->page->alive, 1, memory_order_relaxed) == 0;
	pid_t pid = lock->os->getpid();
	bool forked = pid != lock->pid;
	lock->pid = pid;
	return forked;
}

enum lz_lock_result lz_lock_enter(struct lz_lock *lock)
{
	if (lock->page == NULL || lz_lock_inside())
		return LZ_LOCK_UNAVAILABLE;
	atomic_store_explicit(&inside, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (!acquire(lock)) {
		atomic_store_explicit(&inside, false, memory_order_relaxed);
		return LZ_LOCK_UNAVAILABLE;
	}
	if (atomic_load_explicit(&lock->abandoned, memory_order_relaxed))
		atomic_store_explicit(&lock->abandoned, 0, memory_order_relaxed);
	bool torn = atomic_load_explicit(&lock->busy, memory_order_relaxed) != 0;
	atomic_store_explicit(&lock->busy, 1, memory_order_relaxed);
	if (is_new_child(lock))
		return torn ? LZ_LOCK_TORN : LZ_LOCK_FORKED;
	return LZ_LOCK_TAKEN;
}

void lz_lock_leave(struct lz_lock *lock)
{
	atomic_store_explicit(&lock->busy, 0, memory_order_relaxed);
	if (atomic_exchange_explicit(&lock->page->word, FREE, memory_order_release) == CONTENDED)
		lock->os->futex_wake(&lock->page->word, 1);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&inside, false, memory_order_relaxed);
}
