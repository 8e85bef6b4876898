/*
 * What mimalloc offers beside the standard functions, where it takes a block; see interpose_others.c. Its
 * heaps (mi_heap_...) are of no matter to a block of ours: it stays one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "shim/foreign.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): these make functions; parameters and names take none */

/* --- freeing and telling --- */

#define FREES(name, parameters, arguments)                                                                   \
	void name parameters;                                                                                \
	EXPORT void name parameters                                                                          \
	{                                                                                                    \
		if (!freed_ours(p))                                                                          \
			NEXT(name, lz_plain_free) arguments;                                                 \
	}

FREES(mi_free, (void *p), (p))
FREES(mi_cfree, (void *p), (p))
FREES(mi_free_size, (void *p, size_t size), (p, size))
FREES(mi_free_size_aligned, (void *p, size_t size, size_t alignment), (p, size, alignment))
FREES(mi_free_aligned, (void *p, size_t alignment), (p, alignment))

#define TELLS(name)                                                                                          \
	size_t name(const void *p);                                                                          \
	EXPORT size_t name(const void *p)                                                                    \
	{                                                                                                    \
		return is_ours(p) ? lz_plain_size(p) : NEXT(name, lz_plain_size)(p);                         \
	}

TELLS(mi_usable_size)
TELLS(mi_malloc_size)
TELLS(mi_malloc_usable_size)

/* --- resizing --- */

/* `plain` does the same by standard means, of the same parameters. */
#define RESIZES(name, plain, parameters, arguments)                                                          \
	void *name parameters;                                                                               \
	EXPORT void *name parameters                                                                         \
	{                                                                                                    \
		return is_ours(p) ? plain arguments : NEXT(name, plain) arguments;                           \
	}

static size_t product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

