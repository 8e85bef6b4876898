/* The pages of `top` that take the whole screen in place of the rows, as text. */
#ifndef LZ_CLI_TOP_PAGES_H
#define LZ_CLI_TOP_PAGES_H

#include <stdio.h>

#include "cli/top/view.h"

/* Writes the lines of top->page: the keys, or all that is known of top->details_pid, which is read now. */
void lz_top_write_page(FILE *out, const struct lz_top *top);

#endif
