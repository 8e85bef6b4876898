/*
 * Memory for the library's own records: blocks of one size from mappings of 64 KiB, reused but never
 * unmapped.
 *
 * The memory is type-stable: a freed block is reused only as a block of the same pool, so a reader without
 * the lock may dereference a stale pointer. Not thread-safe: the caller holds the lock of the books.
 */
#ifndef LZ_SUPPORT_POOL_H
#define LZ_SUPPORT_POOL_H

#include <stddef.h>

#include "os/os.h"

struct lz_pool {
	const struct lz_os *os;
	size_t block_bytes; /* size of a block in bytes, a multiple of 16 */
	void *free_list;    /* list of free blocks, linked through the word at link_offset */
	size_t link_offset; /* offset of that word in a block; readers of stale blocks must not use it */
	char *unused, *end; /* the unused part of the newest mapping */
};

/*
 * Initialises a pool of blocks of block_bytes bytes. In a free block, the word at link_offset is overwritten.
 */
void lz_pool_init(struct lz_pool *pool, const struct lz_os *os, size_t block_bytes, size_t link_offset);

/* Returns a block with undefined contents, or NULL if the kernel provides no memory. */
void *lz_pool_alloc(struct lz_pool *pool);
void lz_pool_free(struct lz_pool *pool, void *block);

/* Forgets all blocks, used and free, for recovery from an inconsistent state. Their memory is leaked. */
void lz_pool_reset(struct lz_pool *pool);

#endif
