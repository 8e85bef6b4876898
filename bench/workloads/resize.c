/* Workloads on addresses rather than contents: realloc that grows, and many small mappings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../examples/common.h"
#include "workload.h"

/*
 * As a growing array does, each time by a quarter. A byte of each 64 KiB is written, not of each page, so
 * that what is timed is the growing and not the page faults.
 */
void workload_grow(char **arguments)
{
	uint64_t size = argument_size(arguments[0]), end = argument_size(arguments[1]), written = 0;
	char *block = NULL;

	measure_start();
	for (;; size += size / 4) {
		if (size > end)
			size = end;
		block = pointer_sink = realloc(block, size);
		if (block == NULL)
			measure_refused(strerror(errno));
		for (; written < size; written += 64 * KIB)
			block[written] = 1;
		if (size == end)
			break;
	}
	measure_stop();
	free(block);
}

/* 64 mappings of 4 to 64 KiB are alive; each round unmaps the oldest and makes one. Nothing is touched. */
void workload_churn(char **arguments)
{
	enum { ALIVE = 64 };
	struct {
		void *start;
		size_t size;
	} alive[ALIVE] = {{NULL, 0}};
	uint64_t rounds = argument_size(arguments[0]), state = 1;

	measure_start();
	for (uint64_t i = 0; i < rounds; i++) {
		size_t size = (1 + next_random(&state) % 16) * page_bytes();
		void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (start == MAP_FAILED)
			measure_refused(strerror(errno));
		if (alive[i % ALIVE].start != NULL)
			munmap(alive[i % ALIVE].start, alive[i % ALIVE].size);
		alive[i % ALIVE].start = start;
		alive[i % ALIVE].size = size;
	}
	measure_stop();
}
