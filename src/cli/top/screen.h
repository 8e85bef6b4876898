/*
 * Draws `top` on the terminal with ncurses. On a small terminal the less important columns are omitted, then
 * the lines above and below the list.
 */
#ifndef LZ_CLI_TOP_SCREEN_H
#define LZ_CLI_TOP_SCREEN_H

#include <stddef.h>

#include "cli/top/view.h"

/* Opens the screen. Returns 0, or -ENOTTY after an error message. */
int lz_top_screen_open(void);
void lz_top_screen_close(void);

/* Draws everything, scrolled so that the selected row is visible. */
void lz_top_draw(struct lz_top *top);

/* The number of rows that fit on the terminal. */
size_t lz_top_page_rows(void);

#endif
