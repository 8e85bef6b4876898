/* What mimalloc offers (mimalloc.h), for allocator_functions.c. */
#include "allocator_functions.h"

#include <stdint.h>

extern WEAK void *mi_malloc(size_t);
extern WEAK void mi_free(void *);
extern WEAK void mi_cfree(void *);
extern WEAK void mi_free_size(void *, size_t);
extern WEAK void mi_free_size_aligned(void *, size_t, size_t);
extern WEAK void mi_free_aligned(void *, size_t);
extern WEAK size_t mi_usable_size(const void *);
extern WEAK size_t mi_malloc_size(const void *);
extern WEAK size_t mi_malloc_usable_size(const void *);
extern WEAK void *mi_expand(void *, size_t);
extern WEAK void *mi_realloc(void *, size_t);
extern WEAK void *mi_reallocf(void *, size_t);
extern WEAK void *mi_reallocn(void *, size_t, size_t);
extern WEAK void *mi_reallocarray(void *, size_t, size_t);
extern WEAK void *mi_zalloc(size_t);
extern WEAK void *mi_rezalloc(void *, size_t);
extern WEAK void *mi_recalloc(void *, size_t, size_t);
extern WEAK void *mi_realloc_aligned(void *, size_t, size_t);
extern WEAK void *mi_new_realloc(void *, size_t);
extern WEAK void *mi_new_reallocn(void *, size_t, size_t);
extern WEAK int mi_reallocarr(void *, size_t, size_t);
extern WEAK void *mi_heap_get_default(void);
extern WEAK void *mi_heap_realloc(void *, void *, size_t);
extern WEAK void *mi_heap_reallocf(void *, void *, size_t);
extern WEAK void *mi_heap_reallocn(void *, void *, size_t, size_t);
extern WEAK void *mi_heap_rezalloc(void *, void *, size_t);
extern WEAK void *mi_heap_recalloc(void *, void *, size_t, size_t);
extern WEAK void *mi_heap_realloc_aligned(void *, void *, size_t, size_t);
extern WEAK void *mi_rezalloc_aligned(void *, size_t, size_t);
extern WEAK void *mi_recalloc_aligned(void *, size_t, size_t, size_t);
extern WEAK void *mi_realloc_aligned_at(void *, size_t, size_t, size_t);

static void free_mi_free(void *p, size_t size)
{
	(void)size;
	mi_free(p);
}
static void free_mi_cfree(void *p, size_t size)
{
	(void)size;
	mi_cfree(p);
}
static void free_mi_free_size(void *p, size_t size)
{
	mi_free_size(p, size);
}
static void free_mi_free_size_aligned(void *p, size_t size)
{
	mi_free_size_aligned(p, size, 8);
}
static void free_mi_free_aligned(void *p, size_t size)
{
	(void)size;
	mi_free_aligned(p, 8);
}
static size_t size_mi_usable(void *p)
{
	return mi_usable_size(p);
}
static size_t size_mi_malloc(void *p)
{
	return mi_malloc_size(p);
}
static size_t size_mi_malloc_usable(void *p)
{
	return mi_malloc_usable_size(p);
}
static size_t size_mi_expand(void *p)
{
	return mi_expand(p, 1) == p ? 1 : 0;
}
static void *resize_mi_reallocn(void *p, size_t size)
{
	return mi_reallocn(p, 1, size);
}
static void *resize_mi_reallocarray(void *p, size_t size)
{
	return mi_reallocarray(p, 1, size);
}
static void *resize_mi_recalloc(void *p, size_t size)
{
	return mi_recalloc(p, 1, size);
}
static void *resize_mi_64K(void *p, size_t size)
{
	return mi_realloc_aligned(p, size, 65536);
}
static void *resize_mi_new_reallocn(void *p, size_t size)
{
	return mi_new_reallocn(p, 1, size);
}
static void *resize_mi_reallocarr(void *p, size_t size)
{
	return mi_reallocarr(&p, 1, size) == 0 ? p : NULL;
}
static void *resize_mi_heap(void *p, size_t size)
{
	return mi_heap_realloc(mi_heap_get_default(), p, size);
}
static void *resize_mi_heap_reallocf(void *p, size_t size)
{
	return mi_heap_reallocf(mi_heap_get_default(), p, size);
}
static void *resize_mi_heap_reallocn(void *p, size_t size)
{
	return mi_heap_reallocn(mi_heap_get_default(), p, 1, size);
}
static void *resize_mi_heap_rezalloc(void *p, size_t size)
{
	return mi_heap_rezalloc(mi_heap_get_default(), p, size);
}
static void *resize_mi_heap_recalloc(void *p, size_t size)
{
	return mi_heap_recalloc(mi_heap_get_default(), p, 1, size);
}
static void *resize_mi_heap_64K(void *p, size_t size)
{
	return mi_heap_realloc_aligned(mi_heap_get_default(), p, size, 65536);
}
static void *resize_mi_rezalloc_64K(void *p, size_t size)
{
	return mi_rezalloc_aligned(p, size, 65536);
}
static void *resize_mi_recalloc_64K(void *p, size_t size)
{
	return mi_recalloc_aligned(p, 1, size, 65536);
}
/* The byte at 32 aligned to 64. */
static void *resize_mi_at(void *p, size_t size)
{
	p = mi_realloc_aligned_at(p, size, 64, 32);
	return ((uintptr_t)p + 32) % 64 == 0 ? p : NULL;
}

