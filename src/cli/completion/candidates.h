/* What there is to complete (completion.c), for bash (completion_bash.c) and zsh (completion_zsh.c). */
#ifndef LZ_CLI_COMPLETION_H
#define LZ_CLI_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/common/command.h"

/* What can stand as a value. */
enum lz_values {
	LZ_VALUES_NONE,
	LZ_VALUES_ANY,
	LZ_VALUES_WORDS,
	LZ_VALUES_LIST,
	LZ_VALUES_FILES,
	LZ_VALUES_DIRECTORIES
};

/* A flag of a command: its own or one of the library's options. */
struct lz_completed {
	const char *name, *help, *value;
	char letter;
	enum lz_values values;
	const char *const *words; /* NULL-terminated, of LZ_VALUES_WORDS and LZ_VALUES_LIST */
};

/* The flags of a command, by number. */
size_t lz_completed_count(const struct lz_command *command);
struct lz_completed lz_completed_of(const struct lz_command *command, size_t i);

/* What its operands are. */
bool lz_takes_pids(const struct lz_command *command);
bool lz_takes_file(const struct lz_command *command);
bool lz_takes_shell(const struct lz_command *command);

/* Both print to standard output. */
void lz_completion_bash(void);
void lz_completion_zsh(void);

#endif
