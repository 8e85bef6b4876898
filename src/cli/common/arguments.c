/* Parses arguments; see arguments.h. */
#include "cli/common/arguments.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "cli/common/messages.h"
#include "support/options.h"

size_t lz_arguments_flag_count(const struct lz_command *command)
{
	return command->flag_count + (command->takes_options ? lz_option_count : 0);
}

static const struct lz_option *flag_option(const struct lz_command *command, size_t flag)
{
	return &lz_option_table[flag - command->flag_count];
}

static const char *flag_name(const struct lz_command *command, size_t flag)
{
	return flag < command->flag_count ? command->flags[flag].name : flag_option(command, flag)->flag;
}

static const char *accepted_values(const struct lz_command *command, size_t flag)
{
	if (flag >= command->flag_count)
		return flag_option(command, flag)->accepts;
	return command->flags[flag].accepts != NULL ? command->flags[flag].accepts
						    : command->flags[flag].value;
}

static bool is_switch(const struct lz_command *command, size_t flag)
{
	return flag < command->flag_count && command->flags[flag].value == NULL;
}

static int choice_index(const struct lz_flag *flag, const char *value)
{
	for (int i = 0; flag->choices[i] != NULL; i++)
		if (strcmp(flag->choices[i], value) == 0)
			return i;
	return -1;
}

static bool is_accepted(const struct lz_command *command, size_t flag, const char *value)
{
	static struct lz_options scratch;

	if (flag >= command->flag_count)
		return lz_option_set(&scratch, flag_option(command, flag), value) == 0;
	return command->flags[flag].choices == NULL || choice_index(&command->flags[flag], value) >= 0;
}

/*
 * Makes the value of a path option absolute, since the program may change its directory. % signs of the
 * current directory are doubled if the library expands the value as a pattern. NULL if the result is too
 * long.
 */
static const char *absolute_value(const struct lz_option *option, const char *value)
{
	static char paths[8][LZ_OPTION_TEXT_MAX];
	static size_t used;
	bool is_pattern = option->kind == LZ_OPTION_LOG || option->kind == LZ_OPTION_PATTERN;
	struct lz_text path = lz_text_init(paths[used % 8], sizeof *paths);
	char directory[PATH_MAX];

	if (!lz_option_is_path(option, value) || *value == '/' || getcwd(directory, sizeof directory) == NULL)
		return value;
	for (const char *at = directory; *at != '\0'; at++) {
		if (is_pattern && *at == '%')
			lz_text_char(&path, '%');
		lz_text_char(&path, *at);
	}
	lz_text_char(&path, '/');
	lz_text_string(&path, value);
	used++;
	return path.truncated ? NULL : path.buffer;
}

