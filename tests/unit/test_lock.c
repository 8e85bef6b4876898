/* support/lock.c: nested sections, sections left by a jump, and holders whose thread is gone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "support/lock.h"

static struct lz_lock lock;
static jmp_buf out;

static uint64_t now(void)
{
	return lz_os_linux.now_ms();
}

static void start(void)
{
	memset(&lock, 0, sizeof lock);
	cr_assert_eq(lz_lock_init(&lock, &lz_os_linux), 0);
}

/* Acquires the lock at some stack depth; then releases it, or jumps out. */
static __attribute__((noinline)) enum lz_lock_result acquire_at_depth(unsigned depth, bool jump)
{
	struct lz_frame_mark mark;
	enum lz_lock_result result;

	if (depth > 0) {
		result = acquire_at_depth(depth - 1, jump);
		/* Prevents a tail call, so that each level has its own frame. */
		__asm__ volatile("" ::"r"(&mark) : "memory");
		return result;
	}
	result = lz_lock_acquire(&lock, &mark);
	if (result != LZ_LOCK_UNAVAILABLE && jump)
		longjmp(out, 1);
	if (result != LZ_LOCK_UNAVAILABLE)
		lz_lock_release(&lock);
	return result;
}

static void leave_by_longjmp(unsigned depth)
{
	if (setjmp(out) == 0)
		acquire_at_depth(depth, true);
}

/* Overwrites the stack, as a program does after a jump. */
static __attribute__((noinline)) void use_stack(void)
{
	volatile char frame[16384];

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = 1;
}

Test(lock, acquire_and_release)
{
	start();
	for (unsigned i = 0; i < 100000; i++)
		cr_assert_eq(acquire_at_depth(i % 3, false), LZ_LOCK_ACQUIRED);
}

Test(lock, reentry_is_unavailable)
{
	struct lz_frame_mark mark;

	start();
	cr_assert_eq(lz_lock_acquire(&lock, &mark), LZ_LOCK_ACQUIRED);
	for (unsigned depth = 0; depth < 5; depth++)
		cr_expect_eq(acquire_at_depth(depth, false), LZ_LOCK_UNAVAILABLE);
	use_stack();
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_UNAVAILABLE);
	lz_lock_release(&lock);
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_ACQUIRED);
}

Test(lock, section_left_by_longjmp_is_recovered)
{
	start();
	/* From the same stack depth, where the old mark is still intact. */
	for (unsigned depth = 0; depth < 5; depth++) {
		leave_by_longjmp(depth);
		cr_expect_eq(acquire_at_depth(depth, false), LZ_LOCK_INCONSISTENT, "at depth %u", depth);
		cr_expect_eq(acquire_at_depth(depth, false), LZ_LOCK_ACQUIRED);
	}
	/* From another depth, after the stack was overwritten. */
	for (unsigned depth = 0; depth < 5; depth++) {
		leave_by_longjmp(depth);
		use_stack();
		cr_expect_eq(acquire_at_depth(7, false), LZ_LOCK_INCONSISTENT, "at depth %u", depth);
		cr_expect_eq(acquire_at_depth(7, false), LZ_LOCK_ACQUIRED);
	}
}

static void *acquire_once(void *milliseconds)
{
	uint64_t before = now();
	enum lz_lock_result result = acquire_at_depth(0, false);

	*(uint64_t *)milliseconds = now() - before;
	return (void *)(uintptr_t)result;
}

static enum lz_lock_result in_a_thread(uint64_t *milliseconds)
{
	pthread_t thread;
	void *result;

	cr_assert_eq(pthread_create(&thread, NULL, acquire_once, milliseconds), 0);
	pthread_join(thread, &result);
	return (enum lz_lock_result)(uintptr_t)result;
}

/*
 * The holder is running, so no other thread may take the lock. The holder releases it at its next
 * acquisition.
 */
