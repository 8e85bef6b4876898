/* Draws the ratios of `lazyzero compare` with gnuplot. */
#ifndef LZ_CLI_COMPARE_DRAW_H
#define LZ_CLI_COMPARE_DRAW_H

#include "cli/compare/comparison.h"

/* The suffix of the path selects the format. Returns 0, or the exit status after an error message. */
int lz_compare_draw(const struct lz_comparison *comparison, const char *path);

#endif
