/*
 * Functions that other allocators offer in addition to the standard ones, as far as they take a block. A
 * program that knows it runs with jemalloc, mimalloc or tcmalloc may pass them a block that lazyzero served.
 * Own blocks are handled here; for all others the call goes to the function that it was meant for
 * (symbol_lookup.h).
 *
 * Only functions that take a block are interposed, never functions that allocate or describe the allocator:
 * programs look for mallocx or mallctl to detect jemalloc, and must not find them here. If there is no such
 * allocator, each function does what its standard counterpart does, so a program that detects only sdallocx
 * works. Names that other software uses with another meaning are left out: malloc_size, vfree, cfree.
 *
 * C++ operators are not interposed. Whoever defines operator delete also defines operator new, so it gets its
 * own blocks; if a program mixes the two, malloc is left alone (loaded_objects.h). In addition, if a plugin
 * loaded the C++ library into a C program, every delete would pay for a lookup of its caller.
 */
#include <malloc.h>
#include <stdlib.h>

#include "shim/allocator_fallbacks.h"
#include "shim/shim.h"

/*
 * jemalloc(3): the low six bits of the flags are the binary logarithm of the alignment; 0x40 requests zeroed
 * memory.
 */
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

/* --- the C library: internal names, used by programs that define malloc --- */

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

/* The caller asks to release memory; cached regions are a part of it. */
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

/* The current size is an answer that callers must handle. */
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
