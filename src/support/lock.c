/* A mutex that cannot deadlock; see lock.h. */
#include "support/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "os/mman.h"

#define PAGE_BYTES 4096u

/* How long is waited before asking whether the holder is still there. */
#define SLICE_MS 10u

/*
 * The lock word: from the lowest bit on, its state (Ulrich Drepper, "Futexes Are Tricky", mutex 2), how often
 * it was taken, and where the holder's mark is, in units of 16 bytes; 0 where the address has more than 50
 * bits (user stacks have 47 on x86-64, 48 on arm64, unless a program asks for more). One word, so that
 * whoever takes the lock over knows that it still is held by the section that was found dead.
 */
enum { FREE, LOCKED, CONTENDED, STATE = 3 };

#define COUNT_ONE UINT64_C(4)
#define COUNT_MASK UINT64_C(0x3fffc)
#define PLACE_SHIFT 18
#define PLACE_UNIT 4 /* 16 bytes */

struct lz_lock_page {
	_Atomic uint64_t word;
	_Atomic uint32_t alive; /* 1 where the page was set up, 0 after a fork wiped it */
};

/*
 * Where this thread's section is marked. Initial-exec: the first access to a lazily allocated TLS block would
 * call malloc. Set before the lock is tried and cleared after it is free, so there is no moment at which a
 * signal handler could wait for its own thread.
 */
static __thread struct lz_mark *_Atomic inside __attribute__((tls_model("initial-exec")));

/* --- marks --- */

