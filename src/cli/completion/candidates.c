/* Derives the completions of flags from their descriptions; see candidates.h. */
#include "cli/completion/candidates.h"

#include <string.h>

#include "cli/process/columns.h"
#include "pagetables/geometry.h"
#include "support/options.h"

/* The names in a table, NULL-terminated. */
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

/* Derives what the value is from its placeholder in usage lines. */
static void set_value_kind(struct lz_completion_flag *entry)
{
	static const struct {
		const char *value;
		enum lz_value_kind kind;
		const char *const *(*words)(void);
	} kinds[] = {
		{"FILE", LZ_VALUE_FILE, NULL},
		{"PATH", LZ_VALUE_FILE, NULL},
		{"LIBRARIES", LZ_VALUE_FILE, NULL},
		{"DIRECTORY", LZ_VALUE_DIRECTORY, NULL},
		{"COLUMN", LZ_VALUE_WORD, column_words},
		{"COLUMNS", LZ_VALUE_LIST, column_words},
		{"NAME", LZ_VALUE_WORD, geometry_words},
	};

	entry->kind = LZ_VALUE_ANY;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(entry->value, kinds[i].value) == 0) {
			entry->kind = kinds[i].kind;
			entry->words = kinds[i].words != NULL ? kinds[i].words() : NULL;
		}
}

struct lz_completion_flag lz_completion_flag_at(const struct lz_command *command, size_t i)
{
	struct lz_completion_flag entry = {.words = NULL};

	if (i < command->flag_count) {
		const struct lz_flag *flag = &command->flags[i];

		entry = (struct lz_completion_flag){
			flag->name, flag->help, flag->value, flag->letter, LZ_VALUE_NONE, NULL};
		if (flag->choices != NULL) {
			entry.kind = LZ_VALUE_WORD;
			entry.words = flag->choices;
		} else if (flag->value != NULL && !flag->value_optional) {
			/* The word after a flag whose value is optional is not its value. */
			set_value_kind(&entry);
		}
		return entry;
	}
	const struct lz_option *option = &lz_option_table[i - command->flag_count];

	entry = (struct lz_completion_flag){option->flag, option->help, option->value, 0, LZ_VALUE_ANY, NULL};
	if (option->choices != NULL)
		entry.kind = option->kind == LZ_OPTION_SET ? LZ_VALUE_LIST : LZ_VALUE_WORD;
	else if (option->kind == LZ_OPTION_PATH || option->kind == LZ_OPTION_PATTERN ||
		 option->kind == LZ_OPTION_LOG)
		entry.kind = LZ_VALUE_FILE;
	entry.words = option->choices;
	return entry;
}

bool lz_operands_are_pids(const struct lz_command *command)
{
	return strstr(command->usage, "[PID]") != NULL;
}

bool lz_operands_are_files(const struct lz_command *command)
{
	return strstr(command->usage, "RECORD") != NULL || strstr(command->usage, "REPORT") != NULL;
}

bool lz_operand_is_shell(const struct lz_command *command)
{
	return strstr(command->usage, "bash|zsh") != NULL;
}
