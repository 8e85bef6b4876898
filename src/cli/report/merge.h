/* Merges the report of one process into the report of all. */
#ifndef LZ_CLI_REPORT_MERGE_H
#define LZ_CLI_REPORT_MERGE_H

#include <jansson.h>
#include <time.h>

#include "cli/report/model.h"

/* The parsed lines of one process's report. */
struct lz_report_lines {
	struct lz_report_process process;
	json_t *modules, *python, *sites, *regions; /* arrays of lines */
	struct timespec report_time;
};

/* Returns 0, or the exit status after an error message. */
int lz_report_merge(struct lz_report *report, const struct lz_report_lines *lines);

#endif
