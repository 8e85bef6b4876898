/*
 * A plugin bound to another malloc than the program: opened with RTLD_DEEPBIND, or in a namespace of its own
 * by dlmopen. It knows only glibc's allocator.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "deepbind.h"

static void *give_copy(const void *block, size_t size)
{
	void *copy = malloc(size);

	if (copy != NULL)
		memcpy(copy, block, size);
	return copy;
}

const struct deepbind_plugin deepbind_plugin = {
	.free = free,
	.realloc = realloc,
	.reallocarray = reallocarray,
	.malloc_usable_size = malloc_usable_size,
	.malloc = malloc,
	.calloc = calloc,
	.memalign = memalign,
	.copy = give_copy,
};
