/*
 * How a program takes a refusal well: it asks for the block it would like, settles for half as often as it
 * must, and goes on. A refusal is an ordinary ENOMEM; nothing is lost by it.
 *
 *   refused [SIZE]                            SIZE is 1 TiB unless given
 *
 * Measured with LD_PRELOAD=liblazyzero.so LAZYZERO_BACKING=zeropage LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=16M
 * LAZYZERO_LOG=none (without the first, the zero window serves the 1 TiB):
 *
 *   calloc of 1 TiB: Cannot allocate memory
 *   ...
 *   calloc of 8 GiB: Cannot allocate memory
 *   calloc of 4 GiB: served
 *   realloc to 2 TiB: Cannot allocate memory; the old block is whole
 *   small allocations: go on
 *
 * Without lazyzero the C library refuses what exceeds the machine's memory; the program does not change.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* With less than this the program would rather not run. */
#define LEAST MIB

static void *calloc_at_most(uint64_t *size)
{
	char text[SIZE_TEXT];

	for (; *size >= LEAST; *size /= 2) {
		void *block = calloc(1, *size);

		printf("calloc of %s: %s\n", format_size(text, *size),
			block != NULL ? "served" : strerror(errno));
		if (block != NULL)
			return block;
		if (errno != ENOMEM)
			break;
	}
	return NULL;
}

/*
 * A refused realloc returns NULL and leaves the block as it was: never assign its result to the only pointer.
 */
static char *try_to_grow(char *block, uint64_t size, uint64_t new_size)
{
	char *grown = realloc(block, new_size);
	char text[SIZE_TEXT];

	if (grown != NULL) {
		printf("realloc to %s: served\n", format_size(text, new_size));
		return grown;
	}
	printf("realloc to %s: %s; the old block ", format_size(text, new_size), strerror(errno));
	printf(block[0] == 'a' && block[size - 1] == 'z' ? "is whole\n" : "is damaged\n");
	return block;
}

/* What a program needs to unwind, log and carry on is far below lazyzero's threshold, and always passes. */
static bool small_allocations_work(void)
{
	for (int i = 0; i < 1000; i++) {
		/* Volatile, or the compiler may leave out the allocation and its failure. */
		char *volatile small = malloc(1000);

		if (small == NULL)
			return false;
		memset(small, 1, 1000);
		free(small);
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t size = TIB, wanted;
	char *block;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts("Usage: refused [SIZE]     SIZE such as 512G or 1T");
		return 0;
	}
	if (argc > 2 || (argc == 2 && !parse_size(argv[1], &size)) || size > SIZE_MAX / 2) {
		fprintf(stderr, "Usage: refused [SIZE]     SIZE such as 512G or 1T\n");
		return 2;
	}
	wanted = size;
	block = calloc_at_most(&size);
	if (block == NULL) {
		fprintf(stderr, "refused: not even %d MiB to be had\n", (int)(LEAST / MIB));
		return 1;
	}
	block[0] = 'a';
	block[size - 1] = 'z';
	block = try_to_grow(block, size, 2 * wanted);
	printf("small allocations: %s\n", small_allocations_work() ? "go on" : "fail");
	free(block);
	return 0;
}
