/* The map of windows; see window_map.h. */
#include "accounting/window_map.h"

#include <stdatomic.h>
#include <string.h>

#include "os/procfs.h"

/* The contents of a tag. */
struct pieces {
	uintptr_t anchor;
	size_t bytes; /* 0: unknown */
};

static struct pieces pieces_of(const struct lz_window_map *map, uintptr_t tag)
{
	size_t unit = lz_window_map_unit(map);
	size_t units = tag & (lz_window_map_dev_zero_bit(map) - 1);

	return (struct pieces){lz_round_down(tag, unit), units * unit};
}

void lz_window_map_init(struct lz_window_map *map, const struct lz_geometry *geometry, const struct lz_os *os)
{
	map->os = os;
	lz_ledger_init(&map->ranges, geometry, os);
}

void lz_window_map_reset(struct lz_window_map *map)
{
	lz_ledger_reset(&map->ranges);
	map->mappings = 0;
}

/* Mappings of one range. */
static uint64_t count_pieces(const struct lz_window_map *map, const struct lz_range *range)
{
	struct pieces pieces = pieces_of(map, range->traits.tag);

	return pieces.bytes == 0 ? 1
				 : (range->end - 1 - pieces.anchor) / pieces.bytes -
					   (range->start - pieces.anchor) / pieces.bytes + 1;
}

/* Mappings of the ranges that overlap or touch [start, end): those that a change there can alter. */
static uint64_t count_mappings_around(struct lz_window_map *map, uintptr_t start, uintptr_t end)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&map->ranges, start != 0 ? start - 1 : 0);
	uint64_t count = 0;

	for (; range != NULL && range->start <= end; range = lz_ledger_next(range))
		count += count_pieces(map, range);
	return count;
}

void lz_window_map_add_missing(
	struct lz_window_map *map, uintptr_t start, uintptr_t end, struct lz_range_traits traits)
{
	uint64_t before = count_mappings_around(map, start, end);

	lz_ledger_add_missing(&map->ranges, start, end, traits);
	map->mappings += count_mappings_around(map, start, end) - before;
}

void lz_window_map_add(struct lz_window_map *map, uintptr_t start, uintptr_t end, uintptr_t tag)
{
	struct lz_range_traits traits = {.page_shift = map->ranges.geometry->page_shift, .tag = tag};
	uint64_t before;

	atomic_store_explicit(&map->ever_used, true, memory_order_relaxed);
	atomic_store_explicit(&map->release_due, false, memory_order_relaxed);
	lz_wipe_table_remove(&map->wipes, start, end);
	before = count_mappings_around(map, start, end);
	lz_ledger_set(&map->ranges, start, end, traits);
	map->mappings += count_mappings_around(map, start, end) - before;
}

void lz_window_map_note_unused(struct lz_window_map *map)
{
	map->empty_since_ms = map->os->now_ms();
	atomic_store_explicit(&map->release_due, true, memory_order_relaxed);
}

void lz_window_map_remove(struct lz_window_map *map, uintptr_t start, uintptr_t end)
{
	uint64_t before;

	if (!atomic_load_explicit(&map->ever_used, memory_order_relaxed))
		return;
	lz_wipe_table_remove(&map->wipes, start, end);
	before = count_mappings_around(map, start, end);
	lz_ledger_remove(&map->ranges, start, end);
	map->mappings += count_mappings_around(map, start, end) - before;
	if (!atomic_load_explicit(&map->release_due, memory_order_relaxed) &&
		lz_ledger_find_at_or_above(&map->ranges, 0) == NULL)
		lz_window_map_note_unused(map);
}

bool lz_window_map_find(
	struct lz_window_map *map, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&map->ranges, start);
	struct pieces pieces;

	if (start >= end || range == NULL || range->start >= end)
		return false;
	pieces = pieces_of(map, range->traits.tag);
	part->start = lz_max_u64(start, range->start);
	part->end = part->piece_end = lz_min_u64(end, range->end);
	part->dev_zero = (range->traits.tag & lz_window_map_dev_zero_bit(map)) != 0;
	if (pieces.bytes != 0)
		part->piece_end = lz_min_u64(
			part->end, part->start + pieces.bytes - (part->start - pieces.anchor) % pieces.bytes);
	return true;
}

uintptr_t lz_window_map_tag_at(struct lz_window_map *map, uintptr_t address)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&map->ranges, address);

	return range != NULL && range->start <= address ? range->traits.tag : 0;
}

bool lz_mapping_is_window(const struct lz_mapping *mapping)
{
	return !mapping->shared && strncmp(mapping->path, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) == 0;
}
