/*
 * The bootstrap arena: memory for allocations made while the next allocator is still being looked up (dlsym
 * itself may call calloc). Static, zeroed, never reused. Every block starts on a page boundary, so that the
 * test free and realloc make anyway (is it page-aligned?) finds it and the fast path needs no test of its
 * own.
 *
 * Thread-safe and async-signal-safe.
 */
#ifndef LZ_SHIM_ARENA_H
#define LZ_SHIM_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* A zeroed block of `size` bytes, aligned to `alignment` or a page; NULL when it does not fit. */
void *lz_arena_allocate(size_t size, size_t alignment);

/* Whether p lies in the arena. */
bool lz_arena_owns(const void *p);

/* Bytes that the block starting at p may use: up to the end of its last page. 0 for what is no block. */
size_t lz_arena_usable_size(const void *p);

#endif
