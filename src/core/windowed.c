/*
 * Memory on a zero window: regions put there, how much of it is resident, and its way back to anonymous
 * memory for the calls that the kernel answers for nothing else.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "core/header.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"
#define SMAPS "/proc/thread-self/smaps"

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

	now = core->os->now_ms();
	if (!lz_stats_in_file(&core->stats) ||
		now - atomic_load_explicit(&core->window_sampled_ms, memory_order_relaxed) < SAMPLE_MS)
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

/* --- back to anonymous memory --- */

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

/* On a window there is no zero page: what was written is the range's own, though it be with zeros. */
static void copy_own_run(void *context, const struct lz_page_run *run)
{
	const struct copy *copy = context;

	if (run->away)
		copy_away(copy, run->start, run->end);
	else if (!run->file)
		memcpy((void *)(copy->to + (run->start - copy->from)), (const void *)run->start,
			run->end - run->start);
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

/*
 * Puts an anonymous copy over one mapping. What another thread writes between the copy and the move is lost;
 * the calls that come here are made on memory that nobody uses yet, or that is to lose its contents.
 */
static int replace(struct lz_core *core, const struct lz_mapping *mapping, unsigned asked)
{
	const struct lz_os *os = core->os;
	size_t length = mapping->end - mapping->start;
	int protection = lz_mapping_protection(mapping);
	void *place = (void *)mapping->start;
	intptr_t at = os->mmap(
		NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct copy copy = {.os = os, .from = mapping->start, .to = (uintptr_t)at, .page = core->page};
	int error = 0;

	if (lz_os_failed(at))
		return (int)at;
	if (!mapping->readable)
		error = os->mprotect(place, length, protection | PROT_READ);
	if (error == 0) {
		/* Before Linux 6.7 nothing tells which are its own. */
		if (lz_pagemap_walk(os, mapping->start, mapping->end, copy_own_run, &copy) != 0)
			copy_pages(&copy, mapping->start, mapping->end);
		error = os->mprotect((void *)at, length, protection);
	}
	if (error == 0) {
		lz_core_ask(core, (uintptr_t)at, length, asked & ~(unsigned)LZ_ASKED_LOCKED);
		intptr_t moved = os->mremap((void *)at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);

		error = lz_os_failed(moved) ? (int)moved : 0;
	}
	if (error) {
		os->munmap((void *)at, length);
		if (!mapping->readable)
			os->mprotect(place, length, protection);
		return error;
	}
	/* Not before: what the process may lock is limited. */
	lz_core_ask(core, mapping->start, length, asked & LZ_ASKED_LOCKED);
	return 0;
}

/* The books follow: the range is anonymous now. What was /dev/zero stays a file in all that is told of it. */
static void note_left(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;
	struct lz_range *range;
	bool of_file;

	if (!lz_core_enter(core))
		return;
	of_file = lz_window_find(core, start, end, &part) && part.of_file;
	lz_window_forget(core, start, end);
	if (of_file)
		lz_window_note(core, start, end, lz_window_of_file_at(core, start));
	/* What becomes anonymous may join what lies behind it: that is no part of it. */
	while (start < end && (range = lz_ledger_find(&core->ledger, start)) != NULL && range->start < end) {
		struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = range->traits.tag};
		uintptr_t from = lz_max_u64(range->start, start), to = lz_min_u64(range->end, end);

		lz_ledger_set(&core->ledger, from, to, traits);
		start = to;
	}
	lz_core_publish(core);
	lz_core_leave(core);
}

/* Neighbouring pieces that the program has in one manner: one mapping again, as it would be without a window.
 */
struct run {
	struct lz_mapping mapping; /* start == end: none */
	unsigned asked;
};

static int leave_run(struct lz_core *core, struct run *run)
{
	int error = 0;

	if (run->mapping.start != run->mapping.end)
		error = replace(core, &run->mapping, run->asked);
	if (error == 0)
		note_left(core, run->mapping.start, run->mapping.end);
	run->mapping.start = run->mapping.end = 0;
	return error;
}

/* The parts of one mapping within [start, end) that stand on a window join the run, or begin the next. */
static int add_mapping(struct lz_core *core, struct run *run, const struct lz_mapping *mapping,
	unsigned asked, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;
	int error = 0;

	/* The map of windows may be wrong where a call could not be followed. */
	if (!lz_window_is_named(mapping))
		return 0;
	start = lz_max_u64(start, mapping->start);
	end = lz_min_u64(end, mapping->end);
	for (; error == 0 && lz_windowed_next(core, start, end, &part); start = part.end) {
		if (part.start != run->mapping.end || asked != run->asked ||
			lz_mapping_protection(mapping) != lz_mapping_protection(&run->mapping)) {
			error = leave_run(core, run);
			run->mapping = *mapping;
			run->mapping.start = part.start;
			run->asked = asked;
		}
		run->mapping.end = part.end;
	}
	return error;
}

/* Where no descriptor is to be had to look with: what was never altered is as it was made. */
static int leave_unseen(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_mapping mapping = {.readable = true, .writable = true, .path = LZ_WINDOW_PATH};
	struct run run = {.asked = 0};
	struct lz_window_part part;
	int error = 0;

	if (atomic_load_explicit(&core->windows.altered, memory_order_relaxed))
		return -EAGAIN;
	for (; error == 0 && lz_windowed_next(core, start, end, &part); start = part.end) {
		mapping.start = part.start;
		mapping.end = part.end;
		error = add_mapping(core, &run, &mapping, 0, start, end);
	}
	return error ? error : leave_run(core, &run);
}

int lz_windowed_leave(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct run run = {.asked = 0};
	struct lz_window_part part;
	struct lz_mapping mapping;
	struct lz_lines lines;
	unsigned asked;
	int error = 0;

	if (!lz_windowed_next(core, start, end, &part))
		return 0;
	/* One pass for all: the kernel goes on behind the last mapping it named, whatever was changed. */
	if (lz_lines_open(&lines, core->os, SMAPS) != 0)
		return leave_unseen(core, start, end);
	while (error == 0 && lz_smaps_next(&lines, &mapping, &asked) && mapping.start < end)
		error = add_mapping(core, &run, &mapping, asked, start, end);
	lz_lines_close(&lines);
	return error ? error : leave_run(core, &run);
}
