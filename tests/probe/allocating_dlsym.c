/*
 * A library to preload behind lazyzero whose dlsym allocates, as that of older C libraries and of some tools
 * does: lazyzero looks up its next allocator through it, so these blocks are served before there is one. They
 * are used again in every way as soon as there is.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the program has come to hold: all from the bootstrap arena, if start-up works as it should. */
static unsigned char *kept[4];
static size_t count;

static void *real_dlsym(void *handle, const char *name)
{
	static void *(*real)(void *, const char *);

	/* glibc 2.34 moved dlsym into libc under a new version. */
	if (real == NULL)
		*(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
	if (real == NULL)
		*(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
	return real != NULL ? real(handle, name) : NULL;
}

__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name)
{
	unsigned char *block = calloc(3, 100);

	if (block != NULL && count < sizeof kept / sizeof *kept)
		kept[count++] = block;
	else
		free(block);
	return real_dlsym(handle, name);
}

static int complain(const char *what)
{
	fprintf(stderr, "allocating_dlsym.c: %s\n", what);
	return 1;
}

static int check_blocks(void)
{
	int failures = 0;

	if (count != sizeof kept / sizeof *kept)
		return complain("dlsym was not called while lazyzero started");
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < 300; j++)
			if (kept[i][j] != 0)
				failures += complain("a block was not zeroed");
	if (malloc_usable_size(kept[0]) < 300)
		failures += complain("malloc_usable_size does not know a block");
	memset(kept[0], 7, malloc_usable_size(kept[0]));
	kept[0] = realloc(kept[0], 100000);
	if (kept[0] == NULL || kept[0][299] != 7)
		failures += complain("realloc lost a block's contents");
	for (size_t i = 0; i < count; i++)
		free(kept[i]);
	return failures;
}

/* Before lazyzero's own constructor: the allocation starts it. */
__attribute__((constructor)) static void start_and_check(void)
{
	void *volatile first = malloc(1); /* volatile: else the compiler drops the pair */

	free(first);
	puts(check_blocks() == 0 ? "bootstrap blocks: as any others" : "bootstrap blocks: broken");
	fflush(stdout);
}
