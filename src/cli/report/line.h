/* Access to the fields of a line of a report, which may be missing or of another type. */
#ifndef LZ_CLI_REPORT_LINE_H
#define LZ_CLI_REPORT_LINE_H

#include <jansson.h>
#include <stdint.h>

/* A number that is not negative, else UINT64_MAX. The line may be NULL or of any type. */
uint64_t lz_report_line_u64(const json_t *line, const char *key);

/* A text, else "". */
const char *lz_report_line_text(const json_t *line, const char *key);

/*
 * Restores, in place, the bytes of a text: the library writes each byte beyond ASCII as \u00NN, whatever its
 * encoding.
 */
void lz_report_unescape_bytes(char *text);

#endif
