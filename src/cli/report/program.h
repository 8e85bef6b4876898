/* Runs a program under the library and shows its report. */
#ifndef LZ_CLI_REPORT_PROGRAM_H
#define LZ_CLI_REPORT_PROGRAM_H

#include "cli/report/output.h"

/*
 * Runs argv[0], for which the environment has been set, and shows the report. `record` is the path that the
 * user gave for the record of the run, or NULL. Returns the exit status: the program's own, or that of a
 * failure to run it or to read or write the report.
 */
int lz_report_program(char *const argv[], const char *record, const struct lz_report_output *output);

#endif
