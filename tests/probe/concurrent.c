/*
 * Tests that nothing hangs, is corrupted or leaks when several contexts meet inside lazyzero: a signal
 * handler that interrupts a call, threads that free each other's regions, children of a threaded parent (by
 * fork, by a raw clone that runs no fork handler, by vfork and posix_spawn). A watchdog ends a hang.
 *
 *   concurrent signals | threads | forks | clones [ROUNDS] | spawns | regions | remaps
 */
#include "probe.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define WATCHDOG_SECONDS 60

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Allocates, checks and frees one region. */
static void use_region(size_t size)
{
	char *p = opaque_pointer(calloc(1, size));

	if (!CHECK(p != NULL, "calloc(1, %zu) gave NULL", size))
		return;
	CHECK(p[0] == 0 && p[size / 2] == 0 && p[size - 1] == 0, "calloc(1, %zu) is not zero", size);
	p[0] = p[size / 2] = p[size - 1] = 1;
	p = opaque_pointer(realloc(p, size + 5 * MB));
	if (CHECK(p != NULL && p[size - 1] == 1, "realloc from %zu lost contents", size))
		p[size + 5 * MB - 1] = 1;
	free(p);
}

static void use_mapping(size_t size)
{
	char *p = mmap(NULL, size, PROT_NONE, ANON, -1, 0);

	if (!CHECK(p != MAP_FAILED, "mmap of %zu failed", size))
		return;
	CHECK(mprotect(p, size, RW) == 0, "mprotect failed: %d", errno);
	p[size - 1] = 1;
	CHECK(munmap(p + size / 2, size / 2) == 0 && munmap(p, size / 2) == 0, "munmap failed: %d", errno);
}

/* --- a signal handler that maps and unmaps --- */

static volatile sig_atomic_t ticks, handler_failures;

static void on_tick(int number)
{
	int saved = errno;
	char *p = mmap(NULL, 2 * MB, RW, ANON, -1, 0);

	(void)number;
	ticks++;
	if (p == MAP_FAILED) {
		handler_failures++;
	} else {
		p[0] = 1;
		if (mprotect(p, MB, PROT_READ) != 0 || munmap(p, 2 * MB) != 0)
			handler_failures++;
	}
	errno = saved;
}

static void check_signals(void)
{
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	struct itimerval timer = {{0, 500}, {0, 500}};
	struct itimerval off = {{0, 0}, {0, 0}};
	double end = now() + 2;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (size_t round = 0; now() < end; round++) {
		errno = 77;
		use_region(MB + round % 64 * MB);
		use_mapping(4 * MB);
		CHECK(errno == 77, "errno became %d", errno);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	CHECK(ticks > 100, "the handler ran only %d times", (int)ticks);
	CHECK_EQUAL(handler_failures, 0);
}

/* --- threads that free each other's regions --- */

#define SLOTS 64

static _Atomic(char *) slots[SLOTS];
static atomic_bool stop;

static void *exchange_regions(void *seed)
{
	uint64_t state = (uintptr_t)seed;

	for (uint64_t round = 1; !stop; round++) {
		size_t size = (1 + round * 7 % 9) * MB;
		char *mine, *other;

		state = state * 6364136223846793005u + 1442695040888963407u;
		mine = opaque_pointer(round % 3 ? calloc(1, size) : aligned_alloc(4096, 32 * MB));
		if (!CHECK(mine != NULL, "no region: errno %d", errno))
			break;
		CHECK(mine[0] == 0 || round % 3 == 0, "a fresh region is not zero");
		mine[0] = mine[MB - 1] = 42;
		other = atomic_exchange(&slots[state >> 33 & (SLOTS - 1)], mine);
		if (other == NULL)
			continue;
		CHECK(other[0] == 42 && other[MB - 1] == 42, "a region changed hands and contents");
		if (round % 5 == 0) {
			other = opaque_pointer(realloc(other, 40 * MB));
			CHECK(other != NULL && other[MB - 1] == 42,
				"realloc in another thread lost contents");
		}
		CHECK(malloc_usable_size(other) >= MB, "a live region has no size");
		free(other);
	}
	return NULL;
}

static void start_threads(pthread_t *threads, size_t count)
{
	stop = false;
	for (size_t i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, exchange_regions, (void *)(i + 1));
}

static void stop_threads(pthread_t *threads, size_t count)
{
	stop = true;
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < SLOTS; i++)
		free(atomic_exchange(&slots[i], NULL));
}

static void check_threads(void)
{
	size_t space = probe_status("VmSize:");
	pthread_t threads[3];

	start_threads(threads, 3);
	sleep(3);
	stop_threads(threads, 3);
	/* Stacks and arenas of three threads remain: 3 * (8 + 64) MB and some more. */
	CHECK(probe_keeps_freed() || probe_status("VmSize:") < space + 300 * MB,
		"address space was %zu and is %zu", space, probe_status("VmSize:"));
}

/* --- children of a threaded parent --- */

