/*
 * Counts the page tables that a set of ranges needs if every page is touched: distinct tables, in one pass
 * over the ranges in order of address. Pure arithmetic (core/geometry.h).
 */
#ifndef LZ_CLI_PROCESS_TABLE_COUNTER_H
#define LZ_CLI_PROCESS_TABLE_COUNTER_H

#include <stdint.h>

#include "pagetables/geometry.h"

struct lz_table_counter {
	const struct lz_geometry *geometry;
	uint64_t next[LZ_LEVELS_MAX]; /* by level: the lowest table not counted yet */
	uint64_t bytes;               /* the part that VmPTE counts */
};

struct lz_table_counter lz_table_counter_init(const struct lz_geometry *geometry);

/*
 * Adds [start, end), which must not start below the end of the range before; page_shift is that of its pages.
 * Returns the bytes of tables it adds. Ranges above the user address space (vsyscall) add nothing.
 */
uint64_t lz_table_counter_add(
	struct lz_table_counter *counter, uint64_t start, uint64_t end, unsigned page_shift);

#endif
