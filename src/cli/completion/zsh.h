/* Generates the completion script for zsh. */
#ifndef LZ_CLI_COMPLETION_ZSH_H
#define LZ_CLI_COMPLETION_ZSH_H

#include "cli/common/command.h"

/* Prints the script to standard output; `commands` is NULL-terminated. */
void lz_completion_zsh(const struct lz_command *const *commands);

#endif
