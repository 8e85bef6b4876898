/* Threads, signal handlers, small stacks, fork and vfork: nothing is lost beside what is cleared. */
#include "zeroing.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- threads that clear neighbouring parts of one page --- */

#define CLEARERS 3
#define PART (4 * MB + 5 * PAGE + 100) /* the parts meet inside pages */

static char *shared;
static atomic_bool ends;

static void *clear_part(void *argument)
{
	/* Between the parts are 8 bytes of another thread. */
	char *p = shared + (size_t)(uintptr_t)argument * (PART + 8);

	for (int round = 0; round < 30; round++) {
		for (size_t at = (size_t)round; at < PART; at += 61 * PAGE)
			p[at] = (char)(round + 1);
		p[0] = p[PART - 1] = 1;
		zero(p, PART);
		if (!CHECK(all_zero(p, PART), "part %zu, round %d", (size_t)(uintptr_t)argument, round))
			break;
	}
	return NULL;
}

static void *store_beside(void *unused)
{
	uint64_t value = 0;

	(void)unused;
	while (!ends) {
		value++;
		for (size_t i = 1; i <= CLEARERS; i++)
			__atomic_store_n((uint64_t *)(shared + i * (PART + 8) - 8), value, __ATOMIC_RELAXED);
		for (size_t i = 1; i <= CLEARERS; i++) {
			uint64_t found =
				__atomic_load_n((uint64_t *)(shared + i * (PART + 8) - 8), __ATOMIC_RELAXED);

			if (!CHECK(found == value, "a store beside part %zu is lost", i))
				return NULL;
		}
	}
	return NULL;
}

static void check_threads(bool on_region)
{
	size_t size = CLEARERS * (PART + 8);
	pthread_t thread[CLEARERS + 1];

	shared = on_region ? calloc(1, size) : map_private(size);
	ends = false;
	pthread_create(&thread[CLEARERS], NULL, store_beside, NULL);
	for (size_t i = 0; i < CLEARERS; i++)
		pthread_create(&thread[i], NULL, clear_part, (void *)(uintptr_t)i);
	for (size_t i = 0; i < CLEARERS; i++)
		pthread_join(thread[i], NULL);
	ends = true;
	pthread_join(thread[CLEARERS], NULL);
	if (on_region)
		free(shared);
	else
		munmap(shared, size);
}

/* --- signals in the middle --- */

static char *of_handler, *interrupted;
static volatile sig_atomic_t signals;

static void clear_in_handler(int number)
{
	(void)number;
	signals++;
	of_handler[(size_t)signals % 4 * MB] = 1;
	memset(of_handler, 0, 4 * MB + PAGE);
	if (of_handler[(size_t)signals % 4 * MB] != 0)
		_exit(9);
	/* Beside what is being cleared. */
	interrupted[0]++;
	interrupted[6 * MB + 99]++;
}

/* The timer's signal goes to this thread: another one would not be interrupted while it clears. */
static timer_t start_timer(void)
{
	struct itimerspec every = {{0, 2000000}, {0, 2000000}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &every, NULL) != 0)
		perror("timer_create"), _exit(2);
	return timer;
}

static void check_signals(void)
{
	struct sigaction action = {.sa_handler = clear_in_handler, .sa_flags = SA_RESTART}, before;
	timer_t timer;

	of_handler = map_private(5 * MB);
	interrupted = map_private(7 * MB);
	signals = 0;
	sigaction(SIGALRM, &action, &before);
	timer = start_timer();
	for (int round = 0; round < 4000 && signals < 100; round++) {
		for (size_t at = PAGE; at < 6 * MB; at += 16 * PAGE)
			interrupted[at] = 1;
		memset(interrupted + 1, 0, 6 * MB + 98);
		if (!CHECK(all_zero(interrupted + 1, 6 * MB + 98), "interrupted memset, round %d", round))
			break;
	}
	timer_delete(timer);
	sigaction(SIGALRM, &before, NULL);
	CHECK(interrupted[0] == (char)signals && interrupted[6 * MB + 99] == (char)signals,
		"a handler's store beside the range is lost");
	munmap(of_handler, 5 * MB);
	munmap(interrupted, 7 * MB);
}

/* --- small stacks --- */

static char *on_small_stack;

static void *clear_on_small_stack(void *unused)
{
	on_small_stack[3 * MB] = 1;
	memset(on_small_stack + 1, 0, 6 * MB - 2);
	return unused;
}

static void clear_on_signal_stack(int number)
{
	(void)number;
	clear_on_small_stack(NULL);
}