/* Another at each place, and nothing that a program's memory is likely to hold. */
static uint32_t mark_of(uintptr_t at)
{
	return (uint32_t)((at >> PLACE_UNIT) * UINT64_C(0x9E3779B97F4A7C15) >> 32) | 1;
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

/*
 * Stacks grow downwards. Only nearby, and not on a signal stack: what lies far below may be a stack of
 * another kind, which this thread will return to.
 */
#define NEAR ((uintptr_t)64 << 10)

static _Atomic bool stacks_disarm;

void lz_lock_stacks_disarm(void)
{
	atomic_store_explicit(&stacks_disarm, true, memory_order_relaxed);
}

/* Whether what lies behind the end of the stack is certain to be gone. */
static bool tells_by_place(const struct lz_os *os)
{
	return !atomic_load_explicit(&stacks_disarm, memory_order_relaxed) && os->on_signal_stack() == 0;
}

bool lz_mark_alive_here(const struct lz_os *os, uintptr_t at, uintptr_t here)
{
	if (at == here || (at < here && here - at < NEAR && tells_by_place(os)))
		return false;
	return lz_mark_alive(os, at);
}

/* --- the lock --- */

/* This thread's id, and when it was asked for. */
static __thread struct {
	pid_t tid;
	uint32_t epoch;
} self __attribute__((tls_model("initial-exec")));

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

/* The half of the word that a futex can wait for. */
static _Atomic uint32_t *futex_of(struct lz_lock *lock)
{
	return (_Atomic uint32_t *)&lock->page->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static uint64_t place_of(const struct lz_mark *mark)
{
	uint64_t units = (uintptr_t)mark >> PLACE_UNIT;

	return units >> (64 - PLACE_SHIFT) == 0 ? units << PLACE_SHIFT : 0;
}

/* Between taking the word and saying so, nobody knows who holds it. */
static bool holder_has_ended(const struct lz_lock *lock, uint64_t word)
{
	uint64_t holder = atomic_load_explicit(&lock->holder, memory_order_acquire);

	return holder >> 32 == (word & COUNT_MASK) && !lock->os->thread_exists((pid_t)(uint32_t)holder);
}

/* Whoever marks the very place that the holder did stands where that frame was. */
static bool holder_is_dead(const struct lz_lock *lock, uint64_t word, const struct lz_mark *mark)
{
	uintptr_t at = (uintptr_t)(word >> PLACE_SHIFT << PLACE_UNIT);

	if (at == 0)
		return false;
	return at == (uintptr_t)mark || !lz_mark_alive(lock->os, at) || holder_has_ended(lock, word);
}

static bool take(struct lz_lock *lock, uint64_t *seen, const struct lz_mark *mark, uint64_t state)
{
	uint64_t taken = place_of(mark) | ((*seen + COUNT_ONE) & COUNT_MASK) | state;

	return atomic_compare_exchange_strong_explicit(
		&lock->page->word, seen, taken, memory_order_acquire, memory_order_relaxed);
}

enum acquired { NOT, IN_TURN, TAKEN_OVER };

/*
 * Where somebody else holds the lock. Others may wait: it is contended from here on, which costs the last one
 * a wake in vain.
 */
static enum acquired acquire_late(struct lz_lock *lock, uint64_t seen, const struct lz_mark *mark)
{
	bool patient = atomic_load_explicit(&lock->abandoned, memory_order_relaxed) == 0;
	bool look = !patient;
	uint64_t deadline = 0, now;

	for (;;) {
		if ((seen & STATE) == FREE) {
			if (take(lock, &seen, mark, CONTENDED))
				return IN_TURN;
			continue;
		}
		if (look && holder_is_dead(lock, seen, mark)) {
			if (take(lock, &seen, mark, CONTENDED))
				return TAKEN_OVER;
			continue;
		}
		now = lock->os->now_ms();
		if (deadline == 0)
			deadline = now + LZ_LOCK_PATIENCE_MS;
		if (!patient || now >= deadline) {
			atomic_store_explicit(&lock->abandoned, 1, memory_order_relaxed);
			return NOT;
		}
		if ((seen & STATE) == LOCKED) {
			uint64_t contended = (seen & ~(uint64_t)STATE) | CONTENDED;

			if (!atomic_compare_exchange_strong_explicit(&lock->page->word, &seen, contended,
				    memory_order_relaxed, memory_order_relaxed))
				continue;
			seen = contended;
		}
		lock->os->futex_wait(futex_of(lock), (uint32_t)seen, SLICE_MS);
		look = true;
		seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);
	}
}

static enum acquired acquire(struct lz_lock *lock, const struct lz_mark *mark)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	if (__builtin_expect((seen & STATE) == FREE, 1) && take(lock, &seen, mark, LOCKED))
		return IN_TURN;
	return acquire_late(lock, seen, mark);
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

uintptr_t lz_lock_self(void)
{
	return (uintptr_t)&inside;
}

bool lz_lock_inside(const struct lz_lock *lock)
{
	struct lz_mark *at = atomic_load_explicit(&inside, memory_order_relaxed);

	return at != NULL && lz_mark_alive_here(lock->os, (uintptr_t)at, (uintptr_t)&at);
}

/* Says who holds it. */
static void sign(struct lz_lock *lock)
{
	uint64_t word = atomic_load_explicit(&lock->page->word, memory_order_relaxed);
	uint32_t epoch = atomic_load_explicit(&lock->epoch, memory_order_relaxed);

	if (__builtin_expect(self.tid == 0 || self.epoch != epoch, 0)) {
		self.tid = lock->os->gettid();
		self.epoch = epoch;
	}
	atomic_store_explicit(
		&lock->holder, (word & COUNT_MASK) << 32 | (uint32_t)self.tid, memory_order_release);
}

/* Frees the word from this thread's section marked at `at`, which was left. `busy` stays: it is torn. */
static void let_go(struct lz_lock *lock, const struct lz_mark *at)
{
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	while ((seen & STATE) != FREE && place_of(at) != 0 &&
		seen >> PLACE_SHIFT == place_of(at) >> PLACE_SHIFT)
		if (atomic_compare_exchange_weak_explicit(&lock->page->word, &seen, seen & COUNT_MASK,
			    memory_order_release, memory_order_relaxed)) {
			if ((seen & STATE) == CONTENDED)
				lock->os->futex_wake(futex_of(lock), 1);
			break;
		}
}

enum lz_lock_result lz_lock_enter(struct lz_lock *lock, struct lz_mark *mark)
{
	struct lz_mark *at = atomic_load_explicit(&inside, memory_order_relaxed);
	enum acquired acquired;

	if (lock->page == NULL ||
		__builtin_expect(
			at != NULL && lz_mark_alive_here(lock->os, (uintptr_t)at, (uintptr_t)mark), 0))
		return LZ_LOCK_UNAVAILABLE;
	lz_mark_set(mark);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&inside, mark, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/* What it marked is no more: others, who look at the lock, see it too. */
	if (__builtin_expect(at != NULL, 0))
		let_go(lock, at);
	acquired = acquire(lock, mark);
	if (acquired == NOT) {
		lz_mark_clear(mark);
		atomic_store_explicit(&inside, NULL, memory_order_relaxed);
		return LZ_LOCK_UNAVAILABLE;
	}
	if (atomic_load_explicit(&lock->abandoned, memory_order_relaxed))
		atomic_store_explicit(&lock->abandoned, 0, memory_order_relaxed);
	bool torn = atomic_load_explicit(&lock->busy, memory_order_relaxed) != 0;
	atomic_store_explicit(&lock->busy, 1, memory_order_relaxed);
	bool forked = is_new_child(lock);
	if (forked)
		atomic_fetch_add_explicit(&lock->epoch, 1, memory_order_relaxed);
	sign(lock);
	if (forked)
		return torn ? LZ_LOCK_FORKED_TORN : LZ_LOCK_FORKED;
	return torn || acquired == TAKEN_OVER ? LZ_LOCK_TORN : LZ_LOCK_TAKEN;
}

void lz_lock_leave(struct lz_lock *lock)
{
	struct lz_mark *mark = atomic_load_explicit(&inside, memory_order_relaxed);
	uint64_t seen = atomic_load_explicit(&lock->page->word, memory_order_relaxed);

	atomic_store_explicit(&lock->busy, 0, memory_order_relaxed);
	/* Wiped, where the section was forked in the middle, and perhaps another's by now. */
	while ((seen & STATE) != FREE && seen >> PLACE_SHIFT == place_of(mark) >> PLACE_SHIFT)
		if (atomic_compare_exchange_weak_explicit(&lock->page->word, &seen, seen & COUNT_MASK,
			    memory_order_release, memory_order_relaxed)) {
			if ((seen & STATE) == CONTENDED)
				lock->os->futex_wake(futex_of(lock), 1);
			break;
		}
	atomic_signal_fence(memory_order_seq_cst);
	/* NULL where a program moves what it interrupts to another thread. */
	if (mark != NULL)
		lz_mark_clear(mark);
	atomic_store_explicit(&inside, NULL, memory_order_relaxed);
}
