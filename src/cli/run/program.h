/*
 * The program that is to be run, looked at before it starts: which executable it comes down to, and why the
 * library would have no effect in it, or a bad one.
 *
 * This only warns. What cannot be read or understood is left to exec, which says what is wrong with it.
 */
#ifndef LZ_CLI_TARGET_H
#define LZ_CLI_TARGET_H

#include <limits.h>

#include "cli/launch/elf.h"

struct lz_program {
	char path[PATH_MAX]; /* the executable: for a script its interpreter; "" when it was not found */
	char problem[128];   /* why the library does not work in it, behind "it is ..."; "" for none known */
	char effect[160];    /* what happens then */
	bool is_script;
	bool skip_preload; /* it is to run without the library: it would not start, or say what is not so */
};

/* Looks at `program` as execvp would find it. */
void lz_program_inspect(struct lz_program *program_info, const char *program, const struct lz_elf *library);

/* Says what is wrong with it, in one line on standard error; nothing when nothing is. */
void lz_program_warn(const struct lz_program *program_info, const char *program);

#endif
