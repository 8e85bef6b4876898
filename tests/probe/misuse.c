/*
 * Frees pointers that are not blocks, one way per run, and pointers that look similar but are valid. Exits
 * with status 0 and "done" if the program was not aborted.
 */
#include "probe.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (40 * MB)

static char *block(void)
{
	char *p = opaque_pointer(calloc(1, SIZE));

	if (p == NULL || (uintptr_t)p % 4096 != 0)
		exit(3);
	memset(p, 1, 3 * MB);
	return p;
}

static void twice(void)
{
	char *p = block();

	free(p);
	free(opaque_pointer(p));
}

static void inside(void)
{
	free(opaque_pointer(block() + 2 * MB));
}

static void inside_unaligned(void)
{
	free(opaque_pointer(block() + 2 * MB + 64));
}

static void inside_freed(void)
{
	char *p = block();

	free(p);
	free(opaque_pointer(p + 2 * MB));
}

static void resize_inside(void)
{
	free(realloc(opaque_pointer(block() + 4096), 100));
}

static void resize_freed(void)
{
	char *p = block();

	free(p);
	free(realloc(opaque_pointer(p), 50 * MB));
}

/* Page-aligned blocks of the next allocator, between live, cached and unmapped regions. */
static void foreign_blocks(void)
{
	char *mine[8], *others[64];

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 8; i++)
			mine[i] = block();
		for (size_t i = 0; i < 64; i++) {
			others[i] = opaque_pointer(aligned_alloc(4096, (i % 8 + 1) * 64 * KB));
			memset(others[i], 2, 4096);
		}
		for (int i = 0; i < 8; i += 2)
			free(mine[i]);
		for (int i = 0; i < 64; i += 2)
			free(others[i]);
		for (int i = 1; i < 8; i += 2)
			free(mine[i]);
		for (int i = 1; i < 64; i += 2)
			others[i] = realloc(others[i], 4096);
		for (int i = 1; i < 64; i += 2)
			free(others[i]);
	}
}

/* Allowed after vfork or fork: the child frees a block, and so does the parent. */
static void free_in_child_and_parent(void)
{
	char *p = block();
	pid_t child = fork();

	free(p);
	if (child == 0)
		_exit(0);
}

int probe_main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {{"twice", twice}, {"inside", inside}, {"inside-unaligned", inside_unaligned},
		{"inside-freed", inside_freed}, {"resize-inside", resize_inside},
		{"resize-freed", resize_freed}, {"foreign_blocks", foreign_blocks},
		{"in-child-too", free_in_child_and_parent}};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (probe_argc > 1 && strcmp(probe_argv[1], ways[i].name) == 0) {
			ways[i].run();
			puts("done");
			return 0;
		}
	}
	fputs("usage: misuse WAY\n", stderr);
	return 2;
}
