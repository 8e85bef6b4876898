/*
 * The description of a subcommand of `lazyzero`, and its parsed arguments.
 *
 * Each subcommand is a constant of type struct lz_command. main.c lists them all, parses the command line
 * according to the description and calls `run`. Requested output goes to standard output, everything else to
 * standard error. The command is single-threaded.
 */
#ifndef LZ_CLI_COMMON_COMMAND_H
#define LZ_CLI_COMMON_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, from 125 on the same as those of env(1). */
enum {
	LZ_EXIT_LIMIT = 123,       /* `run`: a process exceeded --fail-tables */
	LZ_EXIT_FAILURE = 125,     /* the command itself failed */
	LZ_EXIT_CANNOT_EXEC = 126, /* the program was found but could not be executed */
	LZ_EXIT_NOT_FOUND = 127
};

/* A flag of one subcommand. Options of the library (support/options.h) are described by their own table. */
struct lz_flag {
	const char *name;  /* "summary" for --summary */
	const char *value; /* placeholder for its value in usage lines; NULL: a switch, without a value */
	const char *help;
	const char *const *choices; /* accepted values, NULL-terminated; NULL: any text */
	const char *accepts;        /* the accepted values in words, to complete "it takes ..." */
	char letter;                /* 'o' for the short form -o; 0: none */
	bool value_optional;        /* --name without "=value" is accepted as well; its value is then "" */
};

struct lz_arguments;

struct lz_command {
	const char *name;
	const char *summary;     /* one line */
	const char *usage;       /* the arguments in the usage line */
	const char *description; /* a paragraph for --help */
	const struct lz_flag *flags;
	size_t flag_count;
	bool takes_options;      /* every option of the library is accepted as a flag as well */
	bool runs_program;       /* the first operand ends the flags; the rest are arguments of the program */
	int operands_max;        /* ignored if runs_program is set */
	void (*more_help)(void); /* prints the last section of --help; NULL: none */
	int (*run)(const struct lz_arguments *arguments); /* returns the exit status */
};

struct lz_arguments {
	const struct lz_command *command;
	const struct lz_command *const *commands; /* every subcommand, NULL-terminated */
	const char **values; /* by flag, then by library option; NULL: not given, "" for a switch */
	char **operands;     /* NULL-terminated */
	int operand_count;
	bool double_dash; /* "--" precedes the operands */
	bool help;        /* --help was given; the other members are incomplete */
};

#endif
