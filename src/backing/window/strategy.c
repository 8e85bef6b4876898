/* The window as a backing: regions of the heap, regions kept for reuse, and mappings of the program on a
 * window. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "backing/placement.h"
#include "backing/strategies.h"
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/announced.h"
#include "os/facts.h"
#include "os/pagemap.h"
#include "os/vma.h"

/* Walking over 100 GiB of window takes a millisecond. */
#define SAMPLE_MS 100u

/* One PROCMAP_QUERY for each piece of a window: 1 to 3 us. */
#define PIECES_QUERIED 8u

/* Pieces of a region that is kept, at most, in units: mappings that are kept are lacking elsewhere. */
#define UNITS_KEPT 4096u

/* Memory that realloc adds is as malloc gives it. */
static const struct lz_window_manner usual = {.protection = PROT_READ | PROT_WRITE};

static int acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease)
{
	int error = lz_window_acquire(backings, total, length, lease);

	lease->backing = error == 0 ? &lz_window_backing : NULL;
	return error;
}

/* --- regions of the heap --- */

static size_t least_region(const struct lz_backings *backings)
{
	return lz_window_map_unit(&backings->books->windows);
}

static int map(struct lz_backings *backings, const struct lz_lease *lease,
	const struct lz_placement *placement, struct lz_region_entry *entry)
{
	size_t unit = lz_window_map_unit(&backings->books->windows), lead = backings->header.bytes;
	size_t table = (size_t)1 << backings->books->ledger.span_shift[1];
	struct lz_placement aligned = *placement;
	intptr_t at;
	int error;

	/* From a whole PMD table on, where it needs the fewest of them. */
	aligned.alignment = lz_max_u64(placement->alignment, placement->length >= table ? table : unit);
	/* The whole first, as the kernel would be asked without a window: its overcommit rules would pass the
	 * pieces one by one. */
	at = lz_placement_map(backings, &aligned);
	if (lz_os_failed(at))
		return (int)at;
	*entry = (struct lz_region_entry){.base = (uintptr_t)at, .length = placement->length, .lead = lead};
	entry->how.backing = &lz_window_backing;
	entry->how.on_window = true;
	entry->how.accounted = placement->accounted;
	entry->window_tag = lz_window_map_tag(&backings->books->windows, entry->base, lease->bytes);
	error = lz_window_map_pieces(backings, lease, entry->base, entry->base + entry->length, entry->base);
	if (error)
		backings->os->munmap((void *)(entry->base - lead), entry->length + lead);
	return error;
}

static int grow(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
	size_t new_length, bool *joined)
{
	uintptr_t end = base + length;
	size_t more = new_length - length;
	intptr_t at = lz_fact_mmap_at(backings->os, (void *)end, more, PROT_NONE, MAP_NORESERVE);
	int error;

	*joined = false;
	if (lz_os_failed(at))
		return (int)at;
	error = lz_window_extend(
		backings, lease, end, end + more, lz_books_window_tag_at(backings->books, end - 1), &usual);
	if (error)
		backings->os->munmap((void *)end, more);
	return error;
}

/* Grows at its new place, where address space is reserved, and then moves there. */
static int move(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
	const struct lz_region_entry *to, bool joined)
{
	uintptr_t tag = lz_books_window_tag_at(backings->books, base + length - 1);
	int error = lz_placement_make_header(backings, to);

	(void)joined;
	/* Both lie alike in their blocks. */
	if (tag != 0)
		tag += to->base - base;
	if (error == 0)
		error = lz_window_extend(
			backings, lease, to->base + length, to->base + to->length, tag, &usual);
	if (error == 0)
		error = lz_window_move_pieces(backings, base, length, to->base, 0, true);
	if (error == 0)
		backings->os->munmap((void *)(base - to->lead), to->lead);
	return error;
}

/* --- regions that are kept --- */

/*
 * A region on a window holds many mappings; too many kept would be lacking elsewhere. And it holds the
 * window, whose memory the kernel cannot take: without other regions on it that is more than may be kept.
 */
static bool may_keep(struct lz_backings *backings, size_t length, uint64_t allowance)
{
	struct lz_stats *stats = &backings->books->stats;

	return length / lz_window_map_unit(&backings->books->windows) <= UNITS_KEPT &&
	       (lz_stats_get(stats, window_regions) > 1 || lz_stats_get(stats, window_size) <= allowance);
}

/* Pieces are mappings of a file: a mapping made over one is told by its bounds and its name. */
static uintptr_t keep_mark_start(struct lz_backings *backings, uintptr_t base)
{
	(void)backings;
	return base;
}

/* Follows the pieces from one to the next: all where calls were missed, else some, for there may be
 * thousands. */
static int is_intact(struct lz_backings *backings, uintptr_t base, size_t length, bool thorough, bool *intact)
{
	uintptr_t at = base, end = base + length;
	unsigned most = thorough ? UINT_MAX : PIECES_QUERIED;
	char name[sizeof LZ_WINDOW_PATH " (deleted)"] = "";
	uint64_t inode = 0;
	struct lz_vma vma;
	int error;

	*intact = false;
	do {
		/* The first one by its name, for it may be another file's: a window is not known for as long
		 * as what stands on it. */
		error = lz_vma_query_named(backings->os, at, &vma, name, inode == 0 ? sizeof name : 0);
		if (error != 0)
			return error == -ENOENT || error == -ENAMETOOLONG ? 0 : error;
		if (vma.start != at || !vma.readable || !vma.writable || vma.executable || vma.shared ||
			vma.inode == 0 || (inode != 0 && vma.inode != inode) ||
			strncmp(name, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) != 0)
			return 0;
		at = vma.end;
		inode = vma.inode;
	} while (at < end && --most != 0);
	*intact = at <= end;
	return 0;
}

