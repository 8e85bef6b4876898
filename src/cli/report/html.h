/* What the files of the HTML report share. Everything from outside goes through lz_html_escape. */
#ifndef LZ_CLI_REPORT_HTML_H
#define LZ_CLI_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

#include "cli/report/model.h"

struct lz_record;

/* Text for an element or an attribute in double quotes, escaped; what is no UTF-8 is shown byte by byte. */
void lz_html_escape(FILE *page, const char *text);

/* --- report_draw.c: inline SVG, of the classes w, z and u of the page's style --- */

/* How the run went: a drawing for each quantity. */
void lz_svg_timeline(FILE *page, const struct lz_record *record);

/* A bar of three parts. */
void lz_svg_usage_bar(FILE *page, const struct lz_report_usage *sum);

/* The picture of a range, from its first address on the left to its last. */
void lz_svg_touch_map(FILE *page, const struct lz_touch_map *picture);

/* All regions of a process side by side, each as wide as it is large. */
void lz_svg_regions(FILE *page, const struct lz_report *report, size_t process);

#endif
