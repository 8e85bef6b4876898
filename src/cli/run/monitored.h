/* Runs a program as a child and collects what the summary shows. */
#ifndef LZ_CLI_RUN_MONITORED_H
#define LZ_CLI_RUN_MONITORED_H

#include "cli/record/recorder.h"
#include "cli/run/program.h"
#include "cli/run/summary.h"

/*
 * Runs argv[0], for which the environment has been set, and prints the summary. `recorder` (may be NULL) is
 * open and is closed. Returns the exit status: the program's own; that of a failure to run it; or
 * LZ_EXIT_LIMIT if the program succeeded and a process had page tables of more than `limit` bytes.
 */
int lz_run_monitored(char *const argv[], const struct lz_program *executable, struct lz_recorder *recorder,
	uint64_t limit, void (*print)(const struct lz_summary *));

#endif
