/*
 * A parent frees large blocks and allocates others while its children live on; each child verifies what it
 * inherited, allocates and frees, and ends at some time. In a control group: no child may keep memory that
 * its parent has freed.
 */
#include "marks.h"
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 4u
#define CHILDREN 6u
#define CHILD_SECONDS 40

static struct block blocks[BLOCKS];
static pid_t children[CHILDREN];

static size_t some_size(uint64_t *state)
{
	return 256 * KB + next_random(state) % 12 * (256 * KB);
}

/* Lives for some steps, each of which leaves a few milliseconds for other processes. */
static void live_on(uint64_t seed)
{
	uint64_t state = seed * 7919 + 1;
	struct timespec nap = {.tv_nsec = 0};

	alarm(CHILD_SECONDS);
	do {
		struct block *block = &blocks[next_random(&state) % BLOCKS];

		for (unsigned i = 0; i < BLOCKS; i++)
			CHECK(is_whole(&blocks[i]));
		if (next_random(&state) % 2 == 0) {
			free(block->p);
			make_block(block, some_size(&state));
		} else {
			allocate_once(&state);
		}
		nap.tv_nsec = next_random(&state) % 20000000;
		nanosleep(&nap, NULL);
	} while (next_random(&state) % 4 != 0 && !failed());
	if (next_random(&state) % 4 == 0)
		exit(failed());
	_exit(failed());
}

static void end_child(pid_t *child)
{
	int status = 0;

	if (*child == 0)
		return;
	CHECK(waitpid(*child, &status, 0) == *child);
	if (!CHECK(status == 0))
		fprintf(stderr, "a child that lived on ended with %s %d\n",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	*child = 0;
}

static void use_blocks(uint64_t rounds)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < BLOCKS; i++)
		make_block(&blocks[i], some_size(&state));
	for (uint64_t round = 0; round < rounds && !failed(); round++) {
		struct block *block = &blocks[next_random(&state) % BLOCKS];
		pid_t *child = &children[round % CHILDREN];

		CHECK(is_whole(block));
		free(block->p);
		make_block(block, some_size(&state));
		end_child(child);
		*child = fork();
		if (*child == 0)
			live_on(round);
		CHECK(*child > 0);
		allocate_once(&state);
		progress();
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		end_child(&children[i]);
	for (unsigned i = 0; i < BLOCKS; i++) {
		CHECK(is_whole(&blocks[i]));
		free(blocks[i].p);
	}
	free_regions();
}

/* --- in a control group --- */

/* The limit is less than what is filled and freed while children live. */
#define WORKERS 12u
#define FREED (10 * MB)

static bool join_group(const char *group)
{
	char path[512];
	int file;
	bool joined;

	snprintf(path, sizeof path, "%s/cgroup.procs", group);
	file = open(path, O_WRONLY | O_CLOEXEC);
	joined = file >= 0 && write(file, "0", 1) == 1;
	if (file >= 0)
		close(file);
	return joined;
}

static void fill_and_free(void)
{
	char *p = malloc(FREED);

	if (CHECK(p != NULL))
		memset(p, 1, FREED);
	free(p);
}

/* Without enough memory the kernel would kill one of them. */
static void fill_beside_children(void)
{
	pid_t workers[WORKERS];
	int status;

	for (unsigned i = 0; i < WORKERS; i++) {
		fill_and_free();
		workers[i] = fork();
		if (workers[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i % 4 == 0)
				fill_and_free();
			pause();
			_exit(0);
		}
		CHECK(workers[i] > 0);
	}
	for (unsigned i = 0; i < WORKERS && !failed(); i++) {
		CHECK(waitpid(workers[i], &status, WNOHANG) == 0);
		kill(workers[i], SIGTERM);
		CHECK(waitpid(workers[i], &status, 0) == workers[i]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	}
}

static void check_group(void)
{
	const char *group = getenv("STRESS_GROUP");
	int status = 0;
	pid_t child;

	if (group == NULL || *group == '\0') {
		fputs("not tested: whether children keep freed memory (no control group)\n", stderr);
		return;
	}
	child = fork();
	if (child == 0) {
		alarm(CHILD_SECONDS);
		if (!CHECK(join_group(group)))
			_exit(1);
		fill_beside_children();
		_exit(failed());
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	progress();
}

void run_children(uint64_t rounds)
{
	use_blocks(rounds);
	check_group();
}
