/* What other allocators' functions do, implemented with standard functions; see allocator_fallbacks.h. */
#include "shim/allocator_fallbacks.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "accounting/api.h"
#include "shim/arena.h"
#include "shim/shim.h"

#define SLOW __attribute__((noinline, cold))

SLOW bool lz_owns_aligned_block(const void *p)
{
	size_t length;

	return p != NULL && (lz_arena_owns(p) || lz_heap_size(&lz_core.heap, p, &length) == 0);
}

SLOW bool lz_free_aligned_block(void *p, const void *caller)
{
	if (p == NULL)
		return false;
	if (lz_arena_owns(p) || lz_heap_free(&lz_core.heap, p) == 0)
		return true;
	lz_abort_on_misuse("free", p, caller);
	return false;
}

void lz_fallback_free(void *p)
{
	free(p);
}

size_t lz_fallback_size(const void *p)
{
	return malloc_usable_size((void *)p);
}

void *lz_fallback_realloc(void *p, size_t size)
{
	return is_own_block(p) ? lz_realloc(p, size, CALLER) : realloc(p, size);
}

void *lz_fallback_expand(void *p, size_t size)
{
	return p != NULL && size <= malloc_usable_size(p) ? p : NULL;
}

/* Zeroes the part by which a block grew. A large part is dropped, not written. */
static void *zero_tail(void *p, size_t old_length)
{
	size_t length = p != NULL ? malloc_usable_size(p) : 0;

	if (length > old_length &&
		lz_heap_zero(&lz_core.heap, (char *)p + old_length, length - old_length) != 0)
		memset((char *)p + old_length, 0, length - old_length);
	return p;
}

void *lz_fallback_rezalloc(void *p, size_t size)
{
	size_t length = malloc_usable_size(p);

	return zero_tail(lz_fallback_realloc(p, size), length);
}

void *lz_fallback_recalloc(void *p, size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? NULL : lz_fallback_rezalloc(p, bytes);
}

void *lz_fallback_reallocf(void *p, size_t size)
{
	void *moved = lz_fallback_realloc(p, size);

	/* realloc with size 0 has freed the block. */
	if (moved == NULL && size != 0)
		free(p);
	return moved;
}

/* Copies a block to any alignment. On failure p is unchanged. */
static void *copy_aligned(void *p, size_t size, size_t alignment)
{
	void *block;

	if (posix_memalign(&block, lz_max_u64(alignment, sizeof(void *)), size) != 0)
		return NULL;
	if (p != NULL)
		memcpy(block, p, lz_min_u64(malloc_usable_size(p), size));
	free(p);
	return block;
}

/*
 * A region is resized and stays page-aligned. Other blocks are copied: realloc could move them to an address
 * that is not aligned.
 */
void *lz_fallback_realloc_aligned(void *p, size_t size, size_t alignment)
{
	struct lz_request request = {.call = "realloc", .size = size, .caller = CALLER};
	void *block;

	if (alignment <= _Alignof(max_align_t))
		return lz_fallback_realloc(p, size);
	if (IS_PAGE_ALIGNED(p) && alignment <= 4096 && size >= lz_malloc_threshold &&
		lz_heap_resize(&lz_core.heap, &request, p, &block) == 0)
		return block;
	return copy_aligned(p, size, alignment);
}

void *lz_fallback_rezalloc_aligned(void *p, size_t size, size_t alignment)
{
	size_t length = malloc_usable_size(p);

	return zero_tail(lz_fallback_realloc_aligned(p, size, alignment), length);
}
