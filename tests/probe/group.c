/*
 * Processes that share a budget. The arguments are steps, which are done in order:
 *
 *   calloc:MIB       allocates MIB MiB; prints "ENOMEM" if that fails
 *   read             reads a byte of each page of all that was allocated
 *   wait             prints "waiting" and waits for a line on standard input
 *   fork:N           N children wait, without a call, until this process ends
 *   exec             executes sleep(1) in place of this program
 *   herd:N:MIB       N children calloc and read MIB MiB each and hold it until all have; prints how they
 * ended turnover:S       for S seconds, up to 200 children come and go, half of them killed; all are gone at
 * the end
 */
#include "probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 64
#define CHILDREN 200

static char *block[BLOCKS];
static size_t block_bytes[BLOCKS];
static unsigned blocks;

static bool allocate(size_t mib)
{
	char *p = opaque_pointer(calloc(1, mib * MB));

	if (p == NULL)
		return false;
	block[blocks] = p;
	block_bytes[blocks++] = mib * MB;
	return true;
}

static void read_blocks(void)
{
	for (unsigned i = 0; i < blocks; i++)
		for (size_t at = 0; at < block_bytes[i]; at += 4096)
			if (((volatile char *)block[i])[at] != 0)
				abort();
}

static void wait_for_line(void)
{
	char line[16];

	puts("waiting");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		exit(0);
}

static void fork_idle(int count)
{
	for (int i = 0; i < count; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

/* What became of the children so far, shared with them. */
struct tally {
	_Atomic int done, refused, killed;
};

static void run_in_herd(struct tally *tally, int count, size_t mib)
{
	if (!allocate(mib)) {
		tally->refused++;
		_exit(3);
	}
	read_blocks();
	tally->done++;
	while (tally->done + tally->refused + tally->killed < count)
		usleep(20000);
	_exit(0);
}

static void herd(int count, size_t mib)
{
	struct tally *tally =
		mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	for (int i = 0; i < count; i++)
		if (fork() == 0)
			run_in_herd(tally, count, mib);
	while (wait(&status) > 0)
		if (WIFSIGNALED(status))
			tally->killed++;
	printf("done %d, refused %d, killed %d\n", tally->done, tally->refused, tally->killed);
}

static void come_and_go(unsigned seed)
{
	for (int i = 0; i < 3; i++) {
		allocate(1 + (size_t)rand_r(&seed) % 256);
		if (rand_r(&seed) % 4 == 0)
			read_blocks();
		usleep((unsigned)rand_r(&seed) % 50000);
	}
	if (rand_r(&seed) % 2)
		raise(SIGKILL);
	exit(0);
}

static void turnover(int seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned seed = 20261130;
	int living = 0;

	while (time(NULL) < end || living > 0) {
		if (time(NULL) < end && living < CHILDREN) {
			rand_r(&seed);
			if (fork() == 0)
				come_and_go(seed);
			living++;
		} else {
			wait(NULL);
			living--;
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			living--;
	}
}

static void step(const char *text)
{
	int count = 0;
	size_t mib = 0;

	if (sscanf(text, "calloc:%zu", &mib) == 1) {
		if (!allocate(mib))
			puts("ENOMEM");
	} else if (strcmp(text, "read") == 0) {
		read_blocks();
	} else if (strcmp(text, "wait") == 0) {
		wait_for_line();
	} else if (sscanf(text, "fork:%d", &count) == 1) {
		fork_idle(count);
	} else if (strcmp(text, "exec") == 0) {
		puts("waiting");
		fflush(stdout);
		execlp("sleep", "sleep", "60", (char *)NULL);
	} else if (sscanf(text, "herd:%d:%zu", &count, &mib) == 2) {
		herd(count, mib);
	} else if (sscanf(text, "turnover:%d", &count) == 1) {
		turnover(count);
	} else {
		fprintf(stderr, "group: \"%s\" is no step\n", text);
		exit(2);
	}
	fflush(stdout);
}

int probe_main(void)
{
	for (int i = 1; i < probe_argc; i++)
		step(probe_argv[i]);
	return 0;
}
