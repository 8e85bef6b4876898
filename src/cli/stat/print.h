/* Output of `lazyzero stat`, as a table or as JSON. */
#ifndef LZ_CLI_STAT_PRINT_H
#define LZ_CLI_STAT_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/process/columns.h"
#include "cli/process/machine.h"
#include "cli/process/process.h"
#include "cli/process/totals.h"

struct lz_stat_output {
	struct lz_machine machine;
	struct lz_columns columns;
	struct lz_process *processes; /* sorted */
	size_t count;
	struct lz_table_totals totals; /* over `processes` */
	bool details; /* also show the largest mappings and the library's counters of each process */
	bool headers;
	enum lz_units units;
};

void lz_stat_print(const struct lz_stat_output *stat);

/* Returns the exit status. */
int lz_stat_print_json(const struct lz_stat_output *stat);

json_t *lz_stat_machine_json(const struct lz_machine *machine);

#endif
