/*
 * The allocator below: the functions that RTLD_NEXT finds (glibc's, or those of jemalloc, mimalloc or
 * tcmalloc preloaded after lazyzero).
 *
 * The table initially points to resolvers, which look everything up and then make the call; so the fast path
 * calls through the table without a test. Written once, before the first call returns; for the exception see
 * LZ_NEXT.
 */
#ifndef LZ_SHIM_NEXT_H
#define LZ_SHIM_NEXT_H

#include <stdbool.h>
#include <stddef.h>

struct lz_next {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	void *(*memalign)(size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	/* Some allocators lack it; then it points to a function that returns 0. */
	size_t (*malloc_usable_size)(void *);
	/* NULL if the allocator has no malloc_usable_size: the size of its blocks is unknown. */
	size_t (*known_size)(void *);
	/*
	 * The allocator is glibc's. Its large blocks are anonymous memory, so their missing pages are zero.
	 */
	bool is_glibc;
};

/* Hidden, for the same reason as in shim.h: saves one instruction for each call. */
extern struct lz_next lz_next __attribute__((visibility("hidden")));

/*
 * malloc, calloc and realloc change while the cache holds regions (init.c). A pointer is read in one access
 * on every machine; an atomic load would cost the fast path an instruction, because compilers do not jump
 * through one.
 */
#ifdef __SANITIZE_THREAD__
#define LZ_NEXT(name) (*__atomic_load_n(&lz_next.name, __ATOMIC_RELAXED))
#else
#define LZ_NEXT(name) lz_next.name
#endif

#endif
