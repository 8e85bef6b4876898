/*
 * Memory for the core's own records: blocks of one size, cut from mappings, reused, never given back.
 *
 * Type-stable: a block_bytes that was freed is later another block_bytes of the same pool, never anything
 * else, so a reader without the lock may look at a stale pointer. Not thread-safe; the caller holds the
 * core's lock.
 */
#ifndef LZ_SUPPORT_POOL_H
#define LZ_SUPPORT_POOL_H

#include <stddef.h>

#include "os/os.h"

struct lz_pool {
	const struct lz_os *os;
	size_t block_bytes; /* bytes, a multiple of 16 */
	void *free_list;    /* linked through a word at `link_offset` */
	size_t link_offset; /* offset of that word: a field that stale readers do not look at */
	char *unused, *end; /* the rest of the newest mapping */
};

/* Prepares a pool of blocks of `block_bytes` bytes whose word at offset `link_offset` may be overwritten
 * while free. */
void lz_pool_init(struct lz_pool *pool, const struct lz_os *os, size_t block_bytes, size_t link_offset);

/* A block_bytes with undefined contents, or NULL when the kernel gives no memory. */
void *lz_pool_alloc(struct lz_pool *pool);
void lz_pool_free(struct lz_pool *pool, void *block);

/* Forgets every block_bytes, in use or free: for a forked child whose lists may be torn. Their memory is
 * lost. */
void lz_pool_reset(struct lz_pool *pool);

#endif
