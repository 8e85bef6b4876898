/*
 * What mimalloc offers beside the standard functions, where it takes a block; see interpose_allocators.c. Its
 * heaps (mi_heap_...) are of no matter to a block of ours: it stays one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "shim/allocator_fallbacks.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): these make functions; parameters and names take no_block */

/* --- freeing and telling --- */

#define DEFINE_FREE(name, parameters, arguments)                                                             \
	void name parameters;                                                                                \
	EXPORT void name parameters                                                                          \
	{                                                                                                    \
		if (!free_own_block(p))                                                                      \
			NEXT(name, lz_fallback_free) arguments;                                              \
	}

DEFINE_FREE(mi_free, (void *p), (p))
DEFINE_FREE(mi_cfree, (void *p), (p))
DEFINE_FREE(mi_free_size, (void *p, size_t size), (p, size))
DEFINE_FREE(mi_free_size_aligned, (void *p, size_t size, size_t alignment), (p, size, alignment))
DEFINE_FREE(mi_free_aligned, (void *p, size_t alignment), (p, alignment))

#define DEFINE_SIZE(name)                                                                                    \
	size_t name(const void *p);                                                                          \
	EXPORT size_t name(const void *p)                                                                    \
	{                                                                                                    \
		return is_own_block(p) ? lz_fallback_size(p) : NEXT(name, lz_fallback_size)(p);              \
	}

DEFINE_SIZE(mi_usable_size)
DEFINE_SIZE(mi_malloc_size)
DEFINE_SIZE(mi_malloc_usable_size)

/* --- resizing --- */

/* `plain` does the same by standard means, of the same parameters. */
#define DEFINE_RESIZE(name, fallback, parameters, arguments)                                                 \
	void *name parameters;                                                                               \
	EXPORT void *name parameters                                                                         \
	{                                                                                                    \
		return is_own_block(p) ? fallback arguments : NEXT(name, fallback) arguments;                \
	}

static size_t saturating_product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

