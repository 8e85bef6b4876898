/* Output of `lazyzero cost`, as a table or as JSON. */
#ifndef LZ_CLI_COST_PRINT_H
#define LZ_CLI_COST_PRINT_H

#include <stdbool.h>

#include "cli/cost/range.h"

/* Prints the tables that the range needs. Returns the exit status. */
int lz_cost_print(const struct lz_cost_range *range, const struct lz_tables *tables, bool as_json);

/* Prints the known geometries. Returns the exit status. */
int lz_cost_print_geometries(bool as_json);

#endif
