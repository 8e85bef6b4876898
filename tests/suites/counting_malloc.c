/*
 * A malloc of somebody else's, as programs and preloaded libraries bring one to count or to check: it hands
 * everything to the C library by the C library's own names. Built into a program and as a library to preload;
 * with COUNTING_SOME only malloc and free, the rest being whoever's.
 */
#include "counting_malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static atomic_ulong calls;

unsigned long counting_calls(void)
{
	return calls;
}

void *malloc(size_t size)
{
	calls++;
	return __libc_malloc(size);
}

void free(void *p)
{
	calls++;
	__libc_free(p);
}

#ifndef COUNTING_SOME
void *calloc(size_t count, size_t size)
{
	calls++;
	return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
	calls++;
	return __libc_realloc(p, size);
}

void *memalign(size_t alignment, size_t size)
{
	calls++;
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	calls++;
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	calls++;
	*out = __libc_memalign(alignment, size);
	return *out != NULL ? 0 : ENOMEM;
}
#endif