/* Without exceptions, as C is: mimalloc ends the program there. */
static void *or_abort(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void *new_realloc(void *p, size_t size)
{
	return or_abort(lz_fallback_realloc(p, size));
}

static void *new_reallocn(void *p, size_t count, size_t size)
{
	return or_abort(lz_fallback_realloc(p, saturating_product(count, size)));
}

DEFINE_RESIZE(mi_expand, lz_fallback_expand, (void *p, size_t size), (p, size))
DEFINE_RESIZE(mi_realloc, lz_fallback_realloc, (void *p, size_t size), (p, size))
DEFINE_RESIZE(mi_reallocf, lz_fallback_reallocf, (void *p, size_t size), (p, size))
DEFINE_RESIZE(mi_rezalloc, lz_fallback_rezalloc, (void *p, size_t size), (p, size))
DEFINE_RESIZE(mi_reallocn, reallocarray, (void *p, size_t count, size_t size), (p, count, size))
DEFINE_RESIZE(mi_reallocarray, reallocarray, (void *p, size_t count, size_t size), (p, count, size))
DEFINE_RESIZE(mi_recalloc, lz_fallback_recalloc, (void *p, size_t count, size_t size), (p, count, size))
DEFINE_RESIZE(mi_new_realloc, new_realloc, (void *p, size_t size), (p, size))
DEFINE_RESIZE(mi_new_reallocn, new_reallocn, (void *p, size_t count, size_t size), (p, count, size))

static int fallback_reallocarr(void *p, size_t count, size_t size)
{
	void **at = p, *resized;

	if (at == NULL)
		return EINVAL;
	resized = reallocarray(*at, count, size);
	if (resized == NULL && saturating_product(count, size) != 0)
		return errno;
	*at = resized;
	return 0;
}

/* p is where the block's address stands (reallocarr(3) of NetBSD). */
int mi_reallocarr(void *p, size_t count, size_t size);
EXPORT int mi_reallocarr(void *p, size_t count, size_t size)
{
	return p != NULL && is_own_block(*(void **)p)
		       ? fallback_reallocarr(p, count, size)
		       : NEXT(mi_reallocarr, fallback_reallocarr)(p, count, size);
}

/* --- to an alignment --- */

static void *recalloc_aligned(void *p, size_t count, size_t size, size_t alignment)
{
	return lz_fallback_rezalloc_aligned(p, saturating_product(count, size), alignment);
}

DEFINE_RESIZE(mi_realloc_aligned, lz_fallback_realloc_aligned, (void *p, size_t size, size_t alignment),
	(p, size, alignment))
DEFINE_RESIZE(mi_rezalloc_aligned, lz_fallback_rezalloc_aligned, (void *p, size_t size, size_t alignment),
	(p, size, alignment))
DEFINE_RESIZE(mi_recalloc_aligned, recalloc_aligned, (void *p, size_t count, size_t size, size_t alignment),
	(p, count, size, alignment))
DEFINE_RESIZE(mi_aligned_recalloc, recalloc_aligned, (void *p, size_t count, size_t size, size_t alignment),
	(p, count, size, alignment))

static void *no_block(size_t size, size_t alignment, size_t offset)
{
	(void)size, (void)alignment, (void)offset;
	return NULL;
}

/* With a byte inside aligned, which only mimalloc can do: it then has the block. */
static void *allocate_at(size_t size, size_t alignment, size_t offset, bool zeroed, const void *caller)
{
	static struct lz_symbol fallback = {.name = "mi_malloc_aligned_at", .fallback = (void *)no_block};
	static struct lz_symbol zero = {.name = "mi_zalloc_aligned_at", .fallback = (void *)no_block};
	void *(*make)(size_t, size_t, size_t);

	*(void **)&make = lz_symbol_find(zeroed ? &zero : &fallback, caller);
	return make(size, alignment, offset);
}

static void *resize_at(void *p, size_t size, size_t alignment, size_t offset, bool zeroed)
{
	void *block;

	if (alignment == 0 || offset % alignment == 0)
		return zeroed ? lz_fallback_rezalloc_aligned(p, size, alignment)
			      : lz_fallback_realloc_aligned(p, size, alignment);
	block = allocate_at(size, alignment, offset, zeroed, CALLER);
	if (block != NULL) {
		memcpy(block, p, lz_min_u64(lz_fallback_size(p), size));
		lz_fallback_free(p);
	}
	return block;
}

static void *realloc_at(void *p, size_t size, size_t alignment, size_t offset)
{
	return resize_at(p, size, alignment, offset, false);
}

static void *rezalloc_at(void *p, size_t size, size_t alignment, size_t offset)
{
	return resize_at(p, size, alignment, offset, true);
}

static void *recalloc_at(void *p, size_t count, size_t size, size_t alignment, size_t offset)
{
	return resize_at(p, saturating_product(count, size), alignment, offset, true);
}

DEFINE_RESIZE(mi_realloc_aligned_at, realloc_at, (void *p, size_t size, size_t alignment, size_t offset),
	(p, size, alignment, offset))
DEFINE_RESIZE(mi_rezalloc_aligned_at, rezalloc_at, (void *p, size_t size, size_t alignment, size_t offset),
	(p, size, alignment, offset))
DEFINE_RESIZE(mi_recalloc_aligned_at, recalloc_at,
	(void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset))
DEFINE_RESIZE(mi_aligned_offset_recalloc, recalloc_at,
	(void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset))

/* --- in a heap --- */

#define DEFINE_HEAP_RESIZE(name, fallback, parameters, arguments, heap_arguments)                            \
	static void *fallback_##name parameters                                                              \
	{                                                                                                    \
		(void)heap;                                                                                  \
		return fallback arguments;                                                                   \
	}                                                                                                    \
	DEFINE_RESIZE(name, fallback_##name, parameters, heap_arguments)

DEFINE_HEAP_RESIZE(
	mi_heap_realloc, lz_fallback_realloc, (void *heap, void *p, size_t size), (p, size), (heap, p, size))
DEFINE_HEAP_RESIZE(mi_heap_reallocf, lz_fallback_reallocf, (void *heap, void *p, size_t size), (p, size),
	(heap, p, size))
DEFINE_HEAP_RESIZE(mi_heap_rezalloc, lz_fallback_rezalloc, (void *heap, void *p, size_t size), (p, size),
	(heap, p, size))
DEFINE_HEAP_RESIZE(mi_heap_reallocn, reallocarray, (void *heap, void *p, size_t count, size_t size),
	(p, count, size), (heap, p, count, size))
DEFINE_HEAP_RESIZE(mi_heap_recalloc, lz_fallback_recalloc, (void *heap, void *p, size_t count, size_t size),
	(p, count, size), (heap, p, count, size))
DEFINE_HEAP_RESIZE(mi_heap_realloc_aligned, lz_fallback_realloc_aligned,
	(void *heap, void *p, size_t size, size_t alignment), (p, size, alignment),
	(heap, p, size, alignment))
DEFINE_HEAP_RESIZE(mi_heap_rezalloc_aligned, lz_fallback_rezalloc_aligned,
	(void *heap, void *p, size_t size, size_t alignment), (p, size, alignment),
	(heap, p, size, alignment))
DEFINE_HEAP_RESIZE(mi_heap_recalloc_aligned, recalloc_aligned,
	(void *heap, void *p, size_t count, size_t size, size_t alignment), (p, count, size, alignment),
	(heap, p, count, size, alignment))
DEFINE_HEAP_RESIZE(mi_heap_realloc_aligned_at, realloc_at,
	(void *heap, void *p, size_t size, size_t alignment, size_t offset), (p, size, alignment, offset),
	(heap, p, size, alignment, offset))
DEFINE_HEAP_RESIZE(mi_heap_rezalloc_aligned_at, rezalloc_at,
	(void *heap, void *p, size_t size, size_t alignment, size_t offset), (p, size, alignment, offset),
	(heap, p, size, alignment, offset))
DEFINE_HEAP_RESIZE(mi_heap_recalloc_aligned_at, recalloc_at,
	(void *heap, void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset), (heap, p, count, size, alignment, offset))

/* NOLINTEND(bugprone-macro-parentheses) */
