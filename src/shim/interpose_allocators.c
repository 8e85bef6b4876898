/*
 * What other allocators offer beside the standard functions, where it takes a block: a program that knows
 * jemalloc, mimalloc or tcmalloc beneath us may hand them one that we served. Ours are dealt with here; all
 * others go to the function that the call was for (scope.h).
 *
 * Only functions that take a block stand here, never one that makes a block or tells of the allocator:
 * programs that look whether jemalloc is there look for mallocx or mallctl, and must not find them. Where
 * there is no such allocator, what stands here does what its standard counterpart does, so a program that is
 * content with sdallocx alone is right to use it. And only names that nobody else gives another meaning: not
 * malloc_size, vfree or cfree.
 *
 * C++'s operators are not among them. Whoever defines delete defines new, so it is given its own blocks;
 * where a program mixes the two, malloc is left alone (company.h). And a plugin that brings the C++ library
 * into a program without would pay a look into the table of callers for every delete.
 */
#include <malloc.h>
#include <stdlib.h>

#include "shim/allocator_fallbacks.h"
#include "shim/shim.h"

/* jemalloc(3): of the flags, the low six bits are the binary logarithm of an alignment, and one asks for
 * zeros. */
static void *fallback_rallocx(void *p, size_t size, int flags)
{
	size_t alignment = (size_t)1 << (flags & 63);

	return flags & 0x40 ? lz_fallback_rezalloc_aligned(p, size, alignment)
			    : lz_fallback_realloc_aligned(p, size, alignment);
}

static int fallback_malloc_trim(size_t pad)
{
	(void)pad;
	return 0;
}

/* --- the C library: its own entrance, for programs that bring a malloc --- */

void __libc_free(void *p);
void *__libc_realloc(void *p, size_t size);

EXPORT void __libc_free(void *p)
{
	if (!free_own_block(p))
		NEXT(__libc_free, lz_fallback_free)(p);
}

EXPORT void *__libc_realloc(void *p, size_t size)
{
	return is_own_block(p) ? lz_fallback_realloc(p, size)
			       : NEXT(__libc_realloc, lz_fallback_realloc)(p, size);
}

/* It asks for memory back, and some of it is what we keep. */
EXPORT int malloc_trim(size_t pad)
{
	bool freed_any = lz_cache_flush(&lz_core.cache);

	return NEXT(malloc_trim, fallback_malloc_trim)(pad) != 0 || freed_any;
}

/* --- jemalloc --- */

void dallocx(void *p, int flags);
void sdallocx(void *p, size_t size, int flags);
void *rallocx(void *p, size_t size, int flags);
size_t xallocx(void *p, size_t size, size_t extra, int flags);
size_t sallocx(const void *p, int flags);

EXPORT void dallocx(void *p, int flags)
{
	if (!free_own_block(p))
		NEXT(dallocx, lz_fallback_free)(p, flags);
}

EXPORT void sdallocx(void *p, size_t size, int flags)
{
	if (!free_own_block(p))
		NEXT(sdallocx, lz_fallback_free)(p, size, flags);
}

EXPORT void *rallocx(void *p, size_t size, int flags)
{
	return is_own_block(p) ? fallback_rallocx(p, size, flags)
			       : NEXT(rallocx, fallback_rallocx)(p, size, flags);
}

/* The size it has is an answer that the caller must be prepared for. */
EXPORT size_t xallocx(void *p, size_t size, size_t extra, int flags)
{
	return is_own_block(p) ? lz_fallback_size(p) : NEXT(xallocx, lz_fallback_size)(p, size, extra, flags);
}

EXPORT size_t sallocx(const void *p, int flags)
{
	return is_own_block(p) ? lz_fallback_size(p) : NEXT(sallocx, lz_fallback_size)(p, flags);
}

/* --- tcmalloc (gperftools) --- */

void tc_free(void *p);
void tc_cfree(void *p);
void tc_free_sized(void *p, size_t size);
size_t tc_malloc_size(void *p);
void *tc_realloc(void *p, size_t size);

EXPORT void tc_free(void *p)
{
	if (!free_own_block(p))
		NEXT(tc_free, lz_fallback_free)(p);
}

EXPORT void tc_cfree(void *p)
{
	if (!free_own_block(p))
		NEXT(tc_cfree, lz_fallback_free)(p);
}

EXPORT void tc_free_sized(void *p, size_t size)
{
	if (!free_own_block(p))
		NEXT(tc_free_sized, lz_fallback_free)(p, size);
}

EXPORT size_t tc_malloc_size(void *p)
{
	return is_own_block(p) ? lz_fallback_size(p) : NEXT(tc_malloc_size, lz_fallback_size)(p);
}

EXPORT void *tc_realloc(void *p, size_t size)
{
	return is_own_block(p) ? lz_fallback_realloc(p, size)
			       : NEXT(tc_realloc, lz_fallback_realloc)(p, size);
}