/* What takes a heap of mimalloc's, or what only mimalloc can make. */
#define NEEDS_MIMALLOC(f, shape, ...)                                                                        \
	{                                                                                                    \
		.name = #f, .present = mi_malloc != NULL && f != NULL, .resize = shape, __VA_ARGS__          \
	}

void each_mimalloc_family(void (*seen)(const struct family *))
{
	const struct family families[] = {
		{.own = {"mi_malloc", mi_malloc},
			.functions = {FREES(mi_free, free_mi_free, .sized = false),
				FREES(mi_cfree, free_mi_cfree, .sized = false),
				FREES(mi_free_size, free_mi_free_size, .sized = false),
				FREES(mi_free_size_aligned, free_mi_free_size_aligned, .sized = false),
				FREES(mi_free_aligned, free_mi_free_aligned, .sized = false),
				TELLS(mi_usable_size, size_mi_usable), TELLS(mi_malloc_size, size_mi_malloc),
				TELLS(mi_malloc_usable_size, size_mi_malloc_usable),
				TELLS(mi_expand, size_mi_expand),
				RESIZES(mi_realloc, mi_realloc, .zeroes = false),
				RESIZES(mi_reallocf, mi_reallocf, .zeroes = false),
				RESIZES(mi_reallocn, resize_mi_reallocn, .zeroes = false),
				RESIZES(mi_reallocarray, resize_mi_reallocarray, .zeroes = false),
				RESIZES(mi_new_realloc, mi_new_realloc, .zeroes = false),
				RESIZES(mi_new_reallocn, resize_mi_new_reallocn, .zeroes = false),
				RESIZES(mi_reallocarr, resize_mi_reallocarr, .zeroes = false),
				NEEDS_MIMALLOC(mi_heap_realloc, resize_mi_heap, .zeroes = false),
				NEEDS_MIMALLOC(mi_heap_reallocf, resize_mi_heap_reallocf, .zeroes = false),
				NEEDS_MIMALLOC(mi_heap_reallocn, resize_mi_heap_reallocn, .zeroes = false),
				RESIZES(mi_realloc_aligned, resize_mi_64K, .alignment = 65536),
				NEEDS_MIMALLOC(
					mi_heap_realloc_aligned, resize_mi_heap_64K, .alignment = 65536),
				NEEDS_MIMALLOC(mi_realloc_aligned_at, resize_mi_at, .alignment = 16)}},
		/* Zeros beyond what was asked for are promised only for a block that was zeroed to its end.
		 */
		{.own = {"mi_zalloc", mi_zalloc},
			.functions = {RESIZES(mi_rezalloc, mi_rezalloc, .zeroes = true),
				RESIZES(mi_recalloc, resize_mi_recalloc, .zeroes = true),
				NEEDS_MIMALLOC(mi_heap_rezalloc, resize_mi_heap_rezalloc, .zeroes = true),
				NEEDS_MIMALLOC(mi_heap_recalloc, resize_mi_heap_recalloc, .zeroes = true),
				RESIZES(mi_rezalloc_aligned, resize_mi_rezalloc_64K, .alignment = 65536,
					.zeroes = true),
				RESIZES(mi_recalloc_aligned, resize_mi_recalloc_64K, .alignment = 65536,
					.zeroes = true)}},
	};

	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		seen(&families[i]);
}
