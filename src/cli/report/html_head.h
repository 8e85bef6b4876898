/* The head of the HTML report: its style, what ran when and where, and the sums. */
#ifndef LZ_CLI_REPORT_HTML_HEAD_H
#define LZ_CLI_REPORT_HTML_HEAD_H

#include <stdint.h>
#include <stdio.h>

#include "cli/record/record.h"
#include "cli/report/model.h"

/* Writes everything up to the first section. The record of the run may be NULL. */
void lz_html_head(FILE *page, const struct lz_report *report, const struct lz_record *record);

/* Writes what the colours mean. */
void lz_html_legend(FILE *page);

/* Writes a size, or "?" if it is UINT64_MAX. */
void lz_html_size(FILE *page, uint64_t bytes);

#endif
