/* Starts a program under the library and collects its result: what `run`, `report` and `compare` do alike. */
#ifndef LZ_CLI_LAUNCH_LAUNCH_H
#define LZ_CLI_LAUNCH_LAUNCH_H

#include "cli/common/command.h"
#include "cli/launch/child.h"
#include "cli/launch/library.h"

/*
 * Sets the environment for the program: the variables of the library options that were given, and LD_PRELOAD,
 * to which the library (NULL: none) is added. Returns 0, or the exit status after an error message.
 */
int lz_launch_set_environment(const struct lz_arguments *arguments, const struct lz_library *library);

/*
 * Runs the program to its end, as lz_child_run does. Returns 0 if it was executed, whatever its own status,
 * or the exit status after an error message. *result is set in either case.
 */
int lz_launch_run(char *const argv[], const struct lz_child_monitor *monitor, struct lz_child_result *result);

#endif