Test(lock, not_taken_from_a_running_thread)
{
	uint64_t milliseconds;

	start();
	leave_by_longjmp(3);
	use_stack();
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_UNAVAILABLE);
	cr_expect_geq(milliseconds, LZ_LOCK_TIMEOUT_MS);
	cr_expect_eq(
		acquire_at_depth(0, false), LZ_LOCK_INCONSISTENT, "the thread that jumped recovers the lock");
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_ACQUIRED);
}

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
	handled = number;
}

Test(lock, signals_are_blocked_in_a_section)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct lz_frame_mark mark;

	start();
	for (int number = 1; number <= SIGRTMAX; number++) {
		bool by_instruction = number == SIGSEGV || number == SIGBUS || number == SIGILL ||
				      number == SIGFPE || number == SIGTRAP || number == SIGSYS;

		if (sigaction(number, &action, NULL) != 0)
			continue;
		handled = 0;
		cr_assert_eq(lz_lock_acquire(&lock, &mark), LZ_LOCK_ACQUIRED);
		pthread_kill(pthread_self(), number);
		cr_expect_eq(handled != 0, by_instruction, "signal %d", number);
		lz_lock_release(&lock);
		cr_expect_eq(handled, number, "after the section");
	}
}

Test(lock, signal_mask_is_restored)
{
	struct lz_frame_mark mark;
	sigset_t set, found;

	start();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	cr_assert_eq(lz_lock_acquire(&lock, &mark), LZ_LOCK_ACQUIRED);
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_UNAVAILABLE);
	pthread_sigmask(SIG_SETMASK, NULL, &found);
	cr_expect(sigismember(&found, SIGALRM), "still blocked after a nested attempt");
	lz_lock_release(&lock);
	pthread_sigmask(SIG_SETMASK, NULL, &found);
	cr_expect(sigismember(&found, SIGUSR1));
	cr_expect_not(sigismember(&found, SIGALRM));
}

static int child_exits_in_section(void *unused)
{
	struct lz_frame_mark mark;

	(void)unused;
	lz_lock_acquire(&lock, &mark);
	_exit(0);
}

/*
 * The child shares memory and thread-local storage with its parent, like a child of vfork(2), and never
 * leaves its section.
 */
Test(lock, vfork_child_killed_in_a_section_delays_at_most_the_timeout)
{
	const size_t size = 65536;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t milliseconds;
	pid_t child;
	int status;

	cr_assert_neq(stack, MAP_FAILED);
	start();
	child = clone(child_exits_in_section, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	cr_assert_gt(child, 0);
	waitpid(child, &status, 0);
	in_a_thread(&milliseconds);
	cr_expect_lt(milliseconds, 2 * LZ_LOCK_TIMEOUT_MS);
	/* The mark is overwritten. */
	madvise(stack, size, MADV_DONTNEED);
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_INCONSISTENT);
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_ACQUIRED);
}

static atomic_int stage;

static void *hold_until_told(void *unused)
{
	struct lz_frame_mark mark;
	struct timespec nap = {.tv_nsec = 1000000};

	lz_lock_acquire(&lock, &mark);
	stage = 1;
	while (stage == 1)
		nanosleep(&nap, NULL);
	lz_lock_release(&lock);
	return unused;
}

Test(lock, second_waiter_does_not_wait_for_a_slow_holder)
{
	uint64_t before;
	pthread_t thread;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, hold_until_told, NULL), 0);
	while (stage == 0)
		continue;
	before = now();
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_UNAVAILABLE);
	cr_expect_geq(now() - before, LZ_LOCK_TIMEOUT_MS);
	before = now();
	for (unsigned i = 0; i < 5; i++)
		cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_UNAVAILABLE);
	cr_expect_lt(now() - before, 5 * LZ_LOCK_TIMEOUT_MS);
	stage = 2;
	pthread_join(thread, NULL);
	cr_expect_eq(acquire_at_depth(0, false), LZ_LOCK_ACQUIRED);
}
