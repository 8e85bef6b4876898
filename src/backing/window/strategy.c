/* The window backing: regions of the heap, cached regions, and the program's own mappings on a window. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "backing/placement.h"
#include "backing/strategies.h"
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/facts.h"
#include "os/via_next.h"
#include "os/scratch.h"
#include "os/vma.h"

/* One PROCMAP_QUERY for each piece of a window: 1 us. */
#define QUERIED_PIECES_MAX 8u

/* Largest cached region, in units. Cached mappings count against vm.max_map_count. */
#define CACHED_UNITS_MAX 4096u

/* Memory added by realloc has the attributes of malloc's. */
static const struct lz_window_attributes default_attributes = {.protection = PROT_READ | PROT_WRITE};

static int acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease)
{
	int error = lz_window_acquire(backings, total, length, lease);

	lease->backing = error == 0 ? &lz_window_backing : NULL;
	return error;
}

/* --- heap regions --- */

static size_t min_region(const struct lz_backings *backings)
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

	/* From the span of a whole PMD table on, aligned so that the fewest tables are needed. */
	aligned.alignment = lz_max_u64(placement->alignment, placement->length >= table ? table : unit);
	/*
	 * Map all of it as plain memory first, as would be done without a window: otherwise the overcommit
	 * rules would see each piece by itself.
	 */
	at = lz_placement_map(backings, &aligned);
	if (lz_os_failed(at))
		return (int)at;
	*entry = (struct lz_region_entry){
		.base = (uintptr_t)at, .length = placement->length, .header_bytes = lead};
	entry->attributes.backing = &lz_window_backing;
	entry->attributes.on_window = true;
	entry->attributes.accounted = placement->accounted;
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
	lz_window_unlock_if_source_is_unlocked(backings, end - 1, end, more);
	error = lz_window_extend(backings, lease, end, end + more,
		lz_books_window_tag_at(backings->books, end - 1), &default_attributes);
	if (error)
		backings->os->munmap((void *)end, more);
	return error;
}

/* Extends the region at its new place, where address space is reserved, and then moves it there. */
static int move(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
	const struct lz_region_entry *to, bool joined)
{
	uintptr_t tag = lz_books_window_tag_at(backings->books, base + length - 1);
	int error = lz_placement_make_header(backings, to);

	(void)joined;
	/* Both places have the same offset within their blocks. */
	if (tag != 0)
		tag += to->base - base;
	lz_window_unlock_if_source_is_unlocked(backings, base, to->base + length, to->length - length);
	if (error == 0)
		error = lz_window_extend(
			backings, lease, to->base + length, to->base + to->length, tag, &default_attributes);
	if (error == 0)
		error = lz_window_move_pieces(backings, base, length, to->base, 0, true);
	if (error == 0)
		backings->os->munmap((void *)(base - to->header_bytes), to->header_bytes);
	return error;
}

/* --- cached regions --- */

/*
 * A cached region on a window keeps many mappings from being used elsewhere. It also keeps the window, which
 * the kernel cannot reclaim: if no other region is on it, its size must be within the allowance.
 */
static bool may_cache(struct lz_backings *backings, size_t length, uint64_t allowance)
{
	struct lz_stats *stats = &backings->books->stats;

	return length / lz_window_map_unit(&backings->books->windows) <= CACHED_UNITS_MAX &&
	       (lz_stats_get(stats, window_regions) > 1 || lz_stats_get(stats, window_size) <= allowance);
}

/* Pieces are mappings of a file: a mapping made over one shows in its bounds and its name. */
static uintptr_t dontfork_start(struct lz_backings *backings, uintptr_t base)
{
	(void)backings;
	return base;
}

/*
 * Checks the pieces one after the other: all of them if calls were missed, otherwise only a few, because
 * there may be thousands. `name` is a scratch buffer. Returns 0 if they are intact, -ENOENT if not, or the
 * error of the query.
 */
static int query_pieces(
	struct lz_vma_queries *queries, uintptr_t at, uintptr_t end, unsigned most, char *name)
{
	uint64_t inode = 0;
	struct lz_vma vma;
	int error;

