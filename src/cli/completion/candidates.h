/* The words that can be completed after each flag of a subcommand, for the generators of the scripts. */
#ifndef LZ_CLI_COMPLETION_CANDIDATES_H
#define LZ_CLI_COMPLETION_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/common/command.h"

/* What the value of a flag is. */
enum lz_value_kind {
	LZ_VALUE_NONE, /* the flag is a switch */
	LZ_VALUE_ANY,  /* nothing that can be completed */
	LZ_VALUE_WORD, /* one of `words` */
	LZ_VALUE_LIST, /* some of `words`, separated by commas */
	LZ_VALUE_FILE,
	LZ_VALUE_DIRECTORY
};

/* A flag of a subcommand: one of its own or an option of the library. */
struct lz_completion_flag {
	const char *name, *help, *value; /* as in struct lz_flag */
	char letter;
	enum lz_value_kind kind;
	const char *const *words; /* NULL-terminated, for LZ_VALUE_WORD and LZ_VALUE_LIST */
};

/* Flag `i` of a subcommand, below lz_arguments_flag_count. */
struct lz_completion_flag lz_completion_flag_at(const struct lz_command *command, size_t i);

/* What the operands of a subcommand are. */
bool lz_operands_are_pids(const struct lz_command *command);
bool lz_operands_are_files(const struct lz_command *command);
bool lz_operand_is_shell(const struct lz_command *command);

#endif