/* Without exceptions, as C is: mimalloc ends the program there. */
static void *or_end(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void *new_realloc(void *p, size_t size)
{
	return or_end(lz_plain_realloc(p, size));
}

static void *new_reallocn(void *p, size_t count, size_t size)
{
	return or_end(lz_plain_realloc(p, product(count, size)));
}

RESIZES(mi_expand, lz_plain_expand, (void *p, size_t size), (p, size))
RESIZES(mi_realloc, lz_plain_realloc, (void *p, size_t size), (p, size))
RESIZES(mi_reallocf, lz_plain_reallocf, (void *p, size_t size), (p, size))
RESIZES(mi_rezalloc, lz_plain_rezalloc, (void *p, size_t size), (p, size))
RESIZES(mi_reallocn, reallocarray, (void *p, size_t count, size_t size), (p, count, size))
RESIZES(mi_reallocarray, reallocarray, (void *p, size_t count, size_t size), (p, count, size))
RESIZES(mi_recalloc, lz_plain_recalloc, (void *p, size_t count, size_t size), (p, count, size))
RESIZES(mi_new_realloc, new_realloc, (void *p, size_t size), (p, size))
RESIZES(mi_new_reallocn, new_reallocn, (void *p, size_t count, size_t size), (p, count, size))

static int plain_reallocarr(void *p, size_t count, size_t size)
{
	void **at = p, *resized;

	if (at == NULL)
		return EINVAL;
	resized = reallocarray(*at, count, size);
	if (resized == NULL && product(count, size) != 0)
		return errno;
	*at = resized;
	return 0;
}

/* p is where the block's address stands (reallocarr(3) of NetBSD). */
int mi_reallocarr(void *p, size_t count, size_t size);
EXPORT int mi_reallocarr(void *p, size_t count, size_t size)
{
	return p != NULL && is_ours(*(void **)p) ? plain_reallocarr(p, count, size)
						 : NEXT(mi_reallocarr, plain_reallocarr)(p, count, size);
}

/* --- to an alignment --- */

static void *recalloc_aligned(void *p, size_t count, size_t size, size_t alignment)
{
	return lz_plain_rezalloc_aligned(p, product(count, size), alignment);
}

RESIZES(mi_realloc_aligned, lz_plain_realloc_aligned, (void *p, size_t size, size_t alignment),
	(p, size, alignment))
RESIZES(mi_rezalloc_aligned, lz_plain_rezalloc_aligned, (void *p, size_t size, size_t alignment),
	(p, size, alignment))
RESIZES(mi_recalloc_aligned, recalloc_aligned, (void *p, size_t count, size_t size, size_t alignment),
	(p, count, size, alignment))
RESIZES(mi_aligned_recalloc, recalloc_aligned, (void *p, size_t count, size_t size, size_t alignment),
	(p, count, size, alignment))

static void *none(size_t size, size_t alignment, size_t offset)
{
	(void)size, (void)alignment, (void)offset;
	return NULL;
}

/* With a byte inside aligned, which only mimalloc can do: it then has the block. */
static void *fresh_at(size_t size, size_t alignment, size_t offset, bool zeroed, const void *caller)
{
	static struct lz_name plain = {.name = "mi_malloc_aligned_at", .stand_in = (void *)none};
	static struct lz_name zero = {.name = "mi_zalloc_aligned_at", .stand_in = (void *)none};
	void *(*make)(size_t, size_t, size_t);

	*(void **)&make = lz_scope_find(zeroed ? &zero : &plain, caller);
	return make(size, alignment, offset);
}

static void *resize_at(void *p, size_t size, size_t alignment, size_t offset, bool zeroed)
{
	void *block;

	if (alignment == 0 || offset % alignment == 0)
		return zeroed ? lz_plain_rezalloc_aligned(p, size, alignment)
			      : lz_plain_realloc_aligned(p, size, alignment);
	block = fresh_at(size, alignment, offset, zeroed, CALLER);
	if (block != NULL) {
		memcpy(block, p, lz_min_u64(lz_plain_size(p), size));
		lz_plain_free(p);
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
	return resize_at(p, product(count, size), alignment, offset, true);
}

RESIZES(mi_realloc_aligned_at, realloc_at, (void *p, size_t size, size_t alignment, size_t offset),
	(p, size, alignment, offset))
RESIZES(mi_rezalloc_aligned_at, rezalloc_at, (void *p, size_t size, size_t alignment, size_t offset),
	(p, size, alignment, offset))
RESIZES(mi_recalloc_aligned_at, recalloc_at,
	(void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset))
RESIZES(mi_aligned_offset_recalloc, recalloc_at,
	(void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset))

/* --- in a heap --- */

#define HEAP_RESIZES(name, plain, parameters, arguments, heap_arguments)                                     \
	static void *plain_##name parameters                                                                 \
	{                                                                                                    \
		(void)heap;                                                                                  \
		return plain arguments;                                                                      \
	}                                                                                                    \
	RESIZES(name, plain_##name, parameters, heap_arguments)

HEAP_RESIZES(
	mi_heap_realloc, lz_plain_realloc, (void *heap, void *p, size_t size), (p, size), (heap, p, size))
HEAP_RESIZES(
	mi_heap_reallocf, lz_plain_reallocf, (void *heap, void *p, size_t size), (p, size), (heap, p, size))
HEAP_RESIZES(
	mi_heap_rezalloc, lz_plain_rezalloc, (void *heap, void *p, size_t size), (p, size), (heap, p, size))
HEAP_RESIZES(mi_heap_reallocn, reallocarray, (void *heap, void *p, size_t count, size_t size),
	(p, count, size), (heap, p, count, size))
HEAP_RESIZES(mi_heap_recalloc, lz_plain_recalloc, (void *heap, void *p, size_t count, size_t size),
	(p, count, size), (heap, p, count, size))
HEAP_RESIZES(mi_heap_realloc_aligned, lz_plain_realloc_aligned,
	(void *heap, void *p, size_t size, size_t alignment), (p, size, alignment),
	(heap, p, size, alignment))
HEAP_RESIZES(mi_heap_rezalloc_aligned, lz_plain_rezalloc_aligned,
	(void *heap, void *p, size_t size, size_t alignment), (p, size, alignment),
	(heap, p, size, alignment))
HEAP_RESIZES(mi_heap_recalloc_aligned, recalloc_aligned,
	(void *heap, void *p, size_t count, size_t size, size_t alignment), (p, count, size, alignment),
	(heap, p, count, size, alignment))
HEAP_RESIZES(mi_heap_realloc_aligned_at, realloc_at,
	(void *heap, void *p, size_t size, size_t alignment, size_t offset), (p, size, alignment, offset),
	(heap, p, size, alignment, offset))
HEAP_RESIZES(mi_heap_rezalloc_aligned_at, rezalloc_at,
	(void *heap, void *p, size_t size, size_t alignment, size_t offset), (p, size, alignment, offset),
	(heap, p, size, alignment, offset))
HEAP_RESIZES(mi_heap_recalloc_aligned_at, recalloc_at,
	(void *heap, void *p, size_t count, size_t size, size_t alignment, size_t offset),
	(p, count, size, alignment, offset), (heap, p, count, size, alignment, offset))

/* NOLINTEND(bugprone-macro-parentheses) */
