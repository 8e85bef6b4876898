/*
 * Generates the completion script for bash. Requires bash 4; bash-completion, if it is loaded, completes the
 * arguments of programs.
 */
#ifndef LZ_CLI_COMPLETION_BASH_H
#define LZ_CLI_COMPLETION_BASH_H

#include "cli/common/command.h"

/* Prints the script to standard output; `commands` is NULL-terminated. */
void lz_completion_bash(const struct lz_command *const *commands);

#endif
