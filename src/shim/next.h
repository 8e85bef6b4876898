/*
 * The allocator below us: the functions that RTLD_NEXT finds (glibc's, or those of jemalloc, mimalloc,
 * tcmalloc preloaded behind us).
 *
 * The table starts out pointing at resolvers, which look everything up and call on; so the fast path calls
 * through it without asking whether that was done. Written once, before the first call returns.
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
	/* Some allocators lack it; then it points at a stand-in that answers 0. */
	size_t (*malloc_usable_size)(void *);
	/* NULL where the allocator has no malloc_usable_size: the size of its blocks is not to be known. */
	size_t (*known_size)(void *);
	/* It is glibc's, whose blocks are anonymous memory: pages of them that are not there are zero. */
	bool is_glibc;
};

/* Hidden, for the same reason as in shim.h: one instruction less for each call. */
extern struct lz_next lz_next __attribute__((visibility("hidden")));

/*
 * malloc, calloc and realloc change while the cache holds something (init.c). A pointer is read in one access
 * on every machine; an atomic load would cost the fast path an instruction, since compilers do not jump
 * through one.
 */
#ifdef __SANITIZE_THREAD__
#define LZ_NEXT(name) (*__atomic_load_n(&lz_next.name, __ATOMIC_RELAXED))
#else
#define LZ_NEXT(name) lz_next.name
#endif

#endif
