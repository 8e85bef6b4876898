/* Output of `lazyzero report`: a table, or JSON. */
#ifndef LZ_CLI_REPORT_PRINT_H
#define LZ_CLI_REPORT_PRINT_H

#include <stddef.h>

#include "cli/report/model.h"

/* Prints at most `sites_max` sites. Names are cut so that no row of the table has more than `width` columns.
 */
void lz_report_print(const struct lz_report *report, size_t sites_max, size_t width);

/* Prints everything. Returns the exit status. */
int lz_report_print_json(const struct lz_report *report);

#endif
