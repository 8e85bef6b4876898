/*
 * The range of memory whose page tables `lazyzero cost` counts, and the page sizes a geometry offers for it.
 */
#ifndef LZ_CLI_COST_RANGE_H
#define LZ_CLI_COST_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/common/display.h"
#include "pagetables/geometry.h"

#define LZ_PAGE_SIZES_MAX 3u

struct lz_cost_range {
	const struct lz_geometry *geometry;
	unsigned page_shift; /* of the pages that map the memory */
	bool is_placed;      /* the user gave an address */
	uint64_t processes;  /* that map it; 0: not asked for */
	uint64_t start, end; /* multiples of the page size; start is 0 if !is_placed */
};

/*
 * The page sizes of a geometry, as shifts: the base page, and what one entry of the next two levels (PMD and
 * PUD) maps. Returns their number. The text is such as "4K, 2M and 1G".
 */
unsigned lz_cost_page_shifts(const struct lz_geometry *geometry, unsigned shifts[LZ_PAGE_SIZES_MAX]);
struct lz_display lz_cost_page_sizes_text(const struct lz_geometry *geometry);

#endif