static int in_child(void)
{
	double start = now();
	char *inherited = NULL;

	alarm(20);
	for (size_t i = 0; i < SLOTS && inherited == NULL; i++)
		inherited = atomic_exchange(&slots[i], NULL);
	use_region(3 * MB);
	use_region(40 * MB);
	use_mapping(4 * MB);
	free(inherited);
	use_region(2 * MB);
	CHECK(now() - start < 10, "a child took %.1f seconds", now() - start);
	return probe_status_of_checks();
}

static void reap(pid_t child, int number)
{
	int status = 0;

	if (!CHECK(child > 0 && waitpid(child, &status, 0) == child, "no child: errno %d", errno))
		return;
	CHECK(status == 0, "child %d ended with %s %d", number, WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static pid_t raw_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Makes that many children, or as many as five seconds allow, and a tenth at least. */
static void check_children(pid_t (*make_child)(void), int count)
{
	double end = now() + 5;
	pthread_t threads[2];
	int i;

	start_threads(threads, 2);
	for (i = 0; i < count && (i < count / 10 || now() < end) && !probe_status_of_checks(); i++) {
		pid_t child = make_child();

		if (child == 0)
			_exit(in_child());
		reap(child, i);
	}
	stop_threads(threads, 2);
	if (i < count)
		printf("reduced: %d children of %d\n", i, count);
}

/* Without threads: glibc's malloc is not safe in the child of a raw clone of a threaded process. */
static void check_clones(int rounds)
{
	for (int i = 0; i < rounds && !probe_status_of_checks(); i++) {
		char *p = opaque_pointer(calloc(1, 3 * MB));
		pid_t child;

		p[0] = 9;
		child = raw_clone();
		if (child == 0) {
			if (p[0] != 9)
				_exit(9);
			free(p);
			_exit(in_child());
		}
		reap(child, i);
		CHECK(p[0] == 9, "a child changed its parent's region");
		free(p);
	}
}

static void check_spawns(void)
{
	char *arguments[] = {(char *)"true", NULL};
	pthread_t threads[2];

	start_threads(threads, 2);
	for (int i = 0; i < 50; i++) {
		pid_t child = 0;
		int error = posix_spawnp(&child, "true", NULL, NULL, arguments, environ);

		CHECK_EQUAL(error, 0);
		reap(child, i);
		child = vfork();
		if (child == 0) {
			execvp("true", arguments);
			_exit(127);
		}
		reap(child, i);
		use_region(3 * MB);
	}
	stop_threads(threads, 2);
}

/* --- threads that resize their own mappings, so that one is given the addresses that another gives up --- */

static atomic_bool remaps_end;

static void *remap_mappings(void *seed)
{
	unsigned state = (unsigned)(uintptr_t)seed;
	size_t length = 4 * MB;
	char *p = mmap(NULL, length, RW, ANON, -1, 0);

	while (p != MAP_FAILED && !remaps_end) {
		size_t new_length;
		char *q;

		state = state * 1103515245 + 12345;
		new_length = MB + (state >> 8) % (40 * MB) / 4096 * 4096;
		p[0] = (char)state;
		q = mremap(p, length, new_length, MREMAP_MAYMOVE);
		if (!CHECK(q != MAP_FAILED, "mremap from %zu to %zu: %s", length, new_length,
			    strerror(errno)))
			break;
		p = q;
		length = new_length;
		CHECK(p[0] == (char)state, "mremap to %zu lost contents", length);
		p[length - 1] = 1;
	}
	munmap(p, length);
	return NULL;
}

static void *compete_for_lock(void *unused)
{
	while (!remaps_end) {
		char *p = mmap(NULL, MB, RW, ANON, -1, 0);

		mprotect(p, MB / 2, PROT_READ);
		munmap(p, MB);
	}
	return unused;
}

static void check_remaps(void)
{
	pthread_t threads[6];

	for (uintptr_t i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, i % 2 ? compete_for_lock : remap_mappings, (void *)(i + 1));
	poll(NULL, 0, 2000);
	remaps_end = true;
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
}

/* Each child forks the next one while it holds regions of all before it. */
static int fork_generations(int depth)
{
	char *p = opaque_pointer(calloc(1, 3 * MB));
	pid_t child;

	p[0] = (char)depth;
	if (depth > 0) {
		child = fork();
		if (child == 0)
			_exit(fork_generations(depth - 1));
		reap(child, depth);
	}
	CHECK(p[0] == (char)depth, "a descendant changed a region");
	free(p);
	use_region(5 * MB);
	return probe_status_of_checks();
}

int probe_main(void)
{
	const char *action = probe_argc > 1 ? probe_argv[1] : "regions";

	if (strcmp(action, "signals") == 0) {
		check_signals();
		return probe_status_of_checks();
	}
	alarm(WATCHDOG_SECONDS);
	if (strcmp(action, "threads") == 0)
		check_threads();
	else if (strcmp(action, "forks") == 0)
		check_children(fork, 500);
	else if (strcmp(action, "clones") == 0)
		check_clones(probe_argc > 2 ? atoi(probe_argv[2]) : 100);
	else if (strcmp(action, "spawns") == 0)
		check_spawns();
	else if (strcmp(action, "remaps") == 0)
		check_remaps();
	else
		fork_generations(20);
	return probe_status_of_checks();
}
