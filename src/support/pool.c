/* Pools of blocks of one size; see pool.h. */
#include "support/pool.h"

#include <string.h>
#include <sys/mman.h>

/* 64 KiB hold about a thousand ranges. Most programs never need a second mapping. */
#define CHUNK_BYTES 65536u

void lz_pool_init(struct lz_pool *pool, const struct lz_os *os, size_t block, size_t link)
{
	*pool = (struct lz_pool){.os = os, .block_bytes = (block + 15) & ~(size_t)15, .link_offset = link};
}

void lz_pool_reset(struct lz_pool *pool)
{
	pool->free_list = NULL;
	pool->unused = pool->end = NULL;
}

void *lz_pool_alloc(struct lz_pool *pool)
{
	char *block = pool->free_list;

	if (block != NULL) {
		memcpy(&pool->free_list, block + pool->link_offset, sizeof pool->free_list);
		return block;
	}
	if ((size_t)(pool->end - pool->unused) < pool->block_bytes) {
		/*
		 * MAP_NORESERVE prevents the kernel from merging this mapping with the program's next one. It
		 * would have to split the two at each munmap, which made a mmap and munmap of 64 KiB take a
		 * third longer.
		 */
		intptr_t chunk = pool->os->mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (lz_os_failed(chunk))
			return NULL;
		pool->unused = (char *)chunk;
		pool->end = pool->unused + CHUNK_BYTES;
	}
	block = pool->unused;
	pool->unused += pool->block_bytes;
	return block;
}

void lz_pool_free(struct lz_pool *pool, void *block)
{
	memcpy((char *)block + pool->link_offset, &pool->free_list, sizeof pool->free_list);
	pool->free_list = block;
}