static void check_small_stacks(void)
{
	struct sigaction action = {.sa_handler = clear_on_signal_stack, .sa_flags = SA_ONSTACK}, before;
	long least = sysconf(_SC_MINSIGSTKSZ);
	size_t size = (least > 0 ? (size_t)least : 2048) + 2048;
	stack_t stack = {.ss_sp = malloc(size), .ss_size = size}, old;
	pthread_attr_t attributes;
	pthread_t thread;

	on_small_stack = map_private(6 * MB);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN);
	if (pthread_create(&thread, &attributes, clear_on_small_stack, NULL) == 0)
		pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	CHECK(all_zero(on_small_stack, 6 * MB), "on a small stack");
	sigaltstack(&stack, &old);
	sigaction(SIGUSR1, &action, &before);
	raise(SIGUSR1);
	sigaction(SIGUSR1, &before, NULL);
	sigaltstack(&old, NULL);
	free(stack.ss_sp);
	CHECK(all_zero(on_small_stack, 6 * MB), "on a signal stack");
	munmap(on_small_stack, 6 * MB);
}

/* Memory on the stack itself, which grows when it is touched. */
static __attribute__((noinline)) void check_stack_memory(void)
{
	char buffer[5 * MB + 3];

	zero(buffer, sizeof buffer);
	CHECK(all_zero(buffer, sizeof buffer), "memory on the stack");
	buffer[MB] = 1;
	zero(buffer, sizeof buffer);
	CHECK(all_zero(buffer, sizeof buffer), "memory on the stack");
	opaque_pointer(buffer);
}

/* --- fork and vfork --- */

static bool ended_well(pid_t child)
{
	int status = 0;

	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void check_forks(void)
{
	char *p = calloc(1, BLOCK), *q = map_private(BLOCK);
	pid_t child;

	for (size_t at = 0; at < BLOCK; at += 64 * PAGE)
		p[at] = 5;
	zero(q, BLOCK);
	/* The child's pages differ from the parent's: scanning the parent would lose what the child wrote. */
	child = fork();
	if (child == 0) {
		for (size_t at = 9; at < BLOCK; at += 33 * PAGE)
			p[at] = q[at] = 6;
		zero(p, BLOCK);
		zero(q + 1, BLOCK - 1);
		_exit(!all_zero(p, BLOCK) || !all_zero(q, BLOCK));
	}
	for (size_t at = 0; at < BLOCK; at += 64 * PAGE)
		CHECK(p[at] == 5, "a child cleared its parent's memory");
	CHECK(ended_well(child), "a child did not clear its memory");
	zero(p, BLOCK);
	CHECK(all_zero(p, BLOCK), "after a fork");
	for (size_t at = 0; at < BLOCK; at += 64 * PAGE)
		p[at] = q[at] = 5;
	child = vfork();
	if (child == 0) {
		memset(p, 0, BLOCK);
		memset(q + 3, 0, BLOCK - 3);
		_exit(0);
	}
	CHECK(ended_well(child), "a child of vfork");
	CHECK(all_zero(p, BLOCK) && q[0] == 5 && all_zero(q + 3, BLOCK - 3),
		"what a child of vfork cleared is not zero");
	free(p);
	munmap(q, BLOCK);
}

/* --- forks while other threads clear --- */

static void *clear_until_end(void *block)
{
	while (!ends) {
		for (size_t at = 3; at < BLOCK; at += 90 * PAGE)
			((char *)block)[at] = 1;
		zero(block, BLOCK);
	}
	return NULL;
}

static void check_forks_while_clearing(void)
{
	char *block = map_private(BLOCK), *of_child = calloc(1, BLOCK);
	pthread_t thread;

	ends = false;
	if (!CHECK(pthread_create(&thread, NULL, clear_until_end, block) == 0, "pthread_create"))
		return;
	for (int round = 0; round < 20; round++) {
		pid_t child = fork();

		if (child == 0) {
			for (size_t at = 7; at < BLOCK; at += 70 * PAGE)
				of_child[at] = block[at] = 1;
			memset(of_child, 0, BLOCK);
			memset(block, 0, BLOCK);
			_exit(!sparse_zero(of_child, BLOCK) || !sparse_zero(block, BLOCK));
		}
		if (!CHECK(ended_well(child),
			    "a child that was forked while a thread cleared memory, round %d", round))
			break;
	}
	ends = true;
	pthread_join(thread, NULL);
	munmap(block, BLOCK);
	free(of_child);
}

void check_concurrent(void)
{
	check_threads(false);
	check_threads(true);
	check_signals();
	check_small_stacks();
	check_stack_memory();
	check_forks();
	check_forks_while_clearing();
}
