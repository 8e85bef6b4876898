/* Merges call sites whose headlines agree. */
#ifndef LZ_CLI_REPORT_GROUP_H
#define LZ_CLI_REPORT_GROUP_H

#include "cli/report/model.h"

/* What a row of the report stands for. */
enum lz_report_by { LZ_REPORT_BY_STACK, LZ_REPORT_BY_LINE, LZ_REPORT_BY_FUNCTION, LZ_REPORT_BY_MODULE };

/* Their names, in this order, NULL-terminated. */
extern const char *const lz_report_by_names[];

/*
 * Merges the sites, after headlines were set. By stack, which they are already, does nothing. Merged sites
 * have no frames; their peaks are added, though they need not have been at the same time. Returns 0, or the
 * exit status after an error message.
 */
int lz_report_group(struct lz_report *report, enum lz_report_by by);

#endif
