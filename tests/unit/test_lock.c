/* support/lock.c: sections that nest, that are left by a jump, and whose thread is gone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
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

/* Enters at some depth of the stack; leaves, or jumps. */
static __attribute__((noinline)) enum lz_lock_result visit(unsigned depth, bool jump)
{
	struct lz_mark mark;
	enum lz_lock_result result;

	if (depth > 0) {
		result = visit(depth - 1, jump);
		/* No tail call: each level has a frame of its own. */
		__asm__ volatile("" ::"r"(&mark) : "memory");
		return result;
	}
	result = lz_lock_enter(&lock, &mark);
	if (result != LZ_LOCK_UNAVAILABLE && jump)
		longjmp(out, 1);
	if (result != LZ_LOCK_UNAVAILABLE)
		lz_lock_leave(&lock);
	return result;
}

static void jump_out(unsigned depth)
{
	if (setjmp(out) == 0)
		visit(depth, true);
}

/* What a program does with its stack after a jump. */
static __attribute__((noinline)) void use_stack(void)
{
	volatile char frame[16384];

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = 1;
}

Test(lock, is_taken_and_left)
{
	start();
	cr_expect_not(lz_lock_inside(&lock));
	for (unsigned i = 0; i < 100000; i++)
		cr_assert_eq(visit(i % 3, false), LZ_LOCK_TAKEN);
	cr_expect_not(lz_lock_inside(&lock));
}

Test(lock, inside_a_section_there_is_no_other)
{
	struct lz_mark mark;

	start();
	cr_assert_eq(lz_lock_enter(&lock, &mark), LZ_LOCK_TAKEN);
	cr_expect(lz_lock_inside(&lock));
	for (unsigned depth = 0; depth < 5; depth++)
		cr_expect_eq(visit(depth, false), LZ_LOCK_UNAVAILABLE);
	use_stack();
	cr_expect_eq(visit(0, false), LZ_LOCK_UNAVAILABLE);
	lz_lock_leave(&lock);
	cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN);
}

Test(lock, a_section_that_was_jumped_out_of_is_taken_over)
{
	start();
	/* From the same place, where the old mark still stands. */
	for (unsigned depth = 0; depth < 5; depth++) {
		jump_out(depth);
		cr_expect_eq(visit(depth, false), LZ_LOCK_TORN, "at depth %u", depth);
		cr_expect_eq(visit(depth, false), LZ_LOCK_TAKEN);
	}
	/* From another, once the stack has been used. */
	for (unsigned depth = 0; depth < 5; depth++) {
		jump_out(depth);
		use_stack();
		cr_expect_eq(visit(7, false), LZ_LOCK_TORN, "at depth %u", depth);
		cr_expect_eq(visit(7, false), LZ_LOCK_TAKEN);
	}
}

/* What it marked is whole, but lies beyond the end of the stack. */
Test(lock, a_section_deeper_than_the_stack_is_none)
{
	start();
	for (unsigned depth = 3; depth < 9; depth++) {
		jump_out(depth);
		cr_expect_eq(visit(0, false), LZ_LOCK_TORN, "at depth %u", depth);
		cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN);
	}
}

static void *visit_once(void *milliseconds)
{
	uint64_t before = now();
	enum lz_lock_result result = visit(0, false);

	*(uint64_t *)milliseconds = now() - before;
	return (void *)(uintptr_t)result;
}

static enum lz_lock_result in_a_thread(uint64_t *milliseconds)
{
	pthread_t thread;
	void *result;

	cr_assert_eq(pthread_create(&thread, NULL, visit_once, milliseconds), 0);
	pthread_join(thread, &result);
	return (enum lz_lock_result)(uintptr_t)result;
}

/* A handler on a stack of its own above this one, where the kernel does not tell it is on one. */
Test(lock, where_signal_stacks_disarm_a_place_says_nothing)
{
	struct lz_mark marks[2];
	uintptr_t deep = (uintptr_t)&marks[0], here = (uintptr_t)&marks[1];

	lz_mark_set(&marks[0]);
	cr_expect_not(lz_mark_alive_here(&lz_os_linux, deep, here));
	lz_lock_stacks_disarm();
	cr_expect(lz_mark_alive_here(&lz_os_linux, deep, here));
	lz_mark_clear(&marks[0]);
	cr_expect_not(lz_mark_alive_here(&lz_os_linux, deep, here));
}

/* The child of vfork has the parent's memory, and another process id. */
Test(lock, threads_of_other_processes_exist)
{
	pid_t parent = lz_os_linux.gettid(), child = fork();
	int status;

	if (child == 0)
		_exit(lz_os_linux.thread_exists(parent) != 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	cr_expect_eq(lz_os_linux.thread_exists(child), 0);
}

Test(lock, another_thread_takes_over_what_was_jumped_out_of)
{
	uint64_t milliseconds;

	start();
	jump_out(3);
	use_stack();
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_TORN);
	cr_expect_lt(milliseconds, LZ_LOCK_PATIENCE_MS);
	cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN, "the thread that jumped goes on");
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_TAKEN);
}

static void *die_inside(void *unused)
{
	struct lz_mark mark;

	lz_lock_enter(&lock, &mark);
	pthread_exit(unused);
}

Test(lock, a_thread_that_ended_inside_holds_nothing)
{
	uint64_t milliseconds;
	pthread_t thread;

	start();
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(pthread_create(&thread, NULL, die_inside, NULL), 0);
		pthread_join(thread, NULL);
		cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_TORN);
		cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN);
	}
}

static struct lz_mark lasting;

/* As if nobody had used its stack since. */
static void *die_and_leave_the_mark(void *unused)
{
	lz_lock_enter(&lock, &lasting);
	return unused;
}

Test(lock, a_thread_that_ended_is_known_to_have_whatever_its_stack_holds)
{
	uint64_t milliseconds;
	pthread_t thread;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, die_and_leave_the_mark, NULL), 0);
	pthread_join(thread, NULL);
	cr_assert(lz_mark_alive(&lz_os_linux, (uintptr_t)&lasting));
	cr_expect_eq(in_a_thread(&milliseconds), LZ_LOCK_TORN);
	cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN);
}

static atomic_int stage;

static void *linger(void *unused)
{
	struct lz_mark mark;
	struct timespec nap = {.tv_nsec = 1000000};

	lz_lock_enter(&lock, &mark);
	stage = 1;
	while (stage == 1)
		nanosleep(&nap, NULL);
	lz_lock_leave(&lock);
	return unused;
}

Test(lock, a_living_holder_keeps_it_and_is_not_waited_for_twice)
{
	uint64_t before;
	pthread_t thread;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, linger, NULL), 0);
	while (stage == 0)
		continue;
	before = now();
	cr_expect_eq(visit(0, false), LZ_LOCK_UNAVAILABLE);
	cr_expect_geq(now() - before, LZ_LOCK_PATIENCE_MS);
	before = now();
	for (unsigned i = 0; i < 5; i++)
		cr_expect_eq(visit(0, false), LZ_LOCK_UNAVAILABLE);
	cr_expect_lt(now() - before, 5 * LZ_LOCK_PATIENCE_MS);
	stage = 2;
	pthread_join(thread, NULL);
	cr_expect_eq(visit(0, false), LZ_LOCK_TAKEN);
}
