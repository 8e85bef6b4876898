/*
 * `lazyzero completion`: prints completion scripts for bash and zsh. They are generated from the tables of
 * commands, flags, options and columns, so they are always complete. The build installs the output.
 */
#include <string.h>

#include "cli/common/commands.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/completion/bash.h"
#include "cli/completion/zsh.h"

static int run(const struct lz_arguments *arguments)
{
	const char *shell = arguments->operands[0];

	if (shell == NULL)
		return lz_fail_usage("completion", "no shell given");
	if (strcmp(shell, "bash") == 0)
		lz_completion_bash(arguments->commands);
	else if (strcmp(shell, "zsh") == 0)
		lz_completion_zsh(arguments->commands);
	else
		return lz_fail_usage(
			"completion", "unknown shell '%s'; it takes bash or zsh", lz_printable(shell).text);
	return 0;
}

const struct lz_command lz_command_completion = {
	.name = "completion",
	.summary = "print completion for a shell",
	.usage = "bash|zsh",
	.description = "Prints a script that makes the shell complete the arguments of lazyzero: "
		       "eval \"$(lazyzero completion bash)\". 'make install' installs it.",
	.operands_max = 1,
	.run = run,
};
