/*
 * The page tables that mappings would need if every page of them were touched: distinct tables, counted in
 * one pass over the mappings in order of address. Arithmetic of pagetables/geometry.h; no system calls.
 */
#ifndef LZ_CLI_TOUCHED_H
#define LZ_CLI_TOUCHED_H

#include <stdint.h>

#include "pagetables/geometry.h"

struct lz_touched {
	const struct lz_geometry *geometry;
	uint64_t next[LZ_LEVELS_MAX]; /* by level: the first table that is not counted yet */
	uint64_t bytes;               /* of what VmPTE counts */
};

struct lz_touched lz_touched_start(const struct lz_geometry *geometry);

/*
 * Adds [start, end), which begins at or above the end of the range before; page_shift is that of its pages.
 * Returns the bytes that it adds. What lies above the user's addresses (vsyscall) adds nothing.
 */
uint64_t lz_touched_add(struct lz_touched *touched, uint64_t start, uint64_t end, unsigned page_shift);

#endif
