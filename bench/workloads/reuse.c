/* Workloads that allocate and free again and again: large blocks by calloc, small ones by malloc. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/common.h"
#include "workload.h"

#define SPARSE_WRITES 10u

static uint64_t rounds, largest;

static void use(uint64_t size, unsigned percent)
{
	char *block = zeroed(size);

	if (percent == 0)
		write_scattered(block, size, SPARSE_WRITES);
	else
		memset(block, 1, size * percent / 100);
	value_sink = (unsigned char)block[size - 1];
	free(block);
}

/* The first round, which everybody pays by page faults, is not timed. */
void workload_reuse(char **arguments)
{
	static const char *const ways[] = {"sparse", "dense", NULL};
	uint64_t size = argument_size(arguments[0]);
	unsigned percent;

	rounds = argument_size(arguments[1]);
	percent = argument_word(arguments[2], ways) == 1 ? 100 : 0;
	use(size, percent);
	measure_start();
	for (uint64_t i = 0; i < rounds; i++)
		use(size, percent);
	measure_stop();
	measure_add_each(rounds);
}

/* Of each eight blocks four are written in 10 places, two in a tenth, one in half, one everywhere. */
static void mixed_thread(unsigned number)
{
	static const unsigned percents[8] = {0, 0, 0, 0, 10, 10, 50, 100};
	uint64_t state = number + 1;

	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t bits = next_random(&state);
		/* As many between 64 KiB and 128 KiB as between half the largest and the largest. */
		uint64_t size = 64 * KIB << bits % 16;

		while (size > largest)
			size >>= 4;
		size += (bits >> 16) % size;
		use(size < largest ? size : largest, percents[bits >> 61]);
	}
}

void workload_mixed(char **arguments)
{
	unsigned threads = argument_threads(arguments[0]);

	rounds = argument_size(arguments[1]);
	largest = argument_size(arguments[2]);
	measure_start();
	in_threads(threads, mixed_thread);
	measure_stop();
}

/* 4096 blocks are alive; each round frees one at random and makes one of 8 to 1032 bytes, mostly small. */
static void small_thread(unsigned number)
{
	enum { ALIVE = 4096 };
	char **alive = calloc(ALIVE, sizeof *alive);
	uint64_t state = number + 1, sum = 0;

	if (alive == NULL)
		measure_refused(strerror(errno));
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t bits = next_random(&state);
		size_t size = 8 + (bits >> 32) % (16u << (bits >> 16) % 7);
		char **slot = &alive[bits % ALIVE];

		if (*slot != NULL)
			sum += (unsigned char)**slot;
		free(*slot);
		*slot = malloc(size);
		if (*slot == NULL)
			measure_refused(strerror(errno));
		**slot = (char)bits;
	}
	for (size_t i = 0; i < ALIVE; i++)
		free(alive[i]);
	free(alive);
	value_sink = sum;
}

void workload_small(char **arguments)
{
	unsigned threads = argument_threads(arguments[0]);

	rounds = argument_size(arguments[1]);
	measure_start();
	in_threads(threads, small_thread);
	measure_stop();
}

/* Nothing is touched: what is timed is the allocator and its system calls, and whether threads wait there. */
static void region_thread(unsigned number)
{
	(void)number;
	for (uint64_t i = 0; i < rounds; i++) {
		char *block = calloc(1, largest);

		if (block == NULL)
			measure_refused(strerror(errno));
		/* Each thread has a sink of its own, so that no cache line goes to and fro. */
		__asm__ volatile("" : : "r"(block) : "memory");
		free(block);
	}
}

void workload_regions(char **arguments)
{
	unsigned threads = argument_threads(arguments[0]);

	rounds = argument_size(arguments[1]);
	largest = argument_size(arguments[2]);
	measure_start();
	in_threads(threads, region_thread);
	measure_stop();
}
