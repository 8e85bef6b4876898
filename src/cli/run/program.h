/*
 * Inspects the program before it is run: which executable it resolves to, and why the library would have no
 * effect, or a harmful one, in it.
 *
 * This only produces a warning. Programs that cannot be read or recognised are left to exec, which reports
 * the error.
 */
#ifndef LZ_CLI_RUN_PROGRAM_H
#define LZ_CLI_RUN_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "cli/launch/elf.h"

struct lz_program {
	char path[PATH_MAX]; /* the executable, for a script its interpreter; "" if not found */
	char problem[128]; /* why the library does not work in it, to complete "it is ..."; "": none known */
	char effect[160];  /* the consequence */
	bool is_script;
	bool skip_preload; /* run it without the library, which would break it */
};

/* Inspects `program`, searched for as execvp does. */
void lz_program_inspect(struct lz_program *executable, const char *program, const struct lz_elf *library);

/* Prints the problem, if there is one, as one line on standard error. */
void lz_program_warn(const struct lz_program *executable, const char *program);

#endif
