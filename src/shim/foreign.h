/*
 * What the interposers of other allocators' functions share: whether a block is ours, whose function a call
 * is for, and what their functions do, by standard means: for our blocks, and for all where nobody defines
 * the name. Those go by global names, which need not be ours: where another allocator stands before us, its
 * blocks come here. All are thread-safe.
 */
#ifndef LZ_SHIM_FOREIGN_H
#define LZ_SHIM_FOREIGN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/scope.h"

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#define MAY_BE_OURS(p) (((uintptr_t)(p)&4095) == 0)

/*
 * The function that a call of this name is for, of the same type; after the first call that costs one
 * comparison. A stand-in ignores the arguments it has no parameter for.
 */
#define NEXT(function, stand_in_function)                                                                    \
	({                                                                                                   \
		static struct lz_name entry = {.name = #function,                                            \
			.own = (void *)(function),                                                           \
			.stand_in = (void *)(stand_in_function)};                                            \
		void *next = atomic_load_explicit(&entry.next, memory_order_relaxed);                        \
		(__typeof__(&(function)))(next != NULL ? next : lz_scope_find(&entry, CALLER));              \
	})

#pragma GCC visibility push(hidden)

/* For is_ours and freed_ours, of a page-aligned pointer. */
bool lz_is_aligned_ours(const void *p);
bool lz_freed_aligned_ours(void *p, const void *caller);

void lz_plain_free(void *p);
size_t lz_plain_size(const void *p);
void *lz_plain_realloc(void *p, size_t size);
/* In place, as far as it is large already. */
void *lz_plain_expand(void *p, size_t size);
/* What a block grew by reads as zero. */
void *lz_plain_rezalloc(void *p, size_t size);
void *lz_plain_recalloc(void *p, size_t count, size_t size);
/* Frees p where it cannot be resized. */
void *lz_plain_reallocf(void *p, size_t size);
/* To an alignment that realloc does not promise. */
void *lz_plain_realloc_aligned(void *p, size_t size, size_t alignment);
/* The same, for what a block grew by to read as zero. */
void *lz_plain_rezalloc_aligned(void *p, size_t size, size_t alignment);

#pragma GCC visibility pop

static inline bool is_ours(const void *p)
{
	return MAY_BE_OURS(p) && lz_is_aligned_ours(p);
}

static inline __attribute__((always_inline)) bool freed_ours(void *p)
{
	return MAY_BE_OURS(p) && lz_freed_aligned_ours(p, CALLER);
}

#endif
