/*
 * The map of windows: the addresses that are backed by a zero window, and how they are divided into pieces. A
 * piece is one mapping of the window. It starts at an anchor plus a multiple of the size of a piece.
 *
 * The tag of a range contains the anchor, which is a multiple of the unit (the memory that one PTE table
 * maps); in its low bits, the size of a piece in units, 0 if it is unknown; and a bit that says whether the
 * program mapped /dev/zero.
 *
 * The map is part of the books: everything needs their lock, unless a comment says otherwise.
 */
#ifndef LZ_ACCOUNTING_WINDOW_MAP_H
#define LZ_ACCOUNTING_WINDOW_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/wipe_table.h"
#include "base/checked.h"
#include "pagetables/ledger.h"

/* The name of a window's memfd, and the start of its path in /proc/PID/maps. */
#define LZ_WINDOW_NAME "lazyzero-window"
#define LZ_WINDOW_PATH "/memfd:" LZ_WINDOW_NAME

struct lz_window_map {
	const struct lz_os *os;
	struct lz_ledger ranges;    /* ranges on windows; traits.tag as described above */
	uint64_t mappings;          /* of which these ranges consist */
	struct lz_wipe_table wipes; /* ranges on windows with MADV_WIPEONFORK */
	_Atomic bool ever_used;     /* an address is or was on a window, so that madvise and other calls must
				       search the map */
	_Atomic bool release_due; /* the windows may be unused since empty_since_ms, and could be released */
	uint64_t empty_since_ms;  /* time when the last range was removed */
};

void lz_window_map_init(
	struct lz_window_map *map, const struct lz_geometry *geometry, const struct lz_os *os);

/* Empties the map, for recovery from an inconsistent state. */
void lz_window_map_reset(struct lz_window_map *map);

/*
 * Returns the smallest size that a window can back, which is also the alignment of an anchor: the memory that
 * one PTE table maps, in bytes. No lock.
 */
static inline size_t lz_window_map_unit(const struct lz_window_map *map)
{
	return (size_t)1 << map->ranges.span_shift[0];
}

/*
 * Returns the tag of pieces of `bytes` bytes (0: unknown) that start at an anchor, a multiple of the unit. No
 * lock.
 */
static inline uintptr_t lz_window_map_tag(const struct lz_window_map *map, uintptr_t anchor, size_t bytes)
{
	return anchor | bytes / lz_window_map_unit(map);
}

/*
 * Returns the bit of a tag that says that the program mapped /dev/zero and not anonymous memory. A few calls
 * behave differently on it, because it is a file (vm_file in mm/madvise.c). The bit cannot collide with the
 * piece size in the lower bits. No lock.
 */
static inline uintptr_t lz_window_map_dev_zero_bit(const struct lz_window_map *map)
{
	return lz_window_map_unit(map) / 2;
}

/*
 * Returns the tag of /dev/zero memory whose pieces are unknown, or which is on no window any more. No lock.
 */
static inline uintptr_t lz_window_map_dev_zero_tag(const struct lz_window_map *map, uintptr_t start)
{
	return lz_window_map_tag(map, lz_round_down(start, lz_window_map_unit(map)), 0) |
	       lz_window_map_dev_zero_bit(map);
}

/* Add and remove ranges. MADV_WIPEONFORK is cleared for them. */
void lz_window_map_add(struct lz_window_map *map, uintptr_t start, uintptr_t end, uintptr_t tag);
void lz_window_map_remove(struct lz_window_map *map, uintptr_t start, uintptr_t end);

/* Records that no address is on a window any more, and the current time. */
void lz_window_map_note_unused(struct lz_window_map *map);

/* A part of a range that is on a window. */
struct lz_window_part {
	uintptr_t start, end;
	uintptr_t piece_end; /* end of its first piece, or `end` if that is unknown */
	bool dev_zero;       /* see lz_window_map_dev_zero_bit */
};

/* Finds the first part of [start, end) that is on a window. Returns false if there is none. */
bool lz_window_map_find(
	struct lz_window_map *map, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* Whether there may be a window, or memory on one. No lock. */
static inline bool lz_window_map_may_have_windows(const struct lz_window_map *map)
{
	return atomic_load_explicit(&map->ever_used, memory_order_relaxed) ||
	       atomic_load_explicit(&map->release_due, memory_order_relaxed);
}

/* Returns the tag at an address; 0 if it is not on a window. */
uintptr_t lz_window_map_tag_at(struct lz_window_map *map, uintptr_t address);

struct lz_mapping;

/* Whether a mapping of /proc/self/maps maps the file of a window. No lock. */
bool lz_mapping_is_window(const struct lz_mapping *mapping);

/* Returns the number of mappings of windows: maintained as ranges come and go, because there may be 20,000.
 */
static inline uint64_t lz_window_map_count_mappings(const struct lz_window_map *map)
{
	return map->mappings;
}

/* Adds the parts of a range that are not in the map yet. */
void lz_window_map_add_missing(
	struct lz_window_map *map, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

#endif
