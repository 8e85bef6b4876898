/*
 * Reads all processes for `top` in steps, between which keys are handled: 10,000 processes take 1.2 s with
 * the default columns. What is shown is replaced when all are read.
 */
#ifndef LZ_CLI_TOP_READING_H
#define LZ_CLI_TOP_READING_H

#include "cli/top/view.h"

/* Begins to read all processes. Returns 0 or -errno. */
int lz_top_reading_begin(struct lz_top *top);

/*
 * Reads until all processes are read or for `duration_ns`. Returns 0 when all are shown, 1 if there are more,
 * or -ENOMEM.
 */
int lz_top_reading_continue(struct lz_top *top, uint64_t duration_ns);

/* Finds the control groups of the processes that are shown, for LZ_TOP_CGROUPS. */
void lz_top_find_cgroups(struct lz_top *top);

void lz_top_reading_free(struct lz_top *top);

#endif
