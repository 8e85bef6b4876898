/*
 * Many processes over one shared memory. The parent fills it; the processes read a byte of every page, wait,
 * and read once more.
 *
 * Nothing is timed while anything else works: processes and parent meet at a barrier before and after each
 * pass, and under `lazyzero run`, which makes the memory huge in its own time, the second pass starts when
 * the page tables have not changed for SETTLED_MS.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/common.h"
#include "workload.h"

#define MAX_PROCESSES 1024u
#define SETTLED_MS 1500u
#define PATIENCE_MS 40000u
#define STEP_MS 100u

static pthread_barrier_t *barrier; /* in shared memory; of all processes and the parent */
static pid_t processes[MAX_PROCESSES];

static char *mapped_shared(uint64_t size)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		measure_refused(strerror(errno));
	return at;
}

static void set_barrier(unsigned parties)
{
	pthread_barrierattr_t attributes;

	barrier = (pthread_barrier_t *)(void *)mapped_shared(sizeof *barrier);
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &attributes, parties);
	pthread_barrierattr_destroy(&attributes);
}

static _Noreturn void work_as_process(const char *memory, uint64_t size)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int pass = 0; pass < 2; pass++) {
		pthread_barrier_wait(barrier);
		read_pages(memory, size);
		pthread_barrier_wait(barrier);
	}
	pause();
	_exit(0);
}

static uint64_t tables_of_all(unsigned count)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t tables = status_bytes(processes[i], "VmPTE");

		if (tables != UNKNOWN)
			sum += tables;
	}
	return sum;
}

static void wait_until_settled(unsigned count)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	uint64_t before = 0;
	unsigned same = 0;

	for (unsigned waited = 0; waited < PATIENCE_MS && same < SETTLED_MS; waited += STEP_MS) {
		uint64_t now = tables_of_all(count);

		same = now == before ? same + STEP_MS : 0;
		before = now;
		nanosleep(&step, NULL);
	}
}

void workload_shared(char **arguments)
{
	uint64_t count = argument_size(arguments[0]), size = argument_size(arguments[1]);
	char *memory = mapped_shared(size);
	double first;

	if (count > MAX_PROCESSES)
		measure_refused("too many processes");
	set_barrier((unsigned)count + 1);
	memset(memory, 1, size);
	for (unsigned i = 0; i < count; i++) {
		processes[i] = fork();
		if (processes[i] < 0)
			exit(1); /* the others end with this process */
		if (processes[i] == 0)
			work_as_process(memory, size);
	}
	measure_start();
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	first = measure_elapsed();
	wait_until_settled((unsigned)count);
	measure_start();
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	measure_stop();
	measure_add("first_seconds", first);
	measure_add("tables_sum", (double)tables_of_all((unsigned)count));
	for (unsigned i = 0; i < count; i++)
		kill(processes[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}