	do {
		/*
		 * The first piece is checked by name, because the inode alone may be another file's: a window
		 * may be gone before the regions on it.
		 */
		error = lz_vma_query_next(queries, at, &vma, name, inode == 0 ? LZ_SCRATCH_BYTES : 0);
		if (error != 0)
			return error;
		if (vma.start != at || !vma.readable || !vma.writable || vma.executable || vma.shared ||
			vma.inode == 0 || (inode != 0 && vma.inode != inode) ||
			strncmp(name, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) != 0)
			return -ENOENT;
		at = vma.end;
		inode = vma.inode;
	} while (at < end && --most != 0);
	return at <= end ? 0 : -ENOENT;
}

static int is_intact(struct lz_backings *backings, uintptr_t base, size_t length, bool thorough, bool *intact)
{
	char *name = lz_scratch_take(backings->os);
	struct lz_vma_queries queries = {.query = NULL};
	int error = name == NULL ? -ENOMEM : lz_vma_begin(&queries, backings->os);

	if (error == 0)
		error = query_pieces(
			&queries, base, base + length, thorough ? UINT_MAX : QUERIED_PIECES_MAX, name);
	lz_vma_end(&queries);
	lz_scratch_release(backings->os, name);
	*intact = error == 0;
	return error == -ENOENT ? 0 : error;
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

/* MADV_FREE fails on pieces, so the contents are dropped. */
static int make_reclaimable(struct lz_backings *backings, uintptr_t start, size_t length, bool *dropped)
{
	*dropped = true;
	return lz_madvise_via_next(backings->os, backings->next, start, length, MADV_DONTNEED);
}

/* --- the program's mappings --- */

static int cover_mapping(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	uintptr_t end, int protection, bool of_file, uintptr_t *tag)
{
	const struct lz_window_map *map_of_windows = &backings->books->windows;
	uintptr_t anchor = lz_round_down(start, lz_window_map_unit(map_of_windows));
	int error = lz_window_map_pieces(backings, lease, start, end, anchor);

	if (error == 0 && (protection & PROT_WRITE) == 0) {
		atomic_store_explicit(&backings->windows->attributes_changed, true, memory_order_relaxed);
		error = backings->os->mprotect((void *)start, end - start, protection);
	}
	*tag = lz_window_map_tag(map_of_windows, anchor, lease->bytes) |
	       (of_file ? lz_window_map_dev_zero_bit(map_of_windows) : 0);
	return error;
}

static void note_attributes_changed(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, bool protection_keys_used)
{
	struct lz_window_part part;

	if (protection_keys_used)
		atomic_store_explicit(&backings->windows->protection_keys_used, true, memory_order_relaxed);
	if (lz_window_next_part(backings, start, end, &part))
		atomic_store_explicit(&backings->windows->attributes_changed, true, memory_order_relaxed);
}

/* --- callbacks of the books --- */

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
	/* Without the mmap family, the library does not see what the program changes. */
	backings->windows->attributes_changed = !(backings->options->intercept & LZ_INTERCEPT_MMAP);
}

const struct lz_backing lz_window_backing = {
	.name = "window",
	.init = init,
	.acquire = acquire,
	.release = lz_window_release,
	.min_region = min_region,
	.map = map,
	.grow = grow,
	.move = move,
	.may_cache = may_cache,
	.dontfork_start = dontfork_start,
	.is_intact = is_intact,
	.is_intact_mapping = is_intact_mapping,
	.make_reclaimable = make_reclaimable,
	.residency_is_visible = false, /* all pages of a window are reported as resident */
	.next_part = lz_window_next_part,
	.cover_mapping = cover_mapping,
	.remap = lz_window_remap,
	.needs_advise = lz_window_needs_advise,
	.advise = lz_window_advise,
	.mark_resident = lz_window_mark_resident,
	.prepare_missing_faults = lz_window_prepare_missing_faults,
	.note_attributes_changed = note_attributes_changed,
	.release_unused = lz_windows_release_unused,
	.retire_all = lz_windows_retire_all,
	.range_overwritten = lz_windows_range_overwritten,
	.sample_resident = lz_window_sample_resident,
};
