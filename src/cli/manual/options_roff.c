/*
 * Prints the option table as a section of the manual page, in the man macros of roff. Run by make, not
 * installed.
 */
#include <stdio.h>

#include "support/options.h"

/*
 * Escapes text for roff. No line of it starts with a dot or a quote, since option texts start with letters.
 */
static void print_text(const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '\\':
			fputs("\\e", stdout);
			break;
		case '-':
			fputs("\\-", stdout);
			break;
		case '\'':
			fputs("\\(aq", stdout);
			break;
		case '~':
			fputs("\\(ti", stdout);
			break;
		case '^':
			fputs("\\(ha", stdout);
			break;
		case '`':
			fputs("\\(ga", stdout);
			break;
		default:
			putchar(*text);
		}
	}
}

static void print_bold(const char *text)
{
	fputs("\\fB", stdout);
	print_text(text);
	fputs("\\fR", stdout);
}

static void print_option(const struct lz_option *option)
{
	puts(".TP");
	fputs("\\fB\\-\\-", stdout);
	print_text(option->flag);
	fputs("\\fR=\\fI", stdout);
	print_text(option->value);
	fputs("\\fR, ", stdout);
	fputs("\\fB" LZ_OPTION_PREFIX, stdout);
	print_text(option->name);
	puts("\\fR");
	print_text(option->help);
	fputs("\nTakes ", stdout);
	print_text(option->accepts);
	if (*option->default_value != '\0') {
		fputs("; the default is ", stdout);
		print_bold(option->default_value);
	}
	puts(".");
}

int main(void)
{
	for (size_t i = 0; i < lz_option_count; i++)
		print_option(&lz_option_table[i]);
	return fflush(stdout) != 0 || ferror(stdout);
}
