/*
 * Memory on a zero window: regions put there, how much of it is resident; and copies of memory that leave out
 * what was never written.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "backing/region_header.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"

/* Walking over 100 GiB of window takes a millisecond. */
#define SAMPLE_MS 100u

bool lz_core_may_use_window(const struct lz_core *core, enum lz_backing backing)
{
	return (backing != LZ_BACKING_AUTO ? backing : core->options.backing) != LZ_BACKING_ZEROPAGE;
}

void lz_core_count_window(struct lz_core *core, size_t length)
{
	lz_stats_add(&core->stats, window_regions_total, 1);
	lz_stats_add(&core->stats, window_bytes_total, length);
}

/*
 * Without the lock, by asking the kernel. To wait longer for it would be no way out: its holder may be a
 * handler's thread that waits for a lock of the allocator beneath, whose holder waits here.
 */
static bool next_by_maps(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	struct lz_mapping mapping;
	struct lz_lines lines;
	bool found = false;
	char *line;

	if (lz_lines_open(&lines, core->os, MAPS) != 0)
		return false;
	while (!found && (line = lz_lines_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		if (mapping.start >= end)
			break;
		found = lz_window_is_named(&mapping);
	}
	lz_lines_close(&lines);
	if (found) {
		part->start = lz_max_u64(start, mapping.start);
		part->end = part->piece_end = lz_min_u64(end, mapping.end);
		part->of_file = false;
	}
	return found;
}

bool lz_windowed_next(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	bool found;

	if (start >= end || !atomic_load_explicit(&core->windows.any, memory_order_relaxed))
		return false;
	if (!lz_core_enter(core))
		return next_by_maps(core, start, end, part);
	found = lz_window_find(core, start, end, part);
	lz_core_leave(core);
	return found;
}

static void count_window(void *context, const struct lz_page_run *run)
{
	if (run->file)
		*(uint64_t *)context += run->end - run->start;
}

uint64_t lz_windowed_resident(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;
	uint64_t bytes = 0;

	for (; lz_windowed_next(core, start, end, &part); start = part.end)
		if (lz_pagemap_walk(core->os, part.start, part.end, count_window, &bytes) != 0)
			break;
	return bytes;
}

void lz_core_sample_window(struct lz_core *core)
{
	uint64_t bytes, now;

	if (!lz_stats_in_file(&core->stats) || atomic_load_explicit(&core->passive, memory_order_relaxed))
		return;
	now = core->os->now_ms();
	if (now - atomic_load_explicit(&core->window_sampled_ms, memory_order_relaxed) < SAMPLE_MS)
		return;
	atomic_store_explicit(&core->window_sampled_ms, now, memory_order_relaxed);
	bytes = lz_windowed_resident(core, 0, UINTPTR_MAX);
	if (bytes > lz_stats_get(&core->stats, window_resident_peak))
		lz_stats_set(&core->stats, window_resident_peak, bytes);
}

int lz_windowed_map(struct lz_core *core, const struct lz_window_use *use, size_t length, size_t alignment,
	bool accounted, struct lz_place *place)
{
	size_t unit = lz_window_unit(core);
	size_t table = (size_t)1 << core->ledger.span_shift[1];
	/* From a whole PMD table on, where it needs the fewest of them. */
	size_t least = length >= table ? table : unit;
	/* The whole first, as the kernel would be asked without a window: its overcommit rules would pass the
	 * pieces one by one. */
	intptr_t at = lz_zeropage_map_region(core, length, lz_max_u64(alignment, least), accounted);
	int error;

	if (lz_os_failed(at))
		return (int)at;
	*place = (struct lz_place){.base = (uintptr_t)at,
		.length = length,
		.on_window = true,
		.accounted = accounted,
		.window = lz_window_tag(core, (uintptr_t)at, use->bytes)};
	error = lz_window_map(core, use, place->base, place->base + length, place->base);
	if (error)
		core->os->munmap((void *)(place->base - lz_header_bytes(core)), length + lz_header_bytes(core));
	return error;
}

void lz_core_ask(struct lz_core *core, uintptr_t start, size_t length, unsigned asked)
{
	static const struct {
		unsigned flag;
		int advice;
	} table[] = {{LZ_ASKED_DONTFORK, MADV_DONTFORK}, {LZ_ASKED_DONTDUMP, MADV_DONTDUMP},
		{LZ_ASKED_MERGEABLE, MADV_MERGEABLE}, {LZ_ASKED_RANDOM, MADV_RANDOM},
		{LZ_ASKED_SEQUENTIAL, MADV_SEQUENTIAL}, {LZ_ASKED_HUGEPAGE, MADV_HUGEPAGE}};

	for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
		if (asked & table[i].flag)
			core->os->madvise((void *)start, length, table[i].advice);
	if (asked & LZ_ASKED_LOCKED)
		core->os->mlock((void *)start, length);
}

/* --- copies --- */

static bool is_zero(const char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

struct copy {
	const struct lz_os *os;
	uintptr_t from, to;
	size_t page;
};

static void copy_pages(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page)
		if (!is_zero((const char *)at, copy->page))
			/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): nothing is mapped at 0 */
			memcpy((void *)(copy->to + (at - copy->from)), (const void *)at, copy->page);
}

