/* Runs a program whose report is wanted, and looks at its memory while it runs (look.h). */
#ifndef LZ_CLI_REPORT_WATCHED_H
#define LZ_CLI_REPORT_WATCHED_H

#include "cli/launch/child.h"

/*
 * `report` is the path that the program's processes write to; the run is recorded in the file `record`.
 * Returns 0 if the program was executed, or the exit status after an error message.
 */
int lz_report_run_watched(
	char *const argv[], const char *report, const char *record, struct lz_child_result *result);

#endif
