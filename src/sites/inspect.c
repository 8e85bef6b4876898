/* Inspects the pages of one region; see inspect.h. */
#include <string.h>

#include "base/checked.h"
#include "os/scratch.h"
#include "sites/inspect.h"

/* The share of a cell as a digit from 0 to 9, rounded up so that a single written page shows. */
static uint8_t digit(uint64_t part, uint64_t whole)
{
	return (uint8_t)lz_min_u64((part * 9 + whole - 1) / whole, 9);
}

static void fill_cells(
	struct lz_cell_map *cells, const struct lz_census_histogram *map, uint64_t bytes, uint64_t page)
{
	for (uint64_t at = 0; at < bytes && cells->count < LZ_CENSUS_CELLS; at += map->cell_bytes) {
		uint64_t whole = lz_min_u64(map->cell_bytes, bytes - at);
		unsigned i = cells->count++;

		cells->written[i] = digit(map->written[i] * page, whole);
		cells->zero[i] = digit(map->zero[i] * page, whole);
	}
}

struct lz_inspection *lz_inspect_region(const struct lz_inspected_process *process, uintptr_t start,
	uintptr_t end, enum lz_region_kind kind, unsigned pages, uint64_t seed)
{
	const struct lz_geometry *geometry = process->geometry;
	struct lz_inspection *inspection = lz_scratch_take(process->os);
	struct lz_census *census;
	int error;

	_Static_assert(sizeof *inspection <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	if (inspection == NULL)
		return NULL;
	census = &inspection->census;
	inspection->usage = (struct lz_site_usage){
		.regions = 1, .bytes = end - start, .on_window = (kind & LZ_REGION_ON_WINDOW) != 0};
	memset(&inspection->cells, 0, sizeof inspection->cells);
	inspection->usage.full_tables = lz_census_proportional_table_bytes(geometry, end - start, 0);
	lz_census_init(census, geometry, start, end);
	lz_census_histogram_init(&inspection->map, end - start, UINT64_C(1) << geometry->page_shift);
	census->map = &inspection->map;
	lz_zero_sample_init(&inspection->sample, start, geometry->page_shift, pages, seed);
	census->sample = &inspection->sample;
	error = process->pagemap < 0 ? lz_census_walk(census, process->os)
				     : lz_census_walk_of(census, process->os, process->pagemap);
	if (error) {
		inspection->usage.unknown_bytes = inspection->usage.bytes;
		return inspection;
	}
	inspection->usage.written = census->written;
	inspection->usage.zero = census->zero_mapped + census->window;
	if (kind & LZ_REGION_SHARED) {
		inspection->usage.written += inspection->usage.zero;
		inspection->usage.zero = 0;
	}
	inspection->usage.written_zero =
		lz_zero_sample_estimate(&inspection->sample, process->os, &inspection->usage.sampled);
	inspection->usage.tables = census->table_share;
	inspection->usage.window_tables = census->window_share;
	fill_cells(&inspection->cells, &inspection->map, end - start, UINT64_C(1) << geometry->page_shift);
	return inspection;
}
