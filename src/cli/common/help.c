/* Prints the help texts; see help.h. */
#include "cli/common/help.h"

#include <stdio.h>
#include <string.h>

#include "support/options.h"

#define WIDTH 79u

void lz_print_wrapped_to(FILE *stream, const char *text, size_t indent, size_t column)
{
	bool at_start = true;

	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (!at_start && column + 1 + length > WIDTH) {
			putc('\n', stream);
			column = 0;
			at_start = true;
		}
		if (at_start && column < indent) {
			fprintf(stream, "%*s", (int)(indent - column), "");
			column = indent;
		} else if (!at_start) {
			putc(' ', stream);
			column++;
		}
		fprintf(stream, "%.*s", (int)length, text);
		column += length;
		at_start = false;
		text += length;
		text += strspn(text, " ");
	}
	putc('\n', stream);
}

void lz_print_wrapped(const char *text, size_t indent, size_t column)
{
	lz_print_wrapped_to(stdout, text, indent, column);
}

static void print_flag(const struct lz_flag *flag)
{
	if (flag->letter != 0)
		printf("  -%c, --%s", flag->letter, flag->name);
	else
		printf("  --%s", flag->name);
	if (flag->value != NULL)
		printf(flag->value_optional ? "[=%s]" : "=%s", flag->value);
	putchar('\n');
	lz_print_wrapped(flag->help, 6, 0);
}

static void print_option(const struct lz_option *option)
{
	char help[1024];

	snprintf(help, sizeof help, "%s%s%s", option->help,
		*option->default_value != '\0' ? " Default: " : "", option->default_value);
	print_flag(&(struct lz_flag){.name = option->flag, .value = option->value, .help = help});
}

void lz_help_all(const struct lz_command *const *commands)
{
	fputs("Usage: lazyzero COMMAND [ARGUMENTS]\n"
	      "\n"
	      "Serves large zeroed memory lazily, accounts for the page tables it needs,\n"
	      "and keeps them inside a budget.\n"
	      "\n"
	      "Commands:\n",
		stdout);
	for (size_t i = 0; commands[i] != NULL; i++)
		printf("  %-10s  %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help        show the help of a command\n"
	      "\n"
	      "Options:\n"
	      "  --help     show this text\n"
	      "  --version  show the version\n"
	      "\n"
	      "Run 'lazyzero COMMAND --help' for the options of a command; see also lazyzero(1).\n",
		stdout);
}

void lz_help_command(const struct lz_command *command)
{
	printf("Usage: lazyzero %s %s\n\n", command->name, command->usage);
	lz_print_wrapped(command->description, 0, 0);
	printf("\nOptions:\n");
	for (size_t i = 0; i < command->flag_count; i++)
		print_flag(&command->flags[i]);
	print_flag(&(struct lz_flag){.name = "help", .letter = 'h', .help = "Show this text."});
	if (command->more_help != NULL)
		command->more_help();
	if (!command->takes_options)
		return;
	printf("\nOptions of the library; --NAME sets the variable LAZYZERO_NAME:\n");
	for (size_t i = 0; i < lz_option_count; i++)
		print_option(&lz_option_table[i]);
}
