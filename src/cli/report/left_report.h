/* The report of a process that left only its table of call sites (sites/sites_file.h). */
#ifndef LZ_CLI_REPORT_LEFT_REPORT_H
#define LZ_CLI_REPORT_LEFT_REPORT_H

#include <stdio.h>

#include "sites/sites.h"

/* Why the file is there: "killed", "running", or "exec" if the process executes another program now. */
const char *lz_left_report_reason(const struct lz_site_table *table, const char *path);

/*
 * Returns the lines of the report (sites/report.h) that follow from the table, as a stream at its start; NULL
 * after an error message. The live regions of a process that still runs are inspected now; for others, what
 * look.h has seen of them is taken.
 */
FILE *lz_left_report_open(const struct lz_site_table *table, const char *reason);

#endif
