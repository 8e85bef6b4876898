/* Output of `lazyzero compare`. */
#ifndef LZ_CLI_COMPARE_PRINT_H
#define LZ_CLI_COMPARE_PRINT_H

#include "cli/compare/comparison.h"

void lz_compare_print_text(const struct lz_comparison *comparison);

/* Returns the exit status. */
int lz_compare_print_json(const struct lz_comparison *comparison);

#endif
