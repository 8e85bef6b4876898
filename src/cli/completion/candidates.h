/* What there is to complete (completion.c), for bash (completion_bash.c) and zsh (completion_zsh.c). */
#ifndef LZ_CLI_COMPLETION_H
#define LZ_CLI_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/common/command.h"

/* What can stand as a value. */
enum lz_value_kind {
	LZ_VALUE_NONE,
	LZ_VALUE_ANY,
	LZ_VALUE_WORD,
	LZ_VALUE_LIST,
	LZ_VALUE_FILE,
	LZ_VALUE_DIRECTORY
};

/* A flag of a command: its own or one of the library's options. */
struct lz_completion_flag {
	const char *name, *help, *value;
	char letter;
	enum lz_value_kind values;
	const char *const *words; /* NULL-terminated, of LZ_VALUE_WORD and LZ_VALUE_LIST */
};

/* The flags of a command, by number. */
size_t lz_completion_flag_count(const struct lz_command *command);
struct lz_completion_flag lz_completion_flag_at(const struct lz_command *command, size_t i);

/* What its operands are. */
bool lz_operands_are_pids(const struct lz_command *command);
bool lz_operands_are_files(const struct lz_command *command);
bool lz_operand_is_shell(const struct lz_command *command);

/* Both print to standard output. */
void lz_completion_bash(void);
void lz_completion_zsh(void);

#endif
