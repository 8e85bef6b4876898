/*
 * Large blocks of every standard function, and what the C library allocates for its callers: made, filled,
 * resized, freed. Prints a line that is the same wherever the blocks come from. When it was built with a
 * malloc of its own, or runs with one preloaded, that one must have been called.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting_malloc.h"

extern __attribute__((weak)) unsigned long counting_calls(void);

#define MIB ((size_t)1 << 20)

static uint64_t sum;

/* Adds up what must be zero, writes, and adds up what was written. */
static void *used(void *block, size_t size, int is_zero)
{
	unsigned char *p = block;

	if (p == NULL) {
		perror("large");
		exit(1);
	}
	for (size_t at = 0; at < size; at += 65536) {
		if (is_zero)
			sum += p[at];
		p[at] = (unsigned char)(at >> 16);
		sum += p[at];
	}
	return block;
}

static void standard(size_t size)
{
	void *block = NULL;

	free(used(malloc(size), size, 0));
	free(used(calloc(size / 16, 16), size, 1));
	block = used(malloc(100), 100, 0);
	block = used(realloc(block, size), size, 0);
	block = used(realloc(block, 2 * size), 2 * size, 0);
	block = used(realloc(block, 1000), 1000, 0);
	free(block);
	block = used(calloc(1, size), size, 1);
	block = used(realloc(block, size + 3 * MIB), size, 0);
	free(block);
	block = used(aligned_alloc(65536, size), size, 0);
	sum += (uintptr_t)block % 65536;
	free(block);
	if (posix_memalign(&block, 4096, size) != 0)
		exit(1);
	free(used(block, size, 0));
	free(used(memalign(64, size), size, 0));
	block = used(reallocarray(NULL, size / 64, 64), size, 0);
	sum += malloc_usable_size(block) < size;
	free(block);
}

/* What the C library allocates, its callers free. */
static void by_the_library(size_t size)
{
	char *text = malloc(size + 1), *copy = NULL, *line = NULL;
	size_t length = 0, room = 0;
	FILE *stream = open_memstream(&copy, &length);

	memset(text, 'x', size);
	text[size] = '\0';
	fwrite(text, 1, size, stream);
	fputc('\n', stream);
	fclose(stream);
	stream = fmemopen(copy, length, "r");
	sum += (uint64_t)getline(&line, &room, stream);
	fclose(stream);
	free(copy);
	free(line);
	copy = strdup(text);
	sum += strlen(copy) + (size_t)asprintf(&line, "%s%s", text, copy);
	free(line);
	free(copy);
	free(text);
}

int main(void)
{
	static const size_t sizes[] = {100, 70000, 2 * MIB, 40 * MIB, 70 * MIB};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		standard(sizes[i]);
	by_the_library(40 * MIB);
	if (counting_calls != NULL && counting_calls() < 50) {
		fprintf(stderr, "the other malloc was called %lu times\n", counting_calls());
		return 1;
	}
	printf("sum %llu\n", (unsigned long long)sum);
	return 0;
}
