/*
 * Runs the contenders of a comparison. They take turns, so that other load on the machine affects all of them
 * alike, and each round starts with another contender.
 */
#ifndef LZ_CLI_COMPARE_ROUNDS_H
#define LZ_CLI_COMPARE_ROUNDS_H

#include <stdbool.h>

#include "cli/compare/comparison.h"

/*
 * Runs every contender without a problem comparison->rounds times. With `null_stdio` the standard descriptors
 * of the programs are /dev/null, and progress is shown on a terminal. Returns 0, also after an interruption,
 * or the exit status after an error message.
 */
int lz_comparison_run(struct lz_comparison *comparison, bool null_stdio);

#endif
