/* The page tables of several processes together. */
#ifndef LZ_CLI_PROCESS_TOTALS_H
#define LZ_CLI_PROCESS_TOTALS_H

#include <stdint.h>

#include "cli/common/display.h"
#include "cli/process/process.h"

/* All zero at the start. Sizes in bytes; what is not known of a process does not count. */
struct lz_table_totals {
	uint64_t processes;
	uint64_t measured;  /* processes of which VmPTE is known */
	uint64_t tables;    /* sum of VmPTE */
	uint64_t largest;   /* VmPTE of the process that has most */
	uint64_t preloaded; /* processes that the library is active in */
	uint64_t peaks;     /* sum of their highest VmPTE, an upper bound of what they had at one time */
};

void lz_table_totals_add(struct lz_table_totals *totals, const struct lz_process *process);

/* One line, without a newline; at most 80 columns for fewer than 100,000 processes. */
struct lz_display lz_table_totals_line(const struct lz_table_totals *totals);

#endif
