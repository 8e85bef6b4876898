/* Output of `lazyzero collapse`, as a table or as JSON. */
#ifndef LZ_CLI_COLLAPSE_PRINT_H
#define LZ_CLI_COLLAPSE_PRINT_H

#include <stdbool.h>

#include "cli/collapse/work.h"

/* Prints the objects as planned, and what stands in the way of collapsing them. */
void lz_collapse_print_plan(const struct lz_sharing *sharing);

/* Prints what was done, and the page tables before and after. */
void lz_collapse_print_result(const struct lz_collapse_work *work, bool dry_run);

/* Prints all of it as JSON. Returns the exit status. */
int lz_collapse_print_json(const struct lz_collapse_work *work, bool dry_run);

#endif
