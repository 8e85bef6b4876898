/*
 * The bootstrap arena: memory for allocations made while the next allocator is still being looked up (dlsym
 * itself may call calloc). Static, zeroed, never reused. Every block starts on a page boundary: free and
 * realloc test for page alignment anyway, so the fast path needs no further test.
 *
 * Thread-safe and async-signal-safe.
 */
#ifndef LZ_SHIM_ARENA_H
#define LZ_SHIM_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A zeroed block of `size` bytes, aligned to `alignment` (a power of two) or to a page; NULL if it does not
 * fit.
 */
void *lz_arena_allocate(size_t size, size_t alignment);

/* Whether p lies in the arena. */
bool lz_arena_owns(const void *p);

/* Usable bytes of the block that starts at p, up to the end of its last page; 0 if no block starts there. */
size_t lz_arena_usable_size(const void *p);

#endif
