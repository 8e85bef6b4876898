/*
 * Memory for the core's own records: blocks of one size, cut from mappings, reused, never given back.
 *
 * Type-stable: a block that was freed is later another block of the same pool, never anything else, so a
 * reader without the lock may look at a stale pointer. Not thread-safe; the caller holds the core's lock.
 */
#ifndef LZ_CORE_POOL_H
#define LZ_CORE_POOL_H

#include <stddef.h>

#include "os/os.h"

struct lz_pool {
	const struct lz_os *os;
	size_t block;      /* bytes, a multiple of 16 */
	void *free_list;   /* linked through a word at `link` */
	size_t link;       /* offset of that word: a field that stale readers do not look at */
	char *fresh, *end; /* the rest of the newest mapping */
};

/* Prepares a pool of blocks of `block` bytes whose word at offset `link` may be overwritten while free. */
void lz_pool_init(struct lz_pool *pool, const struct lz_os *os, size_t block, size_t link);

/* A block with undefined contents, or NULL when the kernel gives no memory. */
void *lz_pool_take(struct lz_pool *pool);
void lz_pool_give(struct lz_pool *pool, void *block);

/* Forgets every block, in use or free: for a forked child whose lists may be torn. Their memory is lost. */
void lz_pool_abandon(struct lz_pool *pool);

#endif
