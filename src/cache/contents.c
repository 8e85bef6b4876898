/* What a freed region holds, and how it becomes zero again. */
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "core/inside.h"
#include "os/mman.h"
#include "os/pagemap.h"

/* How much is looked at before asking whether it is too much already. */
#define LOOK_BYTES (UINT64_C(1) << 30)

/* What is cleared when a region is freed rather than when it is wanted. */
#define CLEAR_AT_ONCE (UINT64_C(256) << 10)

/* --- what a region holds --- */

struct weighing {
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
static void weigh_run(void *context, const struct lz_page_run *run)
{
	struct weighing *weighing = context;
	unsigned shift = lz_table_span_shift(weighing->geometry, 0);
	uint64_t first = run->start >> shift, last = (run->end - 1) >> shift, tables;

	if (!run->zero && !run->file) {
		weighing->bytes += run->end - run->start;
		if (weighing->bytes <= CLEAR_AT_ONCE && !run->away)
			memset((void *)run->start, 0, run->end - run->start);
		else
			weighing->dirty += run->end - run->start;
	}
	if (run->huge)
		return;
	tables = (last - first + (first != weighing->last_block)) * lz_table_bytes(weighing->geometry, 0);
	weighing->bytes += tables;
	weighing->tables += tables;
	weighing->last_block = last;
}

uint64_t lz_recycle_weigh(struct lz_core *core, uintptr_t base, size_t length, uint64_t enough, bool *is_zero,
	uint64_t *tables)
{
	struct weighing weighing = {.geometry = core->geometry, .last_block = UINT64_MAX};
	uintptr_t at, end = base + length;

	for (at = base; at < end && weighing.bytes < enough; at += LOOK_BYTES)
		if (lz_pagemap_walk(core->os, at, lz_min_u64(at + LOOK_BYTES, end), weigh_run, &weighing) !=
			0)
			return length; /* before Linux 6.7 */
	*is_zero = at >= end && weighing.dirty == 0;
	*tables = lz_min_u64(weighing.tables, length);
	return lz_min_u64(weighing.bytes, length);
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
		clearing->os->madvise(start, length, MADV_GUARD_REMOVE);
		if (clearing->os->madvise(start, length, MADV_DONTNEED) == 0)
			return;
	}
	memset(start, 0, length);
	clearing->cleared += length;
}

/* Whether most of 64 pages, spread over a range, are in memory. */
static bool is_mostly_resident(struct lz_core *core, uintptr_t base, size_t length)
{
	size_t step = lz_max_u64(core->page, lz_round_down(length / 64, core->page));
	unsigned looked = 0, resident = 0;

	for (uintptr_t at = base; at < base + length; at += step) {
		unsigned char page = 0;

		looked++;
		if (core->os->mincore((void *)at, core->page, &page) == 0)
			resident += page & 1;
	}
	return resident > looked / 4 * 3;
}

/* A part of a region; *cleared: bytes that were written. True when all of its pages are in memory. */
static bool clear_part(struct lz_core *core, uintptr_t base, size_t length, bool full, bool on_window,
	uint64_t *cleared)
{
	struct clearing clearing = {.os = core->os};

	if (!full && lz_pagemap_walk(core->os, base, base + length, clear_run, &clearing) == 0) {
		*cleared = clearing.cleared;
		return clearing.cleared == length;
	}
	*cleared = 0;
	/* Of a window all pages seem to be there. */
	if (!full && (on_window || !is_mostly_resident(core, base, length)) &&
		lz_core_madvise_heard(core, base, length, MADV_DONTNEED) == 0)
		return false;
	memset((void *)base, 0, length);
	*cleared = length;
	return true;
}

/*
 * The first write to a page after MADV_FREE sets a bit in its page-table entry: 0.1 us, but 20 to 80 us where a
 * hypervisor shadows page tables, as much as a page fault. There, pages that may never be written are not worth it.
 * Two measurements of 256 pages and more must agree, since a thread may be preempted meanwhile.
 */
static void note_speed(struct lz_core *core, uint64_t milliseconds, uint64_t bytes)
{
	uint64_t pages = bytes >> core->page_shift;
	_Atomic uint32_t *slow = &core->recycle.slow_rewrites;

	if (pages < 256)
		return;
	if (milliseconds * 1000 > 4 * pages)
		atomic_fetch_add_explicit(slow, 1, memory_order_relaxed);
	else if (atomic_load_explicit(slow, memory_order_relaxed) < 2)
		atomic_store_explicit(slow, 0, memory_order_relaxed);
}

bool lz_recycle_clear(struct lz_core *core, uintptr_t base, size_t length, size_t unreclaimable, bool full,
	bool on_window)
{
	uint64_t cleared, started;
	size_t first = lz_min_u64(unreclaimable, length), rest = length - first;
	bool all = first == 0 || clear_part(core, base, first, full, on_window, &cleared);

	if (rest == 0)
		return all;
	if (atomic_load_explicit(&core->recycle.slow_rewrites, memory_order_relaxed) >= 2 &&
		lz_core_madvise_heard(core, base + first, rest, MADV_DONTNEED) == 0)
		return false;
	started = core->os->now_ms();
	all &= clear_part(core, base + first, rest, full, on_window, &cleared);
	note_speed(core, core->os->now_ms() - started, cleared);
	/* What the new owner does not write is the kernel's to take, as if it had never been written. */
	if (cleared != 0)
		lz_core_madvise_heard(core, base + first, rest, MADV_FREE);
	return all;
}
