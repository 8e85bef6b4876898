/* What the reader of reports (report_read.c) hands to report_merge.c: the lines of one process. */
#ifndef LZ_CLI_REPORT_LINES_H
#define LZ_CLI_REPORT_LINES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "cli/report/model.h"

/* A process of the file that is being read: what its numbers mean. */
struct lz_report_lines {
	uint64_t pid, start_time;
	struct lz_report_process process;
	json_t *modules, *sites, *regions; /* arrays of lines */
	struct timespec report_time;
};

/* A number that is not negative, or UINT64_MAX; a text, or "". Of NULL and of what is no object, too. */
uint64_t lz_report_line_u64(const json_t *line, const char *key);
const char *lz_report_line_text(const json_t *line, const char *key);

/* Such a text in the bytes it had: the library writes each beyond ASCII as \u00NN, whatever it means. In
 * place. */
void lz_report_unescape_bytes(char *text);

/* Makes room for one more in an array; NULL after saying that there is no memory. */
void *lz_report_grown(void *array, size_t count, size_t size);

/* Adds a process to the others. Returns 0, or the exit status after saying that there is no memory. */
int lz_report_merge(struct lz_report *report, const struct lz_report_lines *reading);

#endif
