/*
 * What the interposers of other allocators' functions share: whether a block is ours, whose function a call
 * is for, and what their functions do, by standard means: for our blocks, and for all where nobody defines
 * the name. Those go by global names, which need not be ours: where another allocator stands before us, its
 * blocks come here. All are thread-safe.
 */
#ifndef LZ_SHIM_ALLOCATOR_FALLBACKS_H
#define LZ_SHIM_ALLOCATOR_FALLBACKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/symbol_lookup.h"

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#define IS_PAGE_ALIGNED(p) (((uintptr_t)(p)&4095) == 0)

/*
 * The function that a call of this name is for, of the same type; after the first call that costs one
 * comparison. A stand-in ignores the arguments it has no parameter for.
 */
#define NEXT(function, fallback_function)                                                                    \
	({                                                                                                   \
		static struct lz_symbol entry = {.name = #function,                                          \
			.own = (void *)(function),                                                           \
			.fallback = (void *)(fallback_function)};                                            \
		void *next = atomic_load_explicit(&entry.next, memory_order_relaxed);                        \
		(__typeof__(&(function)))(next != NULL ? next : lz_symbol_find(&entry, CALLER));             \
	})

#pragma GCC visibility push(hidden)

/* For is_own_block and free_own_block, of a page-aligned pointer. */
bool lz_owns_aligned_block(const void *p);
bool lz_free_aligned_block(void *p, const void *caller);

void lz_fallback_free(void *p);
size_t lz_fallback_size(const void *p);
void *lz_fallback_realloc(void *p, size_t size);
/* In place, as far as it is large already. */
void *lz_fallback_expand(void *p, size_t size);
/* What a block grew by reads as zero. */
void *lz_fallback_rezalloc(void *p, size_t size);
void *lz_fallback_recalloc(void *p, size_t count, size_t size);
/* Frees p where it cannot be resized. */
void *lz_fallback_reallocf(void *p, size_t size);
/* To an alignment that realloc does not promise. */
void *lz_fallback_realloc_aligned(void *p, size_t size, size_t alignment);
/* The same, for what a block grew by to read as zero. */
void *lz_fallback_rezalloc_aligned(void *p, size_t size, size_t alignment);

#pragma GCC visibility pop

static inline bool is_own_block(const void *p)
{
	return IS_PAGE_ALIGNED(p) && lz_owns_aligned_block(p);
}

static inline __attribute__((always_inline)) bool free_own_block(void *p)
{
	return IS_PAGE_ALIGNED(p) && lz_free_aligned_block(p, CALLER);
}

#endif
