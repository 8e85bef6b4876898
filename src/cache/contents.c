/* What a freed region holds, and how it becomes zero again. */
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "cache/internal.h"
#include "os/announced.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/pagemap.h"

/* How much is looked at before asking whether it is too much already. */
#define LOOK_BYTES (UINT64_C(1) << 30)

/* What is cleared when a region is freed rather than when it is wanted. */
#define CLEAR_AT_ONCE (UINT64_C(256) << 10)

/* --- what a region holds --- */

struct usage {
	const struct lz_geometry *geometry;
	uint64_t bytes;
	uint64_t last_block; /* whose table was counted last */
	uint64_t dirty;      /* bytes written and not cleared */
	uint64_t tables;     /* bytes of page tables */
};

/*
 * Written pages, and the tables of all: a region that was only read may have 2 MiB of them for each GiB. A
 * few pages are cleared on the way, while they are in the cache: then nothing has to be looked at when the
 * region is wanted again.
 */
static void add_run(void *context, const struct lz_page_run *run)
{
	struct usage *usage = context;
	unsigned shift = lz_table_span_shift(usage->geometry, 0);
	uint64_t first = run->start >> shift, last = (run->end - 1) >> shift, tables;

	if (!run->zero && !run->file) {
		usage->bytes += run->end - run->start;
		if (usage->bytes <= CLEAR_AT_ONCE && !run->away)
			memset((void *)run->start, 0, run->end - run->start);
		else
			usage->dirty += run->end - run->start;
	}
	if (run->huge)
		return;
	tables = (last - first + (first != usage->last_block)) * lz_table_bytes(usage->geometry, 0);
	usage->bytes += tables;
	usage->tables += tables;
	usage->last_block = last;
}

uint64_t lz_cache_resident_bytes(struct lz_cache *cache, uintptr_t base, size_t length, uint64_t enough,
	bool *is_zero, uint64_t *tables)
{
	struct usage usage = {.geometry = cache->books->geometry, .last_block = UINT64_MAX};
	uintptr_t at, end = base + length;

	for (at = base; at < end && usage.bytes < enough; at += LOOK_BYTES)
		if (lz_pagemap_walk(cache->os, at, lz_min_u64(at + LOOK_BYTES, end), add_run, &usage) != 0)
			return length; /* before Linux 6.7 */
	*is_zero = at >= end && usage.dirty == 0;
	*tables = lz_min_u64(usage.tables, length);
	return lz_min_u64(usage.bytes, length);
}

/* --- clearing --- */

struct clearing {
	const struct lz_os *os;
	uint64_t cleared;
};

static void clear_run(void *context, const struct lz_page_run *run)
{
	struct clearing *clearing = context;
	void *start = (void *)run->start;
	size_t length = run->end - run->start;

	if (run->zero || run->file)
		return;
	/* Swapped: not to be read in just for that. Or a guard, by a system call that nobody saw. */
	if (run->away) {
		lz_fact_madvise(clearing->os, LZ_FACT_GUARD_REGIONS, start, length, MADV_GUARD_REMOVE);
		if (clearing->os->madvise(start, length, MADV_DONTNEED) == 0)
			return;
	}
	memset(start, 0, length);
	clearing->cleared += length;
}

/* Whether most of 64 pages, spread over a range, are in memory. */
static bool is_mostly_resident(struct lz_cache *cache, uintptr_t base, size_t length)
{
	size_t step = lz_max_u64(cache->books->page, lz_round_down(length / 64, cache->books->page));
	unsigned looked = 0, resident = 0;

	for (uintptr_t at = base; at < base + length; at += step) {
		unsigned char page = 0;

		looked++;
		if (cache->os->mincore((void *)at, cache->books->page, &page) == 0)
			resident += page & 1;
	}
	return resident > looked / 4 * 3;
}

/* A part of a region; *cleared: bytes that were written. True when all of its pages are in memory. */
static bool clear_part(struct lz_cache *cache, uintptr_t base, size_t length, bool full,
	bool residency_is_visible, uint64_t *cleared)
{
	struct clearing clearing = {.os = cache->os};

	if (!full && lz_pagemap_walk(cache->os, base, base + length, clear_run, &clearing) == 0) {
		*cleared = clearing.cleared;
		return clearing.cleared == length;
	}
	*cleared = 0;
	/* Where that cannot be seen, all pages seem to be there. */
	if (!full && (!residency_is_visible || !is_mostly_resident(cache, base, length)) &&
		lz_announced_madvise(cache->os, cache->backings->next, base, length, MADV_DONTNEED) == 0)
		return false;
	memset((void *)base, 0, length);
	*cleared = length;
	return true;
}

/*
 * The first write to a page after MADV_FREE sets a bit in its page-table entry: 0.1 us, but 20 to 80 us where
 * a hypervisor shadows page tables, as much as a page fault. There, pages that may never be written are not
 * worth it. Two measurements of 256 pages and more must agree, since a thread may be preempted meanwhile.
 */
static void note_speed(struct lz_cache *cache, uint64_t milliseconds, uint64_t bytes)
{
	uint64_t pages = bytes >> cache->books->page_shift;
	_Atomic uint32_t *slow = &cache->slow_rewrites;

	if (pages < 256)
		return;
	if (milliseconds * 1000 > 4 * pages)
		atomic_fetch_add_explicit(slow, 1, memory_order_relaxed);
	else if (atomic_load_explicit(slow, memory_order_relaxed) < 2)
		atomic_store_explicit(slow, 0, memory_order_relaxed);
}

bool lz_cache_clear(struct lz_cache *cache, const struct lz_cached_region *region, size_t length)
{
	bool visible = region->how.backing->residency_is_visible;
	size_t first = lz_min_u64(region->unreclaimable, length), rest = length - first;
	uintptr_t base = region->base;
	uint64_t cleared, started;
	bool all = first == 0 || clear_part(cache, base, first, region->full, visible, &cleared);

	if (rest == 0)
		return all;
	if (atomic_load_explicit(&cache->slow_rewrites, memory_order_relaxed) >= 2 &&
		lz_announced_madvise(cache->os, cache->backings->next, base + first, rest, MADV_DONTNEED) ==
			0)
		return false;
	started = cache->os->now_ms();
	all &= clear_part(cache, base + first, rest, region->full, visible, &cleared);
	note_speed(cache, cache->os->now_ms() - started, cleared);
	/* Pages that the new owner does not write are the kernel's to take, as if they had never been
	 * written. */
	if (cleared != 0)
		lz_announced_madvise(cache->os, cache->backings->next, base + first, rest, MADV_FREE);
	return all;
}
