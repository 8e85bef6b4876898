/* The contents of a freed region: how many bytes are resident, and clearing them. */
#include <stdatomic.h>

#include "base/checked.h"
#include "cache/internal.h"
#include "os/facts.h"
#include "os/via_next.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/plain_memset.h"

/* After walking this much, check whether `enough` bytes were found. */
#define WALK_BYTES (UINT64_C(1) << 30)

/* Up to this many written bytes are cleared when a region is freed, not when it is reused. */
#define CLEAR_WHEN_FREED_BYTES (UINT64_C(256) << 10)

/* --- resident bytes --- */

struct content {
	const struct lz_geometry *geometry;
	uint64_t bytes;
	uint64_t last_block; /* the block whose table was counted last */
	uint64_t dirty;      /* bytes written and not yet cleared */
	uint64_t tables;     /* bytes of page tables */
};

/*
 * Adds written pages, and the page tables of all pages: a region that was only read may have 2 MiB of tables
 * for each GiB. The first few pages are cleared here, while they are in the CPU cache, so that a small region
 * needs no walk when it is reused.
 */
static void add_run(void *context, const struct lz_page_run *run)
{
	struct content *content = context;
	unsigned shift = lz_table_span_shift(content->geometry, 0);
	uint64_t first = run->start >> shift, last = (run->end - 1) >> shift, tables;

	if (!run->zero && !run->file) {
		content->bytes += run->end - run->start;
		if (content->bytes <= CLEAR_WHEN_FREED_BYTES && !run->not_present)
			lz_plain_memset((void *)run->start, 0, run->end - run->start);
		else
			content->dirty += run->end - run->start;
	}
	if (run->huge)
		return;
	tables = (last - first + (first != content->last_block)) * lz_table_bytes(content->geometry, 0);
	content->bytes += tables;
	content->tables += tables;
	content->last_block = last;
}

uint64_t lz_cache_resident_bytes(struct lz_cache *cache, uintptr_t base, size_t length, uint64_t enough,
	bool *is_zero, uint64_t *tables)
{
	struct content content = {.geometry = cache->books->geometry, .last_block = UINT64_MAX};
	uintptr_t at, end = base + length;

	for (at = base; at < end && content.bytes < enough; at += WALK_BYTES)
		if (lz_pagemap_walk(cache->os, at, lz_min_u64(at + WALK_BYTES, end), add_run, &content) != 0)
			return length; /* before Linux 6.7 */
	*is_zero = at >= end && content.dirty == 0;
	*tables = lz_min_u64(content.tables, length);
	return lz_min_u64(content.bytes, length);
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
	/*
	 * Swapped-out pages are dropped instead of read in. A page may also be a guard page, if the program
	 * installed it by a raw system call.
	 */
	if (run->not_present) {
		lz_fact_madvise(clearing->os, LZ_FACT_GUARD_REGIONS, start, length, MADV_GUARD_REMOVE);
		if (clearing->os->madvise(start, length, MADV_DONTNEED) == 0)
			return;
	}
	lz_plain_memset(start, 0, length);
	clearing->cleared += length;
}

/* Samples 64 pages spread over a range; true if more than three quarters of them are resident. */
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

/*
 * Clears a part of a region; *cleared is the number of bytes written. Returns true if all its pages are
 * resident.
 */
static bool clear_part(struct lz_cache *cache, uintptr_t base, size_t length, bool full,
	bool residency_is_visible, uint64_t *cleared)
{
	struct clearing clearing = {.os = cache->os};

	if (!full && lz_pagemap_walk(cache->os, base, base + length, clear_run, &clearing) == 0) {
		*cleared = clearing.cleared;
		return clearing.cleared == length;
	}
	*cleared = 0;
	/* If residency is not visible, mincore(2) reports all pages as resident. */
	if (!full && (!residency_is_visible || !is_mostly_resident(cache, base, length)) &&
		lz_madvise_via_next(cache->os, cache->backings->next, base, length, MADV_DONTNEED) == 0)
		return false;
	lz_plain_memset((void *)base, 0, length);
	*cleared = length;
	return true;
}

/*
 * The first write to a page after MADV_FREE sets a bit in its page-table entry. That takes 0.1 us, but 20 to
 * 80 us if a hypervisor shadows page tables, as long as a page fault; there, clearing pages that may never be
 * written does not pay. Two measurements of at least 256 pages must agree, because a thread may be preempted
 * meanwhile.
 */
static void note_first_write_speed(struct lz_cache *cache, uint64_t milliseconds, uint64_t bytes)
{
	uint64_t pages = bytes >> cache->books->page_shift;
	_Atomic uint32_t *slow = &cache->slow_first_writes;

	if (pages < 256)
		return;
	if (milliseconds * 1000 > 4 * pages)
		atomic_fetch_add_explicit(slow, 1, memory_order_relaxed);
	else if (atomic_load_explicit(slow, memory_order_relaxed) < 2)
		atomic_store_explicit(slow, 0, memory_order_relaxed);
}

bool lz_cache_region_zero(struct lz_cache *cache, const struct lz_cached_region *region, size_t length)
{
	bool visible = region->how.backing->residency_is_visible;
	size_t first = lz_min_u64(region->unreclaimable, length), rest = length - first;
	uintptr_t base = region->base;
	uint64_t cleared, started;
	bool fully_resident = first == 0 || clear_part(cache, base, first, region->full, visible, &cleared);

	if (rest == 0)
		return fully_resident;
	if (atomic_load_explicit(&cache->slow_first_writes, memory_order_relaxed) >= 2 &&
		lz_madvise_via_next(cache->os, cache->backings->next, base + first, rest, MADV_DONTNEED) == 0)
		return false;
	started = cache->os->now_ms();
	fully_resident &= clear_part(cache, base + first, rest, region->full, visible, &cleared);
	note_first_write_speed(cache, cache->os->now_ms() - started, cleared);
	/*
	 * The kernel may reclaim pages that the new owner does not write, as if they had never been written.
	 */
	if (cleared != 0)
		lz_madvise_via_next(cache->os, cache->backings->next, base + first, rest, MADV_FREE);
	return fully_resident;
}
