/*
 * `lazyzero cost`: the question, between the part that reads it (cost.c) and the part that prints the answer.
 */
#ifndef LZ_CLI_COST_H
#define LZ_CLI_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "pagetables/geometry.h"

#define LZ_PAGE_SIZES_MAX 3u

/* Which pages, how large, of which page tables. */
struct lz_cost_range {
	const struct lz_geometry *geometry;
	unsigned page_shift;
	bool is_placed;
	uint64_t start, end; /* whole pages; start is 0 where the place does not matter */
};

/*
 * The page sizes of a geometry, as shifts: its base page, and what one entry of the next two levels maps (PMD
 * and PUD). Returns how many; the text is such as "4K, 2M and 1G".
 */
unsigned lz_cost_page_shifts(const struct lz_geometry *geometry, unsigned shifts[LZ_PAGE_SIZES_MAX]);
struct lz_shown lz_cost_page_sizes_text(const struct lz_geometry *geometry);

/* The geometry of that name, this machine's for NULL; NULL after saying that there is none of that name. */
const struct lz_geometry *lz_cost_geometry(const char *name);

/* Both print to standard output and return the exit status. */
int lz_cost_print(const struct lz_cost_range *range, const struct lz_tables *tables, bool as_json);
int lz_cost_list(bool as_json);

#endif
