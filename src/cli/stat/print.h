/* `lazyzero stat`: what was read (stat.c), and how it is printed (stat_print.c). */
#ifndef LZ_CLI_STAT_H
#define LZ_CLI_STAT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/process/columns.h"
#include "cli/process/machine.h"
#include "cli/process/process.h"

struct lz_stat_output {
	struct lz_machine machine;
	struct lz_columns columns;
	struct lz_process *processes; /* in the order in which they are shown */
	size_t count;
	bool details; /* the largest mappings and the library's counters of each, too */
	bool headers;
	enum lz_units units;
};

void lz_stat_print(const struct lz_stat_output *stat);

/* Returns the exit status. */
int lz_stat_print_json(const struct lz_stat_output *stat);

#endif
