/*
 * An allocator that only one plugin sees: mimalloc's names on a few blocks of its own. It aborts when it is
 * given what it did not make, and so would any.
 */
#include "plugin.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK 8192 /* every other block is page-aligned, as ours are */
#define BLOCKS 64

static _Alignas(4096) unsigned char memory[BLOCKS][BLOCK];
static atomic_bool taken[BLOCKS];

static size_t index_of(const void *p)
{
	size_t offset = (size_t)((const unsigned char *)p - memory[0]);

	if (offset >= sizeof memory || !taken[offset / BLOCK]) {
		fprintf(stderr, "a private allocator was given %p\n", p);
		abort();
	}
	return offset / BLOCK;
}

void *mi_malloc(size_t size)
{
	for (size_t i = 0; size <= BLOCK / 2 && i < BLOCKS; i++)
		if (!atomic_exchange(&taken[i], true))
			return memory[i] + (i % 2) * 16;
	return NULL;
}

void mi_free(void *p)
{
	if (p != NULL)
		taken[index_of(p)] = false;
}

size_t mi_usable_size(const void *p)
{
	index_of(p);
	return BLOCK / 2;
}

void *mi_realloc(void *p, size_t size)
{
	if (p == NULL)
		return mi_malloc(size);
	index_of(p);
	return size <= BLOCK / 2 ? p : NULL;
}
