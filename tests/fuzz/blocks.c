/*
 * The shadow model of blocks. A block has the requested length; malloc's contents are unknown, calloc's are
 * zero. Blocks may be gigabytes, so writes are kept as a few ranges and the rest is sampled. So that no
 * written page hides between samples, written addresses of the whole process are remembered.
 */
#include "blocks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DIRTY 2048
#define PAGES_AT_MOST 512       /* pages sampled in a calloc; each may cost a fault */
#define WHOLE_AT_MOST (64 * KB) /* up to this size every word is checked each time */

static struct blocks all[THREADS_MAX];

/* Torn entries are harmless: every checked address lies in a block that must be zero. */
static struct {
	_Atomic uintptr_t from, to;
} dirty[DIRTY];
static _Atomic unsigned dirty_count;

void note_dirty(const char *from, const char *to)
{
	unsigned at = atomic_fetch_add_explicit(&dirty_count, 1, memory_order_relaxed) % DIRTY;

	atomic_store_explicit(&dirty[at].from, (uintptr_t)from, memory_order_relaxed);
	atomic_store_explicit(&dirty[at].to, (uintptr_t)to, memory_order_relaxed);
}

static uint64_t word(uint64_t stamp, size_t offset)
{
	return stamp == ZEROS
		       ? 0
		       : (stamp * UINT64_C(0x9E3779B97F4A7C15) ^ offset * UINT64_C(0xBF58476D1CE4E5B9)) | 1;
}

struct blocks *blocks_new(unsigned thread)
{
	struct blocks *blocks = &all[thread];

	memset(blocks, 0, sizeof *blocks);
	blocks->stamp = 2 + thread;
	blocks->state = 88172645463325252u + thread;
	return blocks;
}

struct block *block_of(struct worker *worker, const struct record *record)
{
	return &worker->blocks->slot[record->a % SLOTS];
}

static uint64_t stamp_at(const struct block *block, size_t offset)
{
	for (unsigned i = block->extents; i-- > 0;)
		if (block->extent[i].from <= offset && offset < block->extent[i].to)
			return block->extent[i].stamp;
	return UNKNOWN;
}

static void check_word(struct worker *worker, const struct block *block, size_t offset)
{
	uint64_t stamp = stamp_at(block, offset), found, expected;

	if (stamp == UNKNOWN)
		return;
	found = *(volatile uint64_t *)(block->p + offset);
	expected = word(stamp, offset);
	if (found != expected)
		fail(worker, "block %p of %#zx bytes holds %#lx at %#zx, expected %#lx", (void *)block->p,
			block->size, found, offset, expected);
}

static void check_extent(
	struct worker *worker, const struct block *block, const struct extent *extent, bool whole)
{
	size_t to = (extent->to < block->size ? extent->to : block->size) & ~(size_t)7;
	size_t from = (extent->from + 7) & ~(size_t)7;

	if (from + 8 > to)
		return;
	if (to - from <= 512 || (whole && to - from <= 4 * MB)) {
		for (size_t at = from; at < to; at += 8)
			check_word(worker, block, at);
		return;
	}
	check_word(worker, block, from);
	check_word(worker, block, to - 8);
	for (int i = 0; i < 6; i++)
		check_word(worker, block, from + draw(&worker->blocks->state, (to - from) / 8) * 8);
}

void block_check(struct worker *worker, const struct block *block, bool whole)
{
	if (block->p == NULL)
		return;
	for (unsigned i = 0; i < block->extents; i++)
		check_extent(worker, block, &block->extent[i], whole);
}

void check_zero(struct worker *worker, const char *p, size_t size)
{
	unsigned newest = atomic_load_explicit(&dirty_count, memory_order_relaxed);
	size_t pages = PAGES_AT_MOST;

	for (unsigned i = 1; i <= DIRTY && pages != 0; i++) {
		uintptr_t from =
			atomic_load_explicit(&dirty[(newest - i) % DIRTY].from, memory_order_relaxed);
		uintptr_t to = atomic_load_explicit(&dirty[(newest - i) % DIRTY].to, memory_order_relaxed);
		uintptr_t end = (uintptr_t)p + size, step, last = 0;

		if (from < (uintptr_t)p)
			from = (uintptr_t)p;
		if (to > end)
			to = end;
		/* Of long ranges every third page is checked, each at another offset. */
		step = from < to && to - from > 64 * KB ? 3 * PAGE - 8 : 8;
		for (from = (from + 7) & ~(uintptr_t)7; from + 8 <= to && pages != 0; from += step) {
			pages -= from / PAGE != last;
			last = from / PAGE;
			if (*(volatile uint64_t *)from != 0)
				fail(worker, "calloc of %#zx bytes at %p holds %#lx at %#zx", size,
					(const void *)p, *(volatile uint64_t *)from,
					(size_t)(from - (uintptr_t)p));
		}
	}
	if (size > WHOLE_AT_MOST)
		return;
	for (size_t at = 0; at < size; at++)
		if (((volatile const char *)p)[at] != 0)
			fail(worker, "calloc of %#zx bytes at %p is not zero at %#zx", size, (const void *)p,
				at);
}

