/*
 * Reads report files (LAZYZERO_REPORT, core/report.h).
 *
 * A file may hold the reports of several processes, be truncated, contain no report, or be hostile. Lines
 * that cannot be parsed are skipped and counted.
 */
#ifndef LZ_CLI_REPORT_READ_H
#define LZ_CLI_REPORT_READ_H

#include "cli/report/model.h"

/*
 * Adds the reports in a file, or in the lazyzero-report.* files of a directory. Returns 0, or the exit status
 * after an error message.
 */
int lz_report_read_file(struct lz_report *report, const char *path);

#endif
