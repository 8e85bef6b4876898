/* Lists the contenders of `lazyzero compare` and checks that their libraries can be preloaded. */
#ifndef LZ_CLI_COMPARE_CONTENDERS_H
#define LZ_CLI_COMPARE_CONTENDERS_H

#include "cli/compare/comparison.h"

/*
 * Adds the bare program, the program with the library of that path, and one contender for each of `others`: a
 * comma-separated list of libraries (NULL: none), which is modified and must outlive the comparison. There is
 * room for comparison->rounds runs of each. Returns 0, or the exit status after an error message; call
 * lz_contenders_free in either case.
 */
int lz_contenders_init(struct lz_comparison *comparison, const char *library, char *others);
void lz_contenders_free(struct lz_comparison *comparison);

#endif
