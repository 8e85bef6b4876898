/*
 * `lazyzero completion`: completion for bash and zsh, made from the tables of commands, flags, options and
 * columns, so that none of them can lack one. The build installs what this prints.
 */
#include "cli/completion.h"

#include <string.h>

#include "cli/columns.h"
#include "pagetables/geometry.h"
#include "support/options.h"

/* The names of a table, for struct lz_completed. */
static const char *const *column_words(void)
{
	static const char *names[LZ_COLUMNS_MAX + 1];

	for (size_t i = 0; i < lz_column_count; i++)
		names[i] = lz_column_table[i].name;
	return names;
}

static const char *const *geometry_words(void)
{
	static const char *names[64];

	for (size_t i = 0; i < lz_geometry_count && i < 63; i++)
		names[i] = lz_geometry_table[i].name;
	return names;
}

/* By the word that stands for its value in usage lines. */
static void tell_values(struct lz_completed *entry)
{
	static const struct {
		const char *value;
		enum lz_values values;
		const char *const *(*words)(void);
	} kinds[] = {
		{"FILE", LZ_VALUES_FILES, NULL},
		{"PATH", LZ_VALUES_FILES, NULL},
		{"LIBRARIES", LZ_VALUES_FILES, NULL},
		{"DIRECTORY", LZ_VALUES_DIRECTORIES, NULL},
		{"COLUMN", LZ_VALUES_WORDS, column_words},
		{"COLUMNS", LZ_VALUES_LIST, column_words},
		{"NAME", LZ_VALUES_WORDS, geometry_words},
	};

	entry->values = LZ_VALUES_ANY;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(entry->value, kinds[i].value) == 0) {
			entry->values = kinds[i].values;
			entry->words = kinds[i].words != NULL ? kinds[i].words() : NULL;
		}
}

struct lz_completed lz_completed_of(const struct lz_command *command, size_t i)
{
	struct lz_completed entry = {.words = NULL};

	if (i < command->flag_count) {
		const struct lz_flag *flag = &command->flags[i];

		entry = (struct lz_completed){
			flag->name, flag->help, flag->value, flag->letter, LZ_VALUES_NONE, NULL};
		if (flag->choices != NULL) {
			entry.values = LZ_VALUES_WORDS;
			entry.words = flag->choices;
		} else if (flag->value != NULL) {
			tell_values(&entry);
		}
		return entry;
	}
	const struct lz_option *option = &lz_option_table[i - command->flag_count];

	entry = (struct lz_completed){option->flag, option->help, option->value, 0, LZ_VALUES_ANY, NULL};
	if (option->choices != NULL)
		entry.values = option->kind == LZ_OPTION_SET ? LZ_VALUES_LIST : LZ_VALUES_WORDS;
	else if (option->kind == LZ_OPTION_PATH || option->kind == LZ_OPTION_PATTERN ||
		 option->kind == LZ_OPTION_LOG)
		entry.values = LZ_VALUES_FILES;
	entry.words = option->choices;
	return entry;
}

size_t lz_completed_count(const struct lz_command *command)
{
	return command->flag_count + (command->takes_options ? lz_option_count : 0);
}

bool lz_takes_pids(const struct lz_command *command)
{
	return strstr(command->usage, "[PID]") != NULL;
}

bool lz_takes_file(const struct lz_command *command)
{
	return strstr(command->usage, "RECORD") != NULL || strstr(command->usage, "REPORT") != NULL;
}

bool lz_takes_shell(const struct lz_command *command)
{
	return strstr(command->usage, "bash|zsh") != NULL;
}

static int run(const struct lz_arguments *arguments)
{
	const char *shell = arguments->operands[0];

	if (shell == NULL)
		return lz_fail_usage("completion", "no shell given");
	if (strcmp(shell, "bash") == 0)
		lz_completion_bash();
	else if (strcmp(shell, "zsh") == 0)
		lz_completion_zsh();
	else
		return lz_fail_usage(
			"completion", "unknown shell '%s'; it takes bash or zsh", lz_shown(shell).text);
	return 0;
}

const struct lz_command lz_command_completion = {
	.name = "completion",
	.summary = "print completion for a shell",
	.usage = "bash|zsh",
	.description = "Prints what makes the shell complete the words of this command: "
		       "eval \"$(lazyzero completion bash)\". An installed lazyzero has it already.",
	.operands_max = 1,
	.run = run,
};
