/* Looks at the blocks of a shared object and makes them huge; see shared_blocks.h. */
#include "cli/run/shared_blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/common/clock.h"
#include "os/collapse.h"

#define FIRST_DELAY_NS LZ_NS_PER_SECOND
#define LONGEST_DELAY_NS (64 * LZ_NS_PER_SECOND)
#define LOOKED_AT_ONCE 16u /* counting the pages of so many blocks takes 0.6 ms */

int lz_shared_blocks_resize(struct lz_shared_blocks *blocks, uint64_t bytes)
{
	size_t count = bytes / blocks->size;
	struct lz_shared_block *of;

	if (count == blocks->count)
		return 0;
	of = reallocarray(blocks->of, count > 0 ? count : 1, sizeof *of);
	if (of == NULL)
		return -ENOMEM;
	if (count > blocks->count)
		memset(of + blocks->count, 0, (count - blocks->count) * sizeof *of);
	blocks->of = of;
	blocks->count = count;
	return 0;
}

void lz_shared_blocks_free(struct lz_shared_blocks *blocks)
{
	free(blocks->of);
	blocks->of = NULL;
	blocks->count = 0;
}

void lz_shared_blocks_restrict(
	struct lz_shared_blocks *blocks, uint64_t offset, uint64_t bytes, bool permanent)
{
	uint64_t end;

	if (bytes == 0)
		return;
	if (__builtin_add_overflow(offset, bytes, &end))
		end = UINT64_MAX;
	for (size_t i = offset / blocks->size; i < blocks->count && i * blocks->size < end; i++) {
		blocks->of[i].huge = false;
		if (permanent)
			blocks->of[i].leave = true;
		else
			blocks->of[i].until_full = true;
	}
}

uint64_t lz_shared_blocks_huge_bytes(const struct lz_shared_blocks *blocks)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < blocks->count; i++)
		bytes += blocks->of[i].huge ? blocks->size : 0;
	return bytes;
}

/* Counts the pages of a block and whether that is enough. */
static bool is_due(struct lz_shared_blocks *blocks, const struct lz_shared_round *round, size_t i)
{
	struct lz_shared_block *block = &blocks->of[i];
	uint64_t pages;

	if (lz_collapse_count_pages(blocks->os, round->at + i * blocks->size, blocks->size, &pages) != 0)
		return false;
	if (pages < block->pages) {
		block->until_full = true;
		block->huge = false;
	}
	block->pages = (uint16_t)pages;
	return !block->huge && pages > 0 && pages >= (block->until_full ? blocks->pages : round->needed);
}

static void try_later(struct lz_shared_blocks *blocks)
{
	blocks->delay = blocks->delay == 0 ? FIRST_DELAY_NS : lz_min_u64(2 * blocks->delay, LONGEST_DELAY_NS);
	blocks->next_try = lz_monotonic_ns() + blocks->delay;
	blocks->unfinished = true;
}

static void note_failure(struct lz_shared_blocks *blocks, struct lz_shared_block *block)
{
	blocks->failed++;
	if (++block->failures >= LZ_BLOCK_FAILURES)
		block->leave = true;
	else
		blocks->unfinished = true;
}

/* Collapses a block that is due. Returns false if no other one should be tried in this round. */
static bool collapse(struct lz_shared_blocks *blocks, const struct lz_shared_round *round, size_t i)
{
	struct lz_shared_block *block = &blocks->of[i];
	int error;

	if (lz_room(blocks->os, round->fd, round->reserve) < blocks->size) {
		try_later(blocks);
		return false;
	}
	/* Pages may have gone since they were counted. */
	if (!is_due(blocks, round, i))
		return true;
	switch (lz_collapse_block(blocks->os, round->at + i * blocks->size, blocks->size, &error)) {
	case LZ_COLLAPSED:
		blocks->collapsed++;
		blocks->delay = 0;
		block->huge = true;
		block->pages = (uint16_t)blocks->pages;
		return true;
	case LZ_COLLAPSE_NO_MEMORY:
		blocks->failed++;
		try_later(blocks);
		return false;
	case LZ_COLLAPSE_EMPTY:
	case LZ_COLLAPSE_BUSY:
		note_failure(blocks, block);
		return true;
	case LZ_COLLAPSE_FAILED:
		break;
	}
	blocks->failed++;
	block->leave = true;
	return true;
}

void lz_shared_blocks_round(struct lz_shared_blocks *blocks, const struct lz_shared_round *round)
{
	uint64_t began = lz_thread_time_ns();
	unsigned looked_at = 0;
	bool goes_on = true;

	if (lz_monotonic_ns() < blocks->next_try)
		return;
	blocks->unfinished = false;
	/* A message that arrives in a pause never changes the number of blocks. */
	for (size_t i = 0; i < blocks->count && goes_on; i++) {
		const struct lz_shared_block *block = &blocks->of[i];
		bool due;

		if (block->leave || (block->huge && !round->look_at_huge))
			continue;
		due = is_due(blocks, round, i);
		if (due)
			goes_on = collapse(blocks, round, i);
		if (due || ++looked_at % LOOKED_AT_ONCE == 0) {
			goes_on = round->pause(round->context, lz_thread_time_ns() - began) && goes_on;
			began = lz_thread_time_ns();
		}
	}
}