static bool is_intact_mapping(
	struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t *at, uintptr_t end)
{
	bool intact = mapping->start == *at && mapping->end <= end && lz_mapping_is_window(mapping);

	(void)backings;
	if (intact)
		*at = mapping->end;
	return intact;
}

/* Pieces do not take MADV_FREE: the contents are dropped. */
static int make_reclaimable(struct lz_backings *backings, uintptr_t start, size_t length, bool *dropped)
{
	*dropped = true;
	return lz_announced_madvise(backings->os, backings->next, start, length, MADV_DONTNEED);
}

/* --- the program's mappings --- */

static int cover_mapping(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	uintptr_t end, int protection, bool of_file, uintptr_t *tag)
{
	const struct lz_window_map *map_of_windows = &backings->books->windows;
	uintptr_t anchor = lz_round_down(start, lz_window_map_unit(map_of_windows));
	int error = lz_window_map_pieces(backings, lease, start, end, anchor);

	if (error == 0 && (protection & PROT_WRITE) == 0) {
		atomic_store_explicit(&backings->windows->altered, true, memory_order_relaxed);
		error = backings->os->mprotect((void *)start, end - start, protection);
	}
	*tag = lz_window_map_tag(map_of_windows, anchor, lease->bytes) |
	       (of_file ? lz_window_map_of_file(map_of_windows) : 0);
	return error;
}

static void note_altered(struct lz_backings *backings, uintptr_t start, uintptr_t end, bool keyed)
{
	struct lz_window_part part;

	if (keyed)
		atomic_store_explicit(&backings->windows->keyed, true, memory_order_relaxed);
	if (lz_window_next_part(backings, start, end, &part))
		atomic_store_explicit(&backings->windows->altered, true, memory_order_relaxed);
}

/* --- how much of it is resident --- */

static void add_file_pages(void *context, const struct lz_page_run *run)
{
	if (run->file)
		*(uint64_t *)context += run->end - run->start;
}

static uint64_t resident_bytes(struct lz_backings *backings)
{
	uintptr_t start = 0;
	struct lz_window_part part;
	uint64_t bytes = 0;

	for (; lz_window_next_part(backings, start, UINTPTR_MAX, &part); start = part.end)
		if (lz_pagemap_walk(backings->os, part.start, part.end, add_file_pages, &bytes) != 0)
			break;
	return bytes;
}

static void sample_resident(struct lz_backings *backings, bool now)
{
	uint64_t bytes, now_ms = backings->os->now_ms();
	_Atomic uint64_t *sampled_ms = &backings->windows->sampled_ms;

	if (!now && now_ms - atomic_load_explicit(sampled_ms, memory_order_relaxed) < SAMPLE_MS)
		return;
	atomic_store_explicit(sampled_ms, now_ms, memory_order_relaxed);
	bytes = resident_bytes(backings);
	if (bytes > lz_stats_get(&backings->books->stats, window_resident_peak))
		lz_stats_set(&backings->books->stats, window_resident_peak, bytes);
}

/* --- observing the books --- */

static void wipe_in_child(void *context)
{
	lz_window_wipe_after_fork(context);
}

static uintptr_t tag_of_mapping(void *context, const struct lz_mapping *mapping)
{
	struct lz_backings *backings = context;
	const struct lz_window_map *map_of_windows = &backings->books->windows;

	if (!lz_window_is_piece(backings, mapping))
		return 0;
	return lz_window_map_tag(map_of_windows,
		lz_round_down(mapping->start - mapping->offset, lz_window_map_unit(map_of_windows)), 0);
}

static void init(struct lz_backings *backings)
{
	const struct lz_books_observer observer = {
		.context = backings, .after_fork = wipe_in_child, .window_tag = tag_of_mapping};

	lz_books_register(backings->books, &observer);
	/* Without the mmap family, nobody says what the program maps and changes. */
	backings->windows->altered = !(backings->options->intercept & LZ_INTERCEPT_MMAP);
}

const struct lz_backing lz_window_backing = {
	.name = "window",
	.init = init,
	.acquire = acquire,
	.release = lz_window_release,
	.least_region = least_region,
	.map = map,
	.grow = grow,
	.move = move,
	.may_keep = may_keep,
	.keep_mark_start = keep_mark_start,
	.is_intact = is_intact,
	.is_intact_mapping = is_intact_mapping,
	.make_reclaimable = make_reclaimable,
	.residency_is_visible = false, /* of a window all pages seem to be there */
	.next_part = lz_window_next_part,
	.cover_mapping = cover_mapping,
	.remap = lz_window_remap,
	.has_own_answer = lz_window_has_own_answer,
	.advise = lz_window_advise,
	.mark_resident = lz_window_mark_resident,
	.prepare_missing_faults = lz_window_prepare_missing_faults,
	.note_altered = note_altered,
	.release_unused = lz_windows_release_unused,
	.retire_all = lz_windows_retire_all,
	.range_overwritten = lz_windows_range_overwritten,
	.sample_resident = sample_resident,
};
