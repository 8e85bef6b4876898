/*
 * Folded stacks, as flamegraph.pl and speedscope read them: a line "main;f;g;[never touched] BYTES" for each
 * stack and each of the classes written, written zeros, only read, never touched, of the memory at its peak.
 */
#ifndef LZ_CLI_REPORT_FOLDED_H
#define LZ_CLI_REPORT_FOLDED_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/report/model.h"

void lz_report_print_folded(const struct lz_report *report);

/* The classes, in this order. */
#define LZ_REPORT_CLASSES 4
extern const char *const lz_report_class_names[LZ_REPORT_CLASSES];

/* The bytes of each class at a site's peak. If they are unknown, all stand in the last and *known is false.
 */
void lz_report_classes(const struct lz_report_site *site, uint64_t bytes[LZ_REPORT_CLASSES], bool *known);

#endif
