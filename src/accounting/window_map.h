/*
 * The map of windows: which addresses stand on a zero window, and how they are divided into pieces. A piece
 * is one mapping of the window; it begins at an anchor plus a multiple of the bytes that each piece shows.
 *
 * A tag says both of a range: the anchor, a multiple of the unit (the bytes that one PTE table maps), and in
 * its low bits the bytes of a piece in units, 0 where that is not known any more; and whether the program
 * mapped /dev/zero.
 *
 * Part of the books: everything needs their lock, except where it is said.
 */
#ifndef LZ_ACCOUNTING_WINDOW_MAP_H
#define LZ_ACCOUNTING_WINDOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/wipe_table.h"
#include "base/checked.h"
#include "pagetables/ledger.h"

/* The name of a window's memfd, and how it begins in /proc/PID/maps. */
#define LZ_WINDOW_NAME "lazyzero-window"
#define LZ_WINDOW_PATH "/memfd:" LZ_WINDOW_NAME

struct lz_window_map {
	const struct lz_os *os;
	struct lz_ledger ranges;    /* ranges on windows; traits.tag as above */
	struct lz_wipe_table wipes; /* MADV_WIPEONFORK */
	_Atomic bool
		ever_used;     /* some address stands or stood on a window: madvise and others have to look */
	_Atomic bool is_empty; /* nothing stands on a window any more, since */
	uint64_t empty_since_ms; /* this time */
};

void lz_window_map_init(
	struct lz_window_map *map, const struct lz_geometry *geometry, const struct lz_os *os);

/* Starts over with an empty map: for recovery from a change that was left half done. */
void lz_window_map_abandon(struct lz_window_map *map);

/* The smallest region that a window can serve, and the alignment of its anchor: what one PTE table maps. No
 * lock. */
static inline size_t lz_window_map_unit(const struct lz_window_map *map)
{
	return (size_t)1 << map->ranges.span_shift[0];
}

/* The tag of pieces of `bytes` (0: unknown) that begin at an anchor, a multiple of the unit. */
static inline uintptr_t lz_window_map_tag(const struct lz_window_map *map, uintptr_t anchor, size_t bytes)
{
	return anchor | bytes / lz_window_map_unit(map);
}

/*
 * In a tag as well: the program mapped /dev/zero, not anonymous memory. To it that is a file, which a few
 * calls tell (vm_file in mm/madvise.c). Far above the units of any window.
 */
static inline uintptr_t lz_window_map_dev_zero_bit(const struct lz_window_map *map)
{
	return lz_window_map_unit(map) / 2;
}

/* The tag of such memory of which nothing else is known, or which is on no window any more. */
static inline uintptr_t lz_window_map_dev_zero_tag(const struct lz_window_map *map, uintptr_t start)
{
	return lz_window_map_tag(map, lz_round_down(start, lz_window_map_unit(map)), 0) |
	       lz_window_map_dev_zero_bit(map);
}

/* Adds and removes ranges; none of them is wiped on fork then. */
void lz_window_map_add(struct lz_window_map *map, uintptr_t start, uintptr_t end, uintptr_t tag);
void lz_window_map_remove(struct lz_window_map *map, uintptr_t start, uintptr_t end);

/* Starts the time since which nothing stands on a window. */
void lz_window_map_set_empty(struct lz_window_map *map);

/* A part of a range that stands on a window. */
struct lz_window_part {
	uintptr_t start, end;
	uintptr_t piece_end; /* where its first piece ends, or its end where that is not known */
	bool dev_zero;       /* see lz_window_map_dev_zero_bit */
};

/* The first part of [start, end) that stands on a window; false: none does. */
bool lz_window_map_find(
	struct lz_window_map *map, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* The tag at an address, 0 where nothing stands on a window. */
uintptr_t lz_window_map_tag_at(struct lz_window_map *map, uintptr_t address);

/* Whether a mapping in /proc/self/maps is of a window's file. No lock. */
struct lz_mapping;
bool lz_mapping_is_window(const struct lz_mapping *mapping);

/* Mappings that all that stands on windows consists of. */
uint64_t lz_window_map_count_mappings(struct lz_window_map *map);

#endif
