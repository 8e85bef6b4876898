/* The languages whose frames are not in a report: their interpreters and virtual machines. */
#ifndef LZ_CLI_REPORT_RUNTIME_H
#define LZ_CLI_REPORT_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/report/model.h"

/*
 * Writes a sentence that names the languages that ask for memory in some stack, and whose frames are not
 * read. Returns false if there are none.
 */
bool lz_report_runtime_note(const struct lz_report *report, char *note, size_t capacity);

#endif