/* What is not in memory is swapped, or a guard of the program's: that becomes one again. */
static void copy_away(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page) {
		void *to = (void *)(copy->to + (at - copy->from));

		if (copy->os->madvise((void *)at, copy->page, MADV_POPULATE_READ) == -EFAULT)
			copy->os->madvise(to, copy->page, MADV_GUARD_INSTALL);
		else
			memcpy(to, (const void *)at, copy->page);
	}
}

/*
 * The kernel does not mark its huge zero page as one (6.7 and later), so what it does not mark is looked at.
 */
static void copy_run(void *context, const struct lz_page_run *run)
{
	if (run->away)
		copy_away(context, run->start, run->end);
	else if (!run->zero && !run->file)
		copy_pages(context, run->start, run->end);
}

static void copy_sparsely(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t to)
{
	struct copy copy = {.os = core->os, .from = start, .to = to, .page = core->page};

	if (lz_pagemap_walk(core->os, start, end, copy_run, &copy) != 0)
		copy_pages(&copy, start, end);
}

/* Anonymous, or on a window: what the page tables say nothing of reads as zero. */
static bool reads_as_zero(const struct lz_mapping *mapping)
{
	return (mapping->inode == 0 && !mapping->shared) || lz_window_is_named(mapping);
}

void lz_copy_written(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t to)
{
	struct lz_mapping mapping;
	struct lz_lines lines;
	char *line;

	if (!atomic_load_explicit(&core->overlaid, memory_order_relaxed)) {
		copy_sparsely(core, start, end, to);
		return;
	}
	if (lz_lines_open(&lines, core->os, MAPS) != 0) {
		copy_pages(&(struct copy){.from = start, .to = to, .page = core->page}, start, end);
		return;
	}
	/* The kernel goes on behind the last mapping it named, though the copy adds to them. */
	while ((line = lz_lines_next(&lines)) != NULL) {
		uintptr_t from, until, target;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		from = lz_max_u64(start, mapping.start);
		until = lz_min_u64(end, mapping.end);
		if (from >= until)
			break;
		target = to + (from - start);
		if (reads_as_zero(&mapping))
			copy_sparsely(core, from, until, target);
		else
			memcpy((void *)target, (const void *)from, until - from);
	}
	lz_lines_close(&lines);
}

void lz_core_copy(struct lz_core *core, const void *from, size_t size, void *to)
{
	uintptr_t start = (uintptr_t)from, end = start + size, target = (uintptr_t)to;
	uintptr_t first = start + (-start & (core->page - 1)), last = end & ~(core->page - 1);

	if (first >= last) {
		memcpy(to, from, size);
		return;
	}
	memcpy(to, from, first - start);
	lz_copy_written(core, first, last, target + (first - start));
	memcpy((void *)(target + (last - start)), (const void *)last, end - last);
}
