/*
 * Parses the arguments of a subcommand according to its description.
 *
 * Flags are numbered: the subcommand's own flags first, then, if it takes them, the options of the library in
 * the order of their table. Values are written as --name VALUE, --name=VALUE, -n VALUE or -nVALUE.
 */
#ifndef LZ_CLI_COMMON_ARGUMENTS_H
#define LZ_CLI_COMMON_ARGUMENTS_H

#include <stddef.h>

#include "cli/common/command.h"
#include "cli/common/display.h"

/*
 * Parses the words after the subcommand's name (NULL-terminated) and checks every value. Returns 0, or
 * -EINVAL or -ENOMEM after an error message. Call lz_arguments_free in either case.
 */
int lz_arguments_parse(struct lz_arguments *arguments, const struct lz_command *command, char **words);
void lz_arguments_free(struct lz_arguments *arguments);

/* The number of flags that the command accepts, library options included. */
size_t lz_arguments_flag_count(const struct lz_command *command);

/* The value given for option `index` of the library's table, or NULL. */
const char *lz_arguments_option(const struct lz_arguments *arguments, size_t index);

/* The name of the environment variable of option `index`. */
struct lz_display lz_arguments_variable(size_t index);

/*
 * Sets the environment variables of the library options that were given; the environment keeps the others.
 * Returns 0 or -ENOMEM.
 */
int lz_arguments_set_variables(const struct lz_arguments *arguments);

/* The index of a flag's value in its `choices`; 0, the default, if the flag was not given. */
unsigned lz_arguments_choice(const struct lz_arguments *arguments, size_t flag);

#endif
