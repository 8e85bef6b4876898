/*
 * The workload behind bench/fastpath.sh: rounds of calls of the malloc family, of a small size, that
 * the allocator can answer from its thread cache. Run twice with different counts under callgrind, the
 * difference is what the calls alone cost.
 *
 * `region` is of a size that lazyzero serves.
 *
 *   fastpath malloc+free|calloc+free|realloc|memset|region ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Volatile, so that the compiler cannot drop a pair of malloc and free. */
static void *volatile block;

static void pairs(long rounds)
{
	for (long i = 0; i < rounds; i++) {
		block = malloc(64);
		free(block);
	}
}

static void zeroed_pairs(long rounds)
{
	for (long i = 0; i < rounds; i++) {
		block = calloc(1, 64);
		free(block);
	}
}

/* The same size again: nothing moves. */
static void resizes(long rounds)
{
	block = malloc(64);
	for (long i = 0; i < rounds; i++)
		block = realloc(block, 60 + (size_t)i % 4);
	free(block);
}

static void clears(long rounds)
{
	char bytes[64];

	for (long i = 0; i < rounds; i++) {
		memset(bytes, 0, sizeof bytes);
		block = bytes;
	}
}

static void regions(long rounds)
{
	for (long i = 0; i < rounds; i++) {
		block = calloc(1, 1 << 20);
		free(block);
	}
}

int main(int argc, char **argv)
{
	long rounds;

	if (argc != 3 || (rounds = strtol(argv[2], NULL, 10)) <= 0) {
		fprintf(stderr, "usage: fastpath malloc+free|calloc+free|realloc|memset|region ROUNDS\n");
		return 2;
	}
	if (strcmp(argv[1], "malloc+free") == 0)
		pairs(rounds);
	else if (strcmp(argv[1], "calloc+free") == 0)
		zeroed_pairs(rounds);
	else if (strcmp(argv[1], "realloc") == 0)
		resizes(rounds);
	else if (strcmp(argv[1], "memset") == 0)
		clears(rounds);
	else if (strcmp(argv[1], "region") == 0)
		regions(rounds);
	else
		return 2;
	return 0;
}
