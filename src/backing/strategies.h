/*
 * The list of backings. To add one, write a file or a folder that defines its table, and add a line here, a
 * line in backings.c, and, if it can back regions, a value of LAZYZERO_BACKING in support/options.c.
 */
#ifndef LZ_BACKING_STRATEGIES_H
#define LZ_BACKING_STRATEGIES_H

#include "backing/backing.h"

extern const struct lz_backing lz_zero_page_backing; /* zero_page.c */
extern const struct lz_backing lz_shared_backing;    /* shared.c */
extern const struct lz_backing lz_window_backing;    /* window/strategy.c */

#endif
