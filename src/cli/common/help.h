/* Prints the help texts, generated from the tables of commands, flags and options. */
#ifndef LZ_CLI_COMMON_HELP_H
#define LZ_CLI_COMMON_HELP_H

#include <stddef.h>
#include <stdio.h>

#include "cli/common/command.h"

/* Help of `lazyzero` itself; `commands` is NULL-terminated. */
void lz_help_all(const struct lz_command *const *commands);
void lz_help_command(const struct lz_command *command);

/*
 * Prints text wrapped before column 80. Lines start at column `indent`; the cursor is at `column` of the
 * first line.
 */
void lz_print_wrapped(const char *text, size_t indent, size_t column);
void lz_print_wrapped_to(FILE *stream, const char *text, size_t indent, size_t column);

#endif
