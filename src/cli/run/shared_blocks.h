/*
 * The blocks of one shared object: how full each is, and making those huge that are full enough.
 *
 * What always holds:
 *  - A block is collapsed only if it holds at least the pages that are asked for, and if afterwards 64 MiB or
 * 5% of the memory and of the file system are still free; both are looked at anew before each block.
 *  - A block that had more pages before (the program freed some, or they were swapped) is collapsed only when
 * no page of it is missing, so that no hole is filled.
 *  - After LZ_BLOCK_FAILURES failures a block is left alone. If there is no memory, the object is left alone
 * for 1 s, then 2 s, up to 64 s.
 *
 * One thread uses an object. Sizes are in bytes, times in nanoseconds.
 */
#ifndef LZ_CLI_RUN_SHARED_BLOCKS_H
#define LZ_CLI_RUN_SHARED_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define LZ_BLOCK_FAILURES 8u

struct lz_shared_block {
	uint16_t pages; /* that it had when it was last looked at */
	uint8_t failures;
	bool huge;       /* it was collapsed, and has not lost a page since */
	bool until_full; /* it is collapsed only when no page is missing */
	bool leave;      /* it is never collapsed (again) */
};

struct lz_shared_blocks {
	const struct lz_os *os;
	size_t size;    /* of a block */
	uint32_t pages; /* of a block */
	size_t count;
	struct lz_shared_block *of;
	bool unfinished;            /* something is to be tried again although the object has not changed */
	uint64_t next_try, delay;   /* of CLOCK_MONOTONIC */
	uint64_t collapsed, failed; /* in all */
};

struct lz_shared_round {
	uintptr_t at;      /* where the object is mapped, a multiple of the block */
	uint32_t needed;   /* pages that a block must have, 1 or more */
	bool look_at_huge; /* also look at those that are huge */
	int fd;            /* of the object, for the room in its file system; -1: it has none */
	uint64_t reserve;  /* of the memory, see lz_room */
	/*
	 * Waits after something that took that long; returns false to end the round. Messages may restrict
	 * blocks meanwhile.
	 */
	bool (*pause)(void *context, uint64_t took);
	void *context;
};

/* Makes room for `bytes`, of which only whole blocks count. New blocks are unknown. 0 or -ENOMEM. */
int lz_shared_blocks_resize(struct lz_shared_blocks *blocks, uint64_t bytes);
void lz_shared_blocks_free(struct lz_shared_blocks *blocks);

/* The blocks that overlap the range are never collapsed again, or (not `permanent`) only when they are full.
 */
void lz_shared_blocks_restrict(
	struct lz_shared_blocks *blocks, uint64_t offset, uint64_t bytes, bool permanent);

/* Looks at each block, and collapses those that are due. */
void lz_shared_blocks_round(struct lz_shared_blocks *blocks, const struct lz_shared_round *round);

/* Bytes of the blocks that are huge. */
uint64_t lz_shared_blocks_huge_bytes(const struct lz_shared_blocks *blocks);

#endif
