/*
 * The state of the pages of a range: written, only read, or never touched; and the page tables that they
 * need.
 *
 * Uses PAGEMAP_SCAN (Linux 6.7). Allocates nothing, takes no lock. Thread-safe and async-signal-safe; a
 * struct lz_census must not be shared between threads.
 */
#ifndef LZ_PAGETABLES_CENSUS_H
#define LZ_PAGETABLES_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagetables/geometry.h"
#include "pagetables/zero_sample.h"
#include "os/os.h"

#define LZ_CENSUS_CELLS 96u

/*
 * A histogram of a range: the number of written pages and of pages mapped to zeros in each of its equal
 * parts.
 */
struct lz_census_histogram {
	uint64_t cell_bytes;
	uint32_t written[LZ_CENSUS_CELLS], zero[LZ_CENSUS_CELLS]; /* pages */
};

struct lz_census {
	/* Private: */
	const struct lz_os *os;
	bool of_other_process;
	const struct lz_geometry *geometry;
	uint64_t start, end, last_end, last_block; /* last_block: the last block with written pages, plus 1 */
	struct lz_tables tables;
	uint64_t covered[LZ_LEVELS_MAX], written_covered; /* bytes of the range that the counted tables map */
	/* Both NULL, or set by the caller after lz_census_init: */
	struct lz_census_histogram *map;
	struct lz_zero_sample *sample; /* is offered the written pages that are present */
	/* Results, in bytes: */
	uint64_t written, zero_mapped, window; /* window: mapped from a zero window */
	uint64_t table_bytes;                  /* all page tables that the populated pages need */
	/*
	 * table_share counts each table in proportion to the part of its span that the range covers, so a
	 * table shared with neighbours is not counted for each of them. window_share is the same on a zero
	 * window, which needs tables of the lowest level only for written pages.
	 */
	uint64_t table_share, window_share;
};

void lz_census_init(
	struct lz_census *census, const struct lz_geometry *geometry, uint64_t start, uint64_t end);

/*
 * Walks the range. Returns 0 or -errno: -ENOTTY before Linux 6.7. After an error the results are undefined.
 */
int lz_census_walk(struct lz_census *census, const struct lz_os *os);

/*
 * The same for another process, whose pagemap is open at fd; os->read_memory reads the memory of that
 * process.
 */
int lz_census_walk_of(struct lz_census *census, const struct lz_os *os, int fd);

/*
 * Returns the bytes of tables, from level `lowest` up, that `bytes` of fully populated memory need in
 * proportion.
 */
uint64_t lz_census_proportional_table_bytes(
	const struct lz_geometry *geometry, uint64_t bytes, unsigned lowest);

/* Initialises and walks, for callers that need only the sums. [start, end) must be page-aligned. */
int lz_census_of_range(struct lz_census *census, const struct lz_os *os, const struct lz_geometry *geometry,
	uint64_t start, uint64_t end);

/* Initialises the histogram of a range of `bytes` bytes. `page` is the page size in bytes. */
void lz_census_histogram_init(struct lz_census_histogram *map, uint64_t bytes, uint64_t page);

#endif
