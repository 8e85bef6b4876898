/* `lazyzero report --diff`: what grew, shrank, is new or is gone since an earlier report. */
#ifndef LZ_CLI_REPORT_DIFF_H
#define LZ_CLI_REPORT_DIFF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/report/group.h"

#define LZ_REPORT_TOLERANCE_ACCEPTED "a percentage from 0% to 1000%"

struct lz_report_diff {
	const char *old_path; /* of what `report --json` printed; NULL: no comparison */
	unsigned tolerance;   /* growth by at most so many percent is none */
	bool json;
	bool all;     /* also call sites that did not change */
	size_t width; /* of the table, in columns; SIZE_MAX: unlimited */
};

/* Parses the tolerance; NULL: the default. Returns 0, or the exit status after an error message. */
int lz_report_diff_parse_tolerance(struct lz_report_diff *options, const char *given);

/* Checks that the old report can be read, before a program is run. Returns 0, or the exit status likewise. */
int lz_report_diff_check(const char *path);

/*
 * Compares a printed report with the old one and prints the result; releases it. Returns the exit status: 0,
 * or 1 if something grew beyond the tolerance.
 */
int lz_report_diff_print(const struct lz_report_diff *options, json_t *report, enum lz_report_by by);

/* Whether a file seems to be a printed report, and not one of the library. */
bool lz_report_is_printed(const char *path);

/* lz_report_diff_print for printed reports in files (NULL-terminated), whose call sites are put together. */
int lz_report_diff_files(const struct lz_report_diff *options, char *const paths[], enum lz_report_by by);

#endif
