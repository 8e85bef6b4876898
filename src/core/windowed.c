/*
 * Memory on a zero window: regions put there, how much of it is resident, and its way back to anonymous
 * memory for the calls that the kernel answers for nothing else.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
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

bool lz_windowed_next(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	bool found;

	if (start >= end || !atomic_load_explicit(&core->windows.any, memory_order_relaxed) ||
		!lz_core_enter(core))
		return false;
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
	if (!lz_stats_in_file(&core->stats) || now - core->window_sampled_ms < SAMPLE_MS)
		return;
	core->window_sampled_ms = now;
	bytes = lz_windowed_resident(core, 0, UINTPTR_MAX);
	if (bytes > lz_stats_get(&core->stats, window_resident_peak))
		lz_stats_set(&core->stats, window_resident_peak, bytes);
}

int lz_windowed_map(struct lz_core *core, const struct lz_window_use *use, size_t length, size_t alignment,
	struct lz_place *place)
{
	size_t unit = lz_window_unit(core);
	size_t table = (size_t)1 << core->ledger.span_shift[1];
	/* From a whole PMD table on, where it needs the fewest of them. */
	size_t least = length >= table ? table : unit;
	intptr_t at = lz_zeropage_reserve_aligned(core, length, lz_max_u64(alignment, least));
	int error;

	if (lz_os_failed(at))
		return (int)at;
	*place = (struct lz_place){.base = (uintptr_t)at,
		.length = length,
		.on_window = true,
		.window = lz_window_tag(core, (uintptr_t)at, use->bytes)};
	error = lz_window_map(core, use, place->base, place->base + length, place->base);
	if (error)
		core->os->munmap((void *)at, length);
	return error;
}

/* --- back to anonymous memory --- */

static bool is_zero(const char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

struct copy {
	uintptr_t from, to;
	size_t page;
};

static void copy_pages(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page)
		if (!is_zero((const char *)at, copy->page))
			memcpy((void *)(copy->to + (at - copy->from)), (const void *)at, copy->page);
}

/*
 * The kernel does not mark its huge zero page as one (6.7 and later), so what it does not mark is looked at.
 */
static void copy_run(void *context, const struct lz_page_run *run)
{
	if (!run->zero && !run->file)
		copy_pages(context, run->start, run->end);
}

void lz_copy_written(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t to)
{
	struct copy copy = {.from = start, .to = to, .page = core->page};

	if (lz_pagemap_walk(core->os, start, end, copy_run, &copy) != 0)
		copy_pages(&copy, start, end);
}

/* The first mapping above `from`, with no more of it than lies in [from, end). -ENOENT: none. */
static int mapping_in(struct lz_core *core, uintptr_t from, uintptr_t end, struct lz_mapping *mapping)
{
	struct lz_lines lines;
	char *line;
	int error = lz_lines_open(&lines, core->os, MAPS);

	if (error)
		return error;
	error = -ENOENT;
	while ((line = lz_lines_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, mapping) != 0 || mapping->end <= from)
			continue;
		if (mapping->start < end)
			error = 0;
		break;
	}
	lz_lines_close(&lines);
	mapping->path = "";
	mapping->start = lz_max_u64(mapping->start, from);
	mapping->end = lz_min_u64(mapping->end, end);
	return error;
}

/*
 * Puts an anonymous copy over one mapping. What another thread writes between the copy and the move is lost;
 * the calls that come here are made on memory that nobody uses yet, or that is to lose its contents.
 */
static int replace(struct lz_core *core, const struct lz_mapping *mapping)
{
	const struct lz_os *os = core->os;
	size_t length = mapping->end - mapping->start;
	int protection = lz_mapping_protection(mapping);
	void *place = (void *)mapping->start;
	intptr_t at = os->mmap(
		NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error = 0;

	if (lz_os_failed(at))
		return (int)at;
	if (!mapping->readable)
		error = os->mprotect(place, length, protection | PROT_READ);
	if (error == 0) {
		lz_copy_written(core, mapping->start, mapping->end, (uintptr_t)at);
		error = os->mprotect((void *)at, length, protection);
	}
	if (error == 0) {
		intptr_t moved = os->mremap((void *)at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);

		error = lz_os_failed(moved) ? (int)moved : 0;
	}
	if (error)
		os->munmap((void *)at, length);
	return error;
}

/* The books follow: the range is anonymous now. */
static void note_left(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_range *range;

	if (!lz_core_enter(core))
		return;
	lz_window_forget(core, start, end);
	while ((range = lz_ledger_find(&core->ledger, start)) != NULL && range->start < end) {
		struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = range->traits.tag};
		uintptr_t from = lz_max_u64(range->start, start), to = lz_min_u64(range->end, end);

		lz_ledger_set(&core->ledger, from, to, traits);
		start = to;
	}
	lz_core_publish(core);
	lz_core_leave(core);
}

int lz_windowed_leave(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;
	struct lz_mapping mapping;

	while (lz_windowed_next(core, start, end, &part)) {
		int error = mapping_in(core, part.start, part.piece_end, &mapping);

		if (error == 0)
			error = replace(core, &mapping);
		if (error)
			return error;
		note_left(core, mapping.start, mapping.end);
		start = mapping.end;
	}
	return 0;
}
