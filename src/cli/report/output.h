/* The output of `lazyzero report`: a table or JSON, and an HTML page. */
#ifndef LZ_CLI_REPORT_OUTPUT_H
#define LZ_CLI_REPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/report/diff.h"
#include "cli/report/group.h"
#include "cli/report/model.h"
#include "cli/report/symbols.h"
#include "cli/report/width.h"

struct lz_report_output {
	struct lz_symbol_paths symbols;
	const char *skip; /* see headline.h */
	enum lz_report_by by;
	bool folded;      /* print folded stacks (folded.h) */
	const char *html; /* path of the page; NULL: none */
	bool json;
	size_t width; /* of the table, in columns; SIZE_MAX: unlimited */
	bool all;     /* every call site, not only the first 20 */
	struct lz_report_diff diff;
};

/*
 * Finds the symbols of the call sites, sorts them and writes the output. The page shows the record of the run
 * at `record_path` (NULL: none). Returns 0, or the exit status after an error message.
 */
int lz_report_output_write(
	const struct lz_report_output *output, struct lz_report *report, const char *record_path);

/* The same for the reports at `paths` (NULL-terminated), which are merged. */
int lz_report_output_files(
	const struct lz_report_output *output, char *const paths[], const char *record_path);

#endif
