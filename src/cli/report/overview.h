/* Sentences about a whole report. */
#ifndef LZ_CLI_REPORT_OVERVIEW_H
#define LZ_CLI_REPORT_OVERVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/report/model.h"

/*
 * What could be saved, and by what option: "95% of 4.00 GiB was only read or never touched. On a zero window
 * (--backing=window) 24.0 KiB of page tables would do instead of 8.00 MiB." Sums over the sites at their
 * peaks. "" if there is no site.
 */
void lz_report_overview(const struct lz_report *report, char *text, size_t capacity);

/* What the call sites do not cover: its number, size and reason. Returns false if there is nothing. */
bool lz_report_unlisted_note(const struct lz_report *report, char *text, size_t capacity);

#endif
