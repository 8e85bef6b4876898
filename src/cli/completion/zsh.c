/* Generates the script for zsh; see zsh.h. */
#include "cli/completion/zsh.h"

#include <stdio.h>
#include <string.h>

#include "cli/common/arguments.h"
#include "cli/completion/candidates.h"

/* Prints the first sentence, escaped for single quotes and brackets. */
static void print_help(const char *help)
{
	for (; *help != '\0' && !(help[0] == '.' && (help[1] == ' ' || help[1] == '\0')); help++) {
		if (*help == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *help) != NULL)
			printf("\\%c", *help);
		else
			putchar(*help);
	}
}

static void print_values(const struct lz_completion_flag *entry)
{
	printf(":%s:", entry->value);
	switch (entry->kind) {
	case LZ_VALUE_WORD:
	case LZ_VALUE_LIST:
		fputs(entry->kind == LZ_VALUE_WORD ? "((" : "_sequence compadd - ", stdout);
		for (size_t i = 0; entry->words[i] != NULL; i++) {
			fputs(i > 0 ? " " : "", stdout);
			for (const char *at = entry->words[i]; *at != '\0'; at++)
				printf("%s%c", *at == ' ' ? "\\" : "", *at);
		}
		fputs(entry->kind == LZ_VALUE_WORD ? "))" : "", stdout);
		break;
	case LZ_VALUE_FILE:
		fputs("_files", stdout);
		break;
	case LZ_VALUE_DIRECTORY:
		fputs("_files -/", stdout);
		break;
	default:
		putchar(' ');
	}
}

static void print_command(const struct lz_command *command)
{
	printf("\t%s)\n\t\t_arguments -s \\\n", command->name);
	for (size_t i = 0; i < lz_arguments_flag_count(command); i++) {
		struct lz_completion_flag entry = lz_completion_flag_at(command, i);

		/* -o FILE, -oFILE and --output=FILE. */
		for (int form = entry.letter != 0 ? 0 : 1; form < 2; form++) {
			fputs("\t\t\t'", stdout);
			if (form == 0)
				printf("-%c%s[", entry.letter, entry.kind != LZ_VALUE_NONE ? "+" : "");
			else
				printf("--%s%s[", entry.name, entry.kind != LZ_VALUE_NONE ? "=" : "");
			print_help(entry.help);
			putchar(']');
			if (entry.kind != LZ_VALUE_NONE)
				print_values(&entry);
			puts("' \\");
		}
	}
	printf("\t\t\t'(- *)'{-h,--help}'[Show the help]' \\\n\t\t\t'%s'\n\t\t;;\n",
		command->runs_program           ? "*:::program: _normal"
		: lz_operands_are_pids(command) ? "*:process ID:_pids"
		: lz_operands_are_files(command)
			? command->operands_max > 1 ? "*:report:_files" : "1:record:_files"
		: lz_operand_is_shell(command) ? "1:shell:(bash zsh)"
		: command->operands_max > 0    ? "1:operand: "
					       : "*: :()");
}

void lz_completion_zsh(const struct lz_command *const *commands)
{
	/* Not named command or commands, which are parameters of zsh. */
	fputs("#compdef lazyzero\n# zsh completion for lazyzero; printed by 'lazyzero completion zsh'.\n\n"
	      "_lazyzero()\n{\n\tlocal -a subcommands=(\n",
		stdout);
	for (size_t i = 0; commands[i] != NULL; i++) {
		printf("\t\t'%s:", commands[i]->name);
		print_help(commands[i]->summary);
		puts("'");
	}
	fputs("\t\t'help:show the help of a command'\n\t)\n"
	      "\tif ((CURRENT == 2)); then\n\t\t_describe -t commands command subcommands\n"
	      "\t\t_arguments --help --version\n\t\treturn\n\tfi\n"
	      "\tlocal subcommand=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $subcommand in\n",
		stdout);
	for (size_t i = 0; commands[i] != NULL; i++)
		print_command(commands[i]);
	fputs("\thelp) _describe -t commands command subcommands ;;\n\tesac\n}\n\n"
	      /* If autoloaded, this file is the body of the function; under eval it only defines it. */
	      "if [[ $funcstack[1] == _lazyzero ]]; then\n\t_lazyzero \"$@\"\nelse\n\tcompdef _lazyzero "
	      "lazyzero\nfi\n",
		stdout);
}
