/*
 * The `lazyzero` command: finds the subcommand, parses its arguments, runs it.
 *
 * It guarantees two things to every subcommand: descriptors 0 to 2 are open, so that no file opened later
 * gets one of these numbers, and a failure to write standard output makes the command fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/display.h"
#include "cli/common/help.h"
#include "cli/common/messages.h"
#include "config.h"

/* NULL-terminated. */
static const struct lz_command *const commands[] = {
	&lz_command_run,
	&lz_command_stat,
	&lz_command_top,
	&lz_command_report,
	&lz_command_plot,
	&lz_command_compare,
	&lz_command_collapse,
	&lz_command_doctor,
	&lz_command_metrics,
	&lz_command_cost,
	&lz_command_env,
	&lz_command_completion,
	NULL,
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands - 1)

/*
 * Opens /dev/null at each of descriptors 0 to 2 that is closed: for writing at 0 and for reading at 1 and 2,
 * so that using it still fails with EBADF; and close-on-exec, so that the program to run finds it closed.
 */
static int open_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
			open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC) != fd)
			return -EBADF;
	return 0;
}

static const struct lz_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int report_unknown_command(const char *name)
{
	const char *names[COMMAND_COUNT];
	int nearest;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = commands[i]->name;
	nearest = lz_nearest_name(name, names, COMMAND_COUNT);
	if (nearest >= 0)
		return lz_fail_usage(NULL, "unknown command '%s'; did you mean '%s'?",
			lz_printable(name).text, names[nearest]);
	return lz_fail_usage(
		NULL, "unknown %s '%s'", *name == '-' ? "option" : "command", lz_printable(name).text);
}

static int print_help(char **words)
{
	const struct lz_command *command = NULL;

	if (words[0] != NULL) {
		command = find_command(words[0]);
		if (command == NULL)
			return report_unknown_command(words[0]);
	}
	if (command != NULL)
		lz_help_command(command);
	else
		lz_help_all(commands);
	return 0;
}

static int run_command(const struct lz_command *command, char **words)
{
	struct lz_arguments arguments;
	int status = LZ_EXIT_FAILURE;

	if (lz_arguments_parse(&arguments, command, words) == 0) {
		arguments.commands = commands;
		status = 0;
		if (arguments.help)
			lz_help_command(command);
		else
			status = command->run(&arguments);
	}
	lz_arguments_free(&arguments);
	return status;
}

static int dispatch(char **words)
{
	const struct lz_command *command;

	if (words[0] == NULL)
		return lz_fail_usage(NULL, "no command given");
	if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0 || strcmp(words[0], "help") == 0)
		return print_help(words + 1);
	if (strcmp(words[0], "--version") == 0) {
		puts("lazyzero " PACKAGE_VERSION);
		return 0;
	}
	command = find_command(words[0]);
	return command != NULL ? run_command(command, words + 1) : report_unknown_command(words[0]);
}

int main(int argc, char **argv)
{
	int status;

	if (open_standard_descriptors())
		return LZ_EXIT_FAILURE;
	status = dispatch(argc > 0 ? argv + 1 : argv);
	if (ferror(stdout) | (fflush(stdout) != 0))
		return lz_fail("cannot write to standard output: %s", lz_write_error_text(stdout));
	return status;
}
