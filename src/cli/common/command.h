/*
 * What the subcommands of `lazyzero` share: how one is described, how its arguments arrive, how it fails.
 *
 * A subcommand is a constant of type struct lz_command; main.c lists them all, parses the arguments by that
 * description and calls it. Standard output is for what was asked for; everything else goes to standard
 * error. The command runs in one thread.
 */
#ifndef LZ_CLI_CLI_H
#define LZ_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses, as env(1) has them. */
enum {
	LZ_EXIT_FAILURE = 125,     /* the command itself failed */
	LZ_EXIT_CANNOT_EXEC = 126, /* the program was found and could not be run */
	LZ_EXIT_NOT_FOUND = 127
};

/* A flag of one subcommand; those of the option table (support/options.h) come on top. */
struct lz_flag {
	const char *name;  /* "summary" for --summary */
	const char *value; /* a word for its value in usage lines; NULL: a switch, without a value */
	const char *help;
	const char *const *choices; /* what is accepted, NULL-terminated; NULL: any text */
	const char *accepts;        /* the choices, to end the sentence "it takes ..." */
	char letter;                /* 'o' where -o means the same; 0: none */
};

/* A short text by value, to be used as lz_printable(x).text within one expression. */
struct lz_display {
	char text[272];
};

struct lz_arguments;

struct lz_command {
	const char *name;
	const char *summary;     /* one line */
	const char *usage;       /* what follows the name in the usage line */
	const char *description; /* a paragraph for --help */
	const struct lz_flag *flags;
	size_t flag_count;
	bool takes_options;      /* every option of the table is a flag, too */
	bool runs_program;       /* the first operand ends the flags: what follows belongs to the program */
	int operands_max;        /* not looked at where runs_program */
	void (*more_help)(void); /* prints what ends --help; NULL: nothing */
	int (*run)(const struct lz_arguments *arguments); /* returns the exit status */
};

struct lz_arguments {
	const struct lz_command *command;
	const char **values; /* by flag, then by option of the table; NULL: not given, "" for a switch */
	char **operands;     /* NULL-terminated */
	int operand_count;
	bool double_dash; /* "--" stood before the operands */
	bool help;        /* --help was given; the rest does not count */
};

extern const struct lz_command lz_command_run;
extern const struct lz_command lz_command_cost;
extern const struct lz_command lz_command_env;
extern const struct lz_command lz_command_stat;
extern const struct lz_command lz_command_top;
extern const struct lz_command lz_command_doctor;
extern const struct lz_command lz_command_compare;
extern const struct lz_command lz_command_metrics;
extern const struct lz_command lz_command_completion;
extern const struct lz_command lz_command_plot;
extern const struct lz_command lz_command_report;

/* All of them. */
extern const struct lz_command *const lz_commands[];
extern const size_t lz_command_count;

/* --- flags.c --- */

/*
 * Parses the words behind a subcommand's name (NULL-terminated) and checks every value. Returns 0, or -EINVAL
 * or -ENOMEM after saying what is wrong. To be freed in any case.
 */
int lz_arguments_parse(struct lz_arguments *arguments, const struct lz_command *command, char **words);
void lz_arguments_free(struct lz_arguments *arguments);

/* The value given for option `index` of the option table, or NULL. */
const char *lz_arguments_option(const struct lz_arguments *arguments, size_t index);

/* The environment variable of that option. */
struct lz_display lz_arguments_variable(size_t index);

/*
 * Sets the variables of the options that were given, for the programs to run; they inherit the others that
 * this process has. Returns 0 or -ENOMEM.
 */
int lz_arguments_set_variables(const struct lz_arguments *arguments);

/* The index of a checked flag's value in its choices; 0, the first one, when it was not given. */
unsigned lz_arguments_choice(const struct lz_arguments *arguments, size_t flag);

/* --- help.c --- */

void lz_help_all(const struct lz_command *const commands[], size_t count);
void lz_help_command(const struct lz_command *command);

/*
 * Prints text in lines that begin at column `indent` and end before column 80; the cursor is at `column` of
 * the first one.
 */
void lz_print_wrapped(const char *text, size_t indent, size_t column);

/* --- messages.c --- */

/* A line on standard error behind "lazyzero: ", or behind "lazyzero: warning: ". */
void lz_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void lz_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* lz_message, and the exit status of the command's own failures. */
int lz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* lz_fail, and where to read on: "Try 'lazyzero NAME --help'." (name NULL: 'lazyzero --help'). */
int lz_fail_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether colours are wanted there: on a terminal that has them, without NO_COLOR (no-color.org). */
bool lz_colours_enabled(FILE *stream);

/* Text from outside made safe for a terminal. */
struct lz_display lz_printable(const char *text);

/* The same in no more than `width` columns: of a longer one, ".." and the end, which tells paths apart. */
struct lz_display lz_printable_tail(const char *text, size_t width);

/* Why a stream could not be written: the error that one more byte meets. */
const char *lz_write_error_text(FILE *stream);

/* A byte count as a person reads it. */
struct lz_display lz_size_text(uint64_t bytes);

#endif
