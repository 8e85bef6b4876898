/*
 * Children of a threaded parent, libraries that are loaded and unloaded, and exits while other threads
 * allocate.
 */
#include "stress.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* A child that hangs ends itself; its parent sees the signal. */
#define CHILD_SECONDS 40

static void reap(pid_t child)
{
	int status = 0;

	if (!CHECK(child > 0) || !CHECK(waitpid(child, &status, 0) == child))
		return;
	if (!CHECK(status == 0))
		fprintf(stderr, "a child ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* --- fork --- */

/* Allocates at once, frees what it inherited, sometimes forks again. */
static void run_forked_child(uint64_t round)
{
	uint64_t state = round;
	double start = seconds();

	alarm(CHILD_SECONDS);
	for (unsigned i = 0; i < 4; i++)
		allocate_once(&state);
	free(take_region(&state));
	map_once(&state);
	CHECK(still_serves());
	if (round % 8 == 0) {
		pid_t child = fork();

		if (child == 0) {
			allocate_once(&state);
			_exit(failed());
		}
		reap(child);
	}
	CHECK(seconds() - start < CHILD_SECONDS / 2);
	/* Sometimes with everything that runs at exit. */
	if (round % 4 == 0)
		exit(failed());
	_exit(failed());
}

void run_forks(uint64_t rounds)
{
	start_allocating(2);
	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		pid_t child = fork();

		if (child == 0)
			run_forked_child(i);
		reap(child);
		progress();
	}
	stop_allocating();
}

/* --- clone without fork handlers: the C library's locks may be held for ever in the child --- */

static void run_cloned_child(uint64_t round)
{
	uint64_t state = round;
	char *own;

	alarm(CHILD_SECONDS);
	map_once(&state);
	own = own_alloc(3 * MB);
	if (preloaded())
		CHECK(own != NULL);
	if (own != NULL)
		CHECK(own[MB] == 0);
	own_free(own);
	map_once(&state);
	_exit(failed());
}

void run_clones(uint64_t rounds)
{
	start_allocating(2);
	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

		if (child == 0)
			run_cloned_child(i);
		reap(child);
		progress();
	}
	stop_allocating();
}

/* --- vfork, posix_spawn --- */

void run_spawns(uint64_t rounds)
{
	char *arguments[] = {(char *)stress_program, (char *)"exit", (char *)"plain", NULL};
	uint64_t state = 1;

	start_allocating(2);
	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		pid_t child = 0;

		if (i % 2 == 0) {
			CHECK(posix_spawn(&child, stress_program, NULL, NULL, arguments, environ) == 0);
		} else {
			child = vfork();
			if (child == 0) {
				/* In its parent's memory; the parent checks it afterwards. */
				void *p = mmap(NULL, 2 * MB, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

				munmap(p, 2 * MB);
				execv(stress_program, arguments);
				_exit(127);
			}
		}
		allocate_once(&state);
		reap(child);
		progress();
	}
	stop_allocating();
}

/* --- dlopen, dlclose --- */

static uint64_t wanted;

static void *open_and_close(void *number)
{
	char library[512];
	char *(*region)(void);

	/*
	 * One copy for each thread: a shared one would always be open in some thread and never be unloaded.
	 */
	snprintf(library, sizeof library, "%s/library%u.so", getenv("STRESS_LIBRARIES"),
		(unsigned)(uintptr_t)number);
	while (rounds_done() < wanted && !failed()) {
		void *handle = dlopen(library, RTLD_NOW);
		char *p;

		if (!CHECK(handle != NULL)) {
			fprintf(stderr, "%s\n", dlerror());
			break;
		}
		*(void **)&region = dlsym(handle, "stress_region");
		p = region();
		CHECK(p != NULL && p[0] == 0);
		p[0] = (char)(uintptr_t)number;
		CHECK(p[0] == (char)(uintptr_t)number);
		free(p);
		CHECK(dlclose(handle) == 0);
		CHECK(dlopen(library, RTLD_NOW | RTLD_NOLOAD) == NULL);
		progress();
	}
	return NULL;
}

void run_libraries(uint64_t rounds)
{
	pthread_t threads[3];

	wanted = rounds;
	start_allocating(1);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, open_and_close, (void *)(i + 1));
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	stop_allocating();
}

/* --- exits --- */

static void allocate_at_exit(void)
{
	uint64_t state = 99;

	for (unsigned i = 0; i < 3; i++)
		allocate_once(&state);
	map_once(&state);
}

/* Ends the process once the main thread has ended. */
static void *exit_later(void *unused)
{
	struct timespec nap = {.tv_nsec = 2000000};

	nanosleep(&nap, NULL);
	exit(failed());
	return unused;
}

int exit_somehow(const char *how)
{
	struct timespec nap = {.tv_nsec = 1000000};
	pthread_t thread;

	alarm(CHILD_SECONDS);
	if (strcmp(how, "plain") == 0)
		return failed();
	atexit(allocate_at_exit);
	at_quick_exit(allocate_at_exit);
	start_allocating(2);
	nanosleep(&nap, NULL);
	if (strcmp(how, "exit") == 0)
		exit(failed());
	if (strcmp(how, "quick") == 0)
		quick_exit(failed());
	if (strcmp(how, "at-once") == 0)
		_exit(failed());
	if (strcmp(how, "thread") == 0) {
		pthread_create(&thread, NULL, exit_later, NULL);
		pthread_exit(NULL);
	}
	return failed();
}

void run_exits(uint64_t rounds)
{
	static const char *const ways[] = {"return", "exit", "quick", "at-once", "thread"};

	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		char *arguments[] = {(char *)stress_program, (char *)"exit", (char *)ways[i % 5], NULL};
		pid_t child = 0;

		CHECK(posix_spawn(&child, stress_program, NULL, NULL, arguments, environ) == 0);
		reap(child);
		progress();
	}
}
