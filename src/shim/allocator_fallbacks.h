/*
 * Shared by the interposers of other allocators' functions: whether a block is lazyzero's, which function a
 * call is meant for, and fallbacks that do what those functions do with standard functions. The fallbacks
 * serve lazyzero's blocks, and all blocks if nobody else defines the name. They call malloc and its family by
 * their global names, which need not be lazyzero's: if another allocator precedes lazyzero, its blocks come
 * here. All functions are thread-safe.
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
 * The function that a call of this name is meant for, with the same type. After the first call this costs one
 * comparison. A fallback ignores arguments for which it has no parameter.
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

/* The slow paths of is_own_block and free_own_block, for a page-aligned pointer. */
bool lz_owns_aligned_block(const void *p);
bool lz_free_aligned_block(void *p, const void *caller);

void lz_fallback_free(void *p);
size_t lz_fallback_size(const void *p);
void *lz_fallback_realloc(void *p, size_t size);
/* Succeeds in place if the block is large enough already; otherwise NULL. */
void *lz_fallback_expand(void *p, size_t size);
/* The part by which the block grew reads as zero. */
void *lz_fallback_rezalloc(void *p, size_t size);
void *lz_fallback_recalloc(void *p, size_t count, size_t size);
/* Frees p if it cannot be resized. */
void *lz_fallback_reallocf(void *p, size_t size);
/* Resizes to an alignment that realloc does not guarantee. */
void *lz_fallback_realloc_aligned(void *p, size_t size, size_t alignment);
/* The same; the part by which the block grew reads as zero. */
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
