/*
 * Builds the rows of `top`: a sorted list, or a tree in which each process shows the sums over itself and its
 * descendants, as du(1) does for directories. Control groups are trees of one level.
 */
#ifndef LZ_CLI_TOP_ROWS_H
#define LZ_CLI_TOP_ROWS_H

#include "cli/top/view.h"

/* Builds top->rows from top->processes. Returns 0 or -ENOMEM. */
int lz_top_sort_rows(struct lz_top *top);

/* Folds or unfolds the selected row, which must exist; takes effect at the next lz_top_sort_rows. */
void lz_top_toggle_fold(struct lz_top *top);

#endif
