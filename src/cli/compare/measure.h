/*
 * Measures one run of a contender.
 *
 * Time and faults are those that wait4 reports for the program and its reaped descendants. PSS and page
 * tables are sums over all processes of the program, sampled from outside.
 */
#ifndef LZ_CLI_COMPARE_MEASURE_H
#define LZ_CLI_COMPARE_MEASURE_H

#include <stdbool.h>

#include "cli/compare/comparison.h"

/*
 * Runs a contender once and adds the figures to its runs. `others` is the LD_PRELOAD that the command was
 * started with. Returns 0, or the exit status of a failure that ends the comparison. *keep_going is set to
 * false if the run was interrupted.
 */
int lz_contender_run(const struct lz_comparison *comparison, struct lz_contender *contender, bool null_stdio,
	const char *others, bool *keep_going);

#endif
