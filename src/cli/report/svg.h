/* Inline SVG drawings of the HTML report, which use the classes w, o, z and u of the style in html.c. */
#ifndef LZ_CLI_REPORT_SVG_H
#define LZ_CLI_REPORT_SVG_H

#include <stdio.h>

#include "cli/record/record.h"
#include "cli/report/model.h"

/* One chart over time for each quantity in the record. */
void lz_svg_timeline(FILE *page, const struct lz_record *record);

/* A bar with the parts written, written with zeros, only read, and never touched. */
void lz_svg_usage_bar(FILE *page, const struct lz_report_usage *sum);

/* The touched parts of a range, by address from left to right. */
void lz_svg_touch_map(FILE *page, const struct lz_touch_map *map);

/* All regions of a process side by side, their widths proportional to their sizes. */
void lz_svg_regions(FILE *page, const struct lz_report *report, size_t process);

#endif
