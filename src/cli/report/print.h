/* Output of `lazyzero report`: a table, or JSON. */
#ifndef LZ_CLI_REPORT_PRINT_H
#define LZ_CLI_REPORT_PRINT_H

#include <jansson.h>
#include <stddef.h>

#include "cli/report/group.h"
#include "cli/report/model.h"

/*
 * The version of the JSON that is printed. It is raised if a member changes its meaning or goes, not if one
 * is added.
 */
#define LZ_REPORT_JSON_VERSION 1

/* Prints at most `sites_max` sites. Names are cut so that no row of the table has more than `width` columns.
 */
void lz_report_print(const struct lz_report *report, size_t sites_max, size_t width);

/* Everything; `by` is what its rows stand for. */
json_t *lz_report_json(const struct lz_report *report, enum lz_report_by by);

/* Prints it. Returns the exit status. */
int lz_report_print_json(const struct lz_report *report, enum lz_report_by by);

#endif
