/* Escapes text for HTML. All text from reports and records must pass through it. */
#ifndef LZ_CLI_REPORT_HTML_ESCAPE_H
#define LZ_CLI_REPORT_HTML_ESCAPE_H

#include <stdio.h>

/* Writes text for an element or a double-quoted attribute. Bytes that are not UTF-8 are written as \xNN. */
void lz_html_escape(FILE *page, const char *text);

#endif
