/* What became of the pages of one region; see report_internal.h. */
#include <string.h>

#include "base/checked.h"
#include "os/scratch.h"
#include "sites/report_internal.h"

/* The share of a cell, rounded up: a page that was written shows. */
static uint8_t digit(uint64_t part, uint64_t whole)
{
	return (uint8_t)lz_min_u64((part * 9 + whole - 1) / whole, 9);
}

static void draw(struct lz_cells *cells, const struct lz_census_map *map, uint64_t bytes, uint64_t page)
{
	for (uint64_t at = 0; at < bytes && cells->count < LZ_CENSUS_CELLS; at += map->cell_bytes) {
		uint64_t whole = lz_min_u64(map->cell_bytes, bytes - at);
		unsigned i = cells->count++;

		cells->written[i] = digit(map->written[i] * page, whole);
		cells->zero[i] = digit(map->zero[i] * page, whole);
	}
}

struct lz_look *lz_report_look(struct lz_reporter *reporter, uintptr_t start, uintptr_t end, bool on_window)
{
	struct lz_look *look = lz_scratch_take(reporter->os);
	struct lz_census *census;

	_Static_assert(sizeof *look <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	if (look == NULL)
		return NULL;
	census = &look->census;
	look->fate = (struct lz_fate){.regions = 1, .bytes = end - start, .on_window = on_window};
	memset(&look->cells, 0, sizeof look->cells);
	look->fate.full_tables = lz_census_table_share(reporter->books->geometry, end - start, 0);
	lz_census_init(census, reporter->books->geometry, start, end);
	lz_census_map_init(&look->map, end - start, reporter->books->page);
	census->map = &look->map;
	if (lz_census_walk(census, reporter->os) != 0) {
		look->fate.unseen = look->fate.bytes;
		return look;
	}
	look->fate.written = census->written;
	look->fate.zero = census->zero_mapped + census->window;
	look->fate.tables = census->table_share;
	look->fate.window_tables = census->window_share;
	draw(&look->cells, &look->map, end - start, reporter->books->page);
	return look;
}
