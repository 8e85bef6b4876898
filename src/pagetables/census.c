/* Counts the pages of a range; see census.h. */
#include "pagetables/census.h"

#include <stddef.h>

#include "base/checked.h"
#include "os/pagemap.h"

/*
 * One scan of another process holds the lock of its address space for at most this much: 0.3 ms if all of it
 * is present in 4 KiB pages.
 */
#define FOREIGN_SCAN_BYTES (UINT64_C(64) << 20)

void lz_census_init(
	struct lz_census *census, const struct lz_geometry *geometry, uint64_t start, uint64_t end)
{
	*census = (struct lz_census){.geometry = geometry, .start = start, .end = end};
}

void lz_census_histogram_init(struct lz_census_histogram *map, uint64_t bytes, uint64_t page)
{
	uint64_t cell = bytes / LZ_CENSUS_CELLS + (bytes % LZ_CENSUS_CELLS != 0);

	*map = (struct lz_census_histogram){.cell_bytes = lz_round_down(cell + page - 1, page)};
}

static void add_to_histogram(struct lz_census *census, uint64_t start, uint64_t end, bool written)
{
	struct lz_census_histogram *map = census->map;
	unsigned shift = census->geometry->page_shift;

	if (map == NULL)
		return;
	for (start -= census->start, end -= census->start; start < end;) {
		uint64_t cell = start / map->cell_bytes;
		uint64_t stop = lz_min_u64((cell + 1) * map->cell_bytes, end);

		if (cell < LZ_CENSUS_CELLS)
			*(written ? &map->written[cell] : &map->zero[cell]) +=
				(uint32_t)((stop - start) >> shift);
		start = stop;
	}
}

/* Returns how many bytes of the range lie in the spans number `first` to `last`. */
static uint64_t covered_bytes(const struct lz_census *census, unsigned shift, uint64_t first, uint64_t last)
{
	uint64_t from = lz_max_u64(first << shift, census->start);
	uint64_t to = lz_min_u64(((last + 1) << shift) - 1, census->end - 1) + 1;

	return lz_sub_clamped(to, from);
}

static void add_tables(struct lz_census *census, uint64_t start, uint64_t end, unsigned page_shift)
{
	const struct lz_geometry *geometry = census->geometry;
	struct lz_tables tables = lz_tables_of(geometry, start, end, page_shift);

	for (unsigned level = 0; level < geometry->levels; level++) {
		unsigned shift = lz_table_span_shift(geometry, level);
		bool shared = tables.count[level] != 0 && census->last_end != 0 &&
			      (shift >= 64 || (census->last_end - 1) >> shift == start >> shift);

		census->tables.count[level] += tables.count[level] - shared;
		if (tables.count[level] > shared && shift < 63)
			census->covered[level] +=
				covered_bytes(census, shift, (start >> shift) + shared, (end - 1) >> shift);
	}
	census->last_end = end;
}

static void add_written(struct lz_census *census, uint64_t start, uint64_t end, bool present)
{
	unsigned shift = lz_table_span_shift(census->geometry, 0);
	uint64_t first = start >> shift, last = (end - 1) >> shift;
	bool seen = first + 1 == census->last_block;

	census->written += end - start;
	if (first + seen <= last)
		census->written_covered += covered_bytes(census, shift, first + seen, last);
	census->last_block = last + 1;
	add_to_histogram(census, start, end, true);
	/* What is swapped out stays there. */
	if (census->sample != NULL && present)
		lz_zero_sample_offer(census->sample, start, end);
}

static void add_zero(struct lz_census *census, uint64_t start, uint64_t end)
{
	census->zero_mapped += end - start;
	add_to_histogram(census, start, end, false);
}

/*
 * Some kernels from 6.7 on do not report their huge zero page as such. It is no anonymous page, as a written
 * one is; where that is not known, or the page is not, the contents decide.
 */
static void add_huge(struct lz_census *census, uint64_t start, uint64_t end)
{
	uint64_t block = UINT64_C(1) << lz_table_span_shift(census->geometry, 0);

	while (start < end) {
		uint64_t stop = lz_min_u64(lz_round_down(start, block) + block, end);

		if ((census->of_other_process || lz_pagemap_is_anonymous(census->os, start) != 1) &&
			lz_memory_is_zero(census->os, start, stop) == 1)
			add_zero(census, start, stop);
		else
			add_written(census, start, stop, true);
		start = stop;
	}
}

static void count_run(void *context, const struct lz_page_run *run)
{
	struct lz_census *census = context;

	add_tables(census, run->start, run->end,
		run->huge && run->file ? lz_table_span_shift(census->geometry, 0)
				       : census->geometry->page_shift);
	if (run->zero) {
		add_zero(census, run->start, run->end);
	} else if (run->file) {
		census->window += run->end - run->start;
		add_to_histogram(census, run->start, run->end, false);
	} else if (run->huge) {
		add_huge(census, run->start, run->end);
	} else {
		add_written(census, run->start, run->end, !run->not_present);
	}
}

static uint64_t table_share_of_level(const struct lz_geometry *geometry, unsigned level, uint64_t bytes)
{
	unsigned shift = lz_table_span_shift(geometry, level);

	if (!geometry->level[level].counted || shift >= 64)
		return 0;
	return (uint64_t)((unsigned __int128)bytes * lz_table_bytes(geometry, level) >> shift);
}

uint64_t lz_census_proportional_table_bytes(
	const struct lz_geometry *geometry, uint64_t bytes, unsigned lowest)
{
	uint64_t share = 0;

	for (unsigned level = lowest; level < geometry->levels; level++)
		share += table_share_of_level(geometry, level, bytes);
	return share;
}

static void sum_tables(struct lz_census *census)
{
	census->table_bytes = lz_tables_vmpte_bytes(census->geometry, &census->tables);
	census->table_share = 0;
	for (unsigned level = 0; level < census->geometry->levels; level++)
		census->table_share += table_share_of_level(census->geometry, level, census->covered[level]);
	census->window_share =
		lz_census_proportional_table_bytes(census->geometry, census->end - census->start, 1) +
		table_share_of_level(census->geometry, 0, census->written_covered);
}

int lz_census_walk(struct lz_census *census, const struct lz_os *os)
{
	int error;

	census->os = os;
	error = lz_pagemap_walk(os, census->start, census->end, count_run, census);
	sum_tables(census);
	return error;
}

int lz_census_walk_of(struct lz_census *census, const struct lz_os *os, int fd)
{
	int error = 0;

	census->os = os;
	census->of_other_process = true;
	for (uint64_t at = census->start, to; error == 0 && at < census->end; at = to) {
		to = lz_min_u64(census->end, at + FOREIGN_SCAN_BYTES);
		error = lz_pagemap_walk_of(os, fd, at, to, count_run, census);
	}
	sum_tables(census);
	return error;
}

int lz_census_of_range(struct lz_census *census, const struct lz_os *os, const struct lz_geometry *geometry,
	uint64_t start, uint64_t end)
{
	lz_census_init(census, geometry, start, end);
	return lz_census_walk(census, os);
}
