/*
 * Parses the lines of reports (sites/report.h). They may hold the reports of several processes, be truncated,
 * or hostile: lines that cannot be parsed are counted.
 */
#ifndef LZ_CLI_REPORT_PARSE_H
#define LZ_CLI_REPORT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "cli/report/merge.h"

/* Initialised with zeros, except for the first two members. */
struct lz_report_file {
	const char *path;
	struct timespec report_time; /* its modification time */
	struct lz_report_lines *processes;
	size_t count;
	bool has_header;
	size_t unparsed_lines;
};

/* Parses a stream, and closes it. Returns 0, or the exit status after an error message. */
int lz_report_file_parse(struct lz_report_file *file, FILE *stream);

void lz_report_file_free(struct lz_report_file *file);

#endif