/* The C library leaves errno set when its first attempt failed; lazyzero does not. */
void check_result(struct worker *worker, const void *p, size_t size, bool served)
{
	int error = errno;

	if (p == NULL && error != ENOMEM)
		fail(worker, "NULL for %#zx bytes with errno %d", size, error);
	if (p == NULL && size < GB && !may_be_refused(size))
		fail(worker, "NULL for %#zx bytes", size);
	if (p != NULL && error != UNTOUCHED && served)
		fail(worker, "%#zx bytes were given, but errno became %d", size, error);
	if (((uintptr_t)p & 15) != 0)
		fail(worker, "%p for %#zx bytes is not aligned", p, size);
}

void block_new(struct worker *worker, struct block *block, void *p, size_t size, uint64_t stamp)
{
	block->p = p;
	block->size = size;
	block->from_c_library = !is_served(size, stamp == ZEROS);
	block->extents = 1;
	block->extent[0] = (struct extent){0, size, stamp};
	if (p != NULL && stamp == ZEROS)
		check_zero(worker, p, size);
	block_check(worker, block, false);
}

void block_free(struct worker *worker, struct block *block)
{
	if (block->p == NULL)
		return;
	block_check(worker, block, false);
	trace(worker, "free(%p) of %#zx", (void *)block->p, block->size);
	errno = UNTOUCHED;
	free(block->p);
	if (errno != UNTOUCHED) /* since glibc 2.33 */
		fail(worker, "free of %#zx bytes made errno %d", block->size, errno);
	block->p = NULL;
}

void block_resized(struct block *block, void *p, size_t size)
{
	unsigned kept = 0;

	/* The part by which it grew is unknown; the base covers the old part. */
	for (unsigned i = 0; i < block->extents; i++) {
		struct extent extent = block->extent[i];

		if (extent.to > size)
			extent.to = size;
		if (extent.from < extent.to)
			block->extent[kept++] = extent;
	}
	block->extents = kept;
	block->p = p;
	block->size = size;
}

bool block_add(struct block *block, size_t from, size_t to, uint64_t stamp)
{
	if (block->extents == EXTENTS)
		return false;
	block->extent[block->extents++] = (struct extent){from, to, stamp};
	return true;
}

void block_write(struct worker *worker, struct block *block, size_t from, size_t to)
{
	uint64_t stamp = worker->blocks->stamp += THREADS_MAX;

	from = (from + 7) & ~(size_t)7;
	to &= ~(size_t)7;
	if (block->p == NULL || from >= to || !block_add(block, from, to, stamp))
		return;
	trace(worker, "write %p+%#zx to %#zx", (void *)block->p, from, to);
	note_dirty(block->p + from, block->p + to);
	for (size_t at = from; at < to; at += 8)
		*(volatile uint64_t *)(block->p + at) = word(stamp, at);
}

void blocks_check(struct worker *worker)
{
	for (unsigned i = 0; i < SLOTS; i++)
		block_check(worker, &worker->blocks->slot[i], false);
	overlays_check(worker);
}

void blocks_write_all(struct worker *worker, uint64_t where)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct block *block = &worker->blocks->slot[i];
		size_t at = block->size > 8 ? where % (block->size / 8) * 8 : 0;

		if (block->p != NULL && block->size >= 8)
			block_write(worker, block, at, at + 8);
	}
}

void blocks_end(struct worker *worker)
{
	wait_for_child(worker);
	overlays_end(worker);
	for (unsigned i = 0; i < SLOTS; i++)
		block_free(worker, &worker->blocks->slot[i]);
}
