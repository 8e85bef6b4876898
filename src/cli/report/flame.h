/*
 * A flame graph of the call stacks, as SVG: one row for each depth, from main at the top to the call sites;
 * the width of a frame is the memory that it asked for, at the peak, and its colours say what became of that.
 */
#ifndef LZ_CLI_REPORT_FLAME_H
#define LZ_CLI_REPORT_FLAME_H

#include <stdio.h>

#include "cli/report/model.h"

struct lz_flame;

/* Merges the stacks of all sites, before they are grouped; to be freed. NULL: no memory. */
struct lz_flame *lz_flame_build(const struct lz_report *report);
void lz_flame_free(struct lz_flame *flame);

/*
 * Draws the graph, with the classes w, o, z and u of the page's style, in about `bytes_max` bytes at most:
 * frames that are too narrow are merged.
 */
void lz_flame_draw(FILE *page, const struct lz_flame *flame, size_t bytes_max);

#endif