static int report_unknown_flag(const struct lz_command *command, const char *word)
{
	size_t count = lz_arguments_flag_count(command);
	/* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): every command has a flag, --help */
	const char **names = calloc(count, sizeof *names);
	char name[48] = "";
	size_t length = strcspn(word, "=");
	int nearest = -1;

	if (names == NULL) {
		lz_fail_memory();
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		names[i] = flag_name(command, i);
	if (length > 2 && length - 2 < sizeof name) {
		memcpy(name, word + 2, length - 2);
		nearest = lz_nearest_name(name, names, count);
	}
	if (nearest >= 0)
		lz_fail_usage(command->name, "unknown option '%s'; did you mean '--%s'?",
			lz_printable(word).text, names[nearest]);
	else
		lz_fail_usage(command->name, "unknown option '%s'", lz_printable(word).text);
	free(names);
	return -EINVAL;
}

/*
 * Returns the number of the flag in a word such as "--budget=64M", "-o" or "-oFILE", or the count of flags if
 * there is none. Sets *value to the value within the word, or NULL.
 */
static size_t find_flag(const struct lz_command *command, const char *word, const char **value)
{
	size_t count = lz_arguments_flag_count(command);

	*value = NULL;
	if (word[1] != '-') {
		for (size_t i = 0; i < command->flag_count; i++)
			if (command->flags[i].letter != 0 && command->flags[i].letter == word[1]) {
				if (word[2] != '\0')
					*value = word + 2;
				return i;
			}
		return count;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = flag_name(command, i);
		size_t length = strlen(name);

		if (strncmp(word + 2, name, length) == 0 &&
			(word[2 + length] == '\0' || word[2 + length] == '=')) {
			if (word[2 + length] == '=')
				*value = word + 3 + length;
			return i;
		}
	}
	return count;
}

/* Parses the flag at *words and its value, and advances *words to the last word used. */
static int parse_flag(struct lz_arguments *arguments, char ***words)
{
	const struct lz_command *command = arguments->command;
	const char *word = **words;
	const char *value;
	size_t flag = find_flag(command, word, &value);

	if (flag == lz_arguments_flag_count(command))
		return report_unknown_flag(command, word);
	if (is_switch(command, flag)) {
		if (value != NULL) {
			lz_fail_usage(command->name, "--%s takes no value", flag_name(command, flag));
			return -EINVAL;
		}
		arguments->values[flag] = "";
		return 0;
	}
	if (value == NULL && flag < command->flag_count && command->flags[flag].value_optional) {
		arguments->values[flag] = "";
		return 0;
	}
	if (value == NULL && (*words)[1] != NULL)
		value = *++*words;
	if (value == NULL) {
		lz_fail_usage(command->name, "--%s needs a value: %s", flag_name(command, flag),
			accepted_values(command, flag));
		return -EINVAL;
	}
	if (!is_accepted(command, flag, value)) {
		lz_fail_usage(command->name, "--%s: \"%s\" is not accepted: it takes %s",
			flag_name(command, flag), lz_printable(value).text, accepted_values(command, flag));
		return -EINVAL;
	}
	if (flag >= command->flag_count &&
		(value = absolute_value(flag_option(command, flag), value)) == NULL) {
		lz_fail("--%s: the path is too long in this directory", flag_name(command, flag));
		return -EINVAL;
	}
	arguments->values[flag] = value;
	return 0;
}

static int parse_words(struct lz_arguments *arguments, char **words)
{
	bool flags_ended = false;

	for (; *words != NULL; words++) {
		int error;

		if (!flags_ended && strcmp(*words, "--") == 0) {
			flags_ended = true;
			arguments->double_dash = arguments->operand_count == 0;
		} else if (flags_ended || **words != '-' || strcmp(*words, "-") == 0) {
			arguments->operands[arguments->operand_count++] = *words;
			flags_ended = flags_ended || arguments->command->runs_program;
		} else if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) {
			arguments->help = true;
			return 0;
		} else if ((error = parse_flag(arguments, &words)) != 0) {
			return error;
		}
	}
	return 0;
}

int lz_arguments_parse(struct lz_arguments *arguments, const struct lz_command *command, char **words)
{
	size_t word_count = 0;
	int error;

	while (words[word_count] != NULL)
		word_count++;
	*arguments = (struct lz_arguments){
		.command = command,
		.values = calloc(lz_arguments_flag_count(command), sizeof *arguments->values),
		.operands = calloc(word_count + 1, sizeof *arguments->operands),
	};
	if (arguments->values == NULL || arguments->operands == NULL) {
		lz_fail_memory();
		return -ENOMEM;
	}
	error = parse_words(arguments, words);
	if (error || arguments->help)
		return error;
	if (!command->runs_program && arguments->operand_count > command->operands_max) {
		lz_fail_usage(command->name, "unexpected argument '%s'",
			lz_printable(arguments->operands[command->operands_max]).text);
		return -EINVAL;
	}
	return 0;
}

void lz_arguments_free(struct lz_arguments *arguments)
{
	free(arguments->values);
	free(arguments->operands);
}

const char *lz_arguments_option(const struct lz_arguments *arguments, size_t index)
{
	return arguments->values[arguments->command->flag_count + index];
}

struct lz_display lz_arguments_variable(size_t index)
{
	struct lz_display variable;
	struct lz_text text = lz_text_init(variable.text, sizeof variable.text);

	lz_text_string(&text, LZ_OPTION_PREFIX);
	lz_text_string(&text, lz_option_table[index].name);
	/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
	return variable;
}

unsigned lz_arguments_choice(const struct lz_arguments *arguments, size_t flag)
{
	const char *value = arguments->values[flag];

	return value != NULL ? (unsigned)choice_index(&arguments->command->flags[flag], value) : 0;
}

int lz_arguments_set_variables(const struct lz_arguments *arguments)
{
	for (size_t i = 0; i < lz_option_count; i++) {
		const char *value = lz_arguments_option(arguments, i);

		if (value != NULL && setenv(lz_arguments_variable(i).text, value, 1) != 0)
			return -errno;
	}
	return 0;
}
