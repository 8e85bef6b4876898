/*
 * The HTML report: one page without scripts that loads nothing from elsewhere.
 *
 * Its Content-Security-Policy forbids the browser to load anything, in case some text were not escaped.
 */
#ifndef LZ_CLI_REPORT_HTML_H
#define LZ_CLI_REPORT_HTML_H

#include "cli/record/record.h"
#include "cli/report/flame.h"
#include "cli/report/model.h"

/*
 * Writes the page, of less than 1 MB. The record of the run (may be NULL) becomes a timeline. Sorts the
 * regions by address. Returns 0, or the exit status after an error message.
 */
int lz_report_write_html(const struct lz_report *report, const struct lz_record *record,
	const struct lz_flame *flame, const char *path);

#endif
