/*
 * What became of the pages of a region: written, only read, or never touched; and what page tables they need.
 *
 * Asks PAGEMAP_SCAN (Linux 6.7). Allocates nothing, takes no lock, safe in signal handlers.
 */
#ifndef LZ_PAGETABLES_CENSUS_H
#define LZ_PAGETABLES_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagetables/geometry.h"
#include "os/os.h"

#define LZ_CENSUS_CELLS 96u

/* A coarse picture of a range: for each of its equal parts, how much of it was written and read. */
struct lz_census_map {
	uint64_t cell_bytes;
	uint32_t written[LZ_CENSUS_CELLS], zero[LZ_CENSUS_CELLS]; /* pages */
};

struct lz_census {
	/* Private, while it is taken: */
	const struct lz_os *os;
	const struct lz_geometry *geometry;
	uint64_t start, end, last_end, last_block; /* last_block: of those that were written to, plus 1 */
	struct lz_tables tables;
	uint64_t covered[LZ_LEVELS_MAX], written_covered; /* bytes of the range below its tables */
	struct lz_census_map *map; /* for the caller to set after lz_census_init, or not */
	/* Results, bytes: */
	uint64_t written, zero_mapped, window; /* window: of a zero window, mapped */
	uint64_t table_bytes;                  /* all page tables that these need */
	/*
	 * Of each table as much as the range covers of what it maps: what neighbours share is not counted for
	 * all of them. And what it would be on a window, which needs the lowest tables for what is written.
	 */
	uint64_t table_share, window_share;
};

void lz_census_init(
	struct lz_census *census, const struct lz_geometry *geometry, uint64_t start, uint64_t end);

/* Walks over the range. 0, or -errno: -ENOTTY before Linux 6.7; then the results mean nothing. */
int lz_census_walk(struct lz_census *census, const struct lz_os *os);

/* The share of so many bytes that are touched everywhere, in tables from a level on. */
uint64_t lz_census_table_share(const struct lz_geometry *geometry, uint64_t bytes, unsigned lowest);

/* Both, of [start, end), for the sums alone. */
int lz_census_of_range(struct lz_census *census, const struct lz_os *os, const struct lz_geometry *geometry,
	uint64_t start, uint64_t end);

/* Begins the picture of a range of that many bytes. */
void lz_census_map_init(struct lz_census_map *map, uint64_t bytes, uint64_t page);

#endif
