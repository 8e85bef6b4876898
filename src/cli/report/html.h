/* What the files of the HTML report share. Everything from outside goes through lz_html_text. */
#ifndef LZ_CLI_REPORT_HTML_H
#define LZ_CLI_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

#include "cli/report/model.h"

struct lz_record;

/* Text for an element or an attribute in double quotes, escaped; what is no UTF-8 is shown byte by byte. */
void lz_html_text(FILE *page, const char *text);

/* --- report_draw.c: inline SVG, of the classes w, z and u of the page's style --- */

/* How the run went: a drawing for each quantity. */
void lz_html_timeline(FILE *page, const struct lz_record *record);

/* A bar of three parts. */
void lz_html_bar(FILE *page, const struct lz_figures *sum);

/* The picture of a range, from its first address on the left to its last. */
void lz_html_picture(FILE *page, const struct lz_picture *picture);

/* All regions of a process side by side, each as wide as it is large. */
void lz_html_overview(FILE *page, const struct lz_report_read *report, size_t process);

#endif
