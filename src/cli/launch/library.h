/* Finds liblazyzero and sets LD_PRELOAD. */
#ifndef LZ_CLI_LAUNCH_LIBRARY_H
#define LZ_CLI_LAUNCH_LIBRARY_H

#include <limits.h>

#include "cli/launch/elf.h"

/* The flag --library of a subcommand (struct lz_flag). */
#define LZ_LIBRARY_FLAG                                                                                      \
	{                                                                                                    \
		"library", "PATH",                                                                           \
			"The library to preload, instead of the one built or installed with this command.",  \
			NULL, NULL, 0                                                                        \
	}

struct lz_library {
	char path[PATH_MAX]; /* absolute */
	struct lz_elf elf;
};

/*
 * Uses the path that the user gave, or for NULL searches the places where the library is built and installed.
 * Returns 0, or -errno after an error message that names a remedy.
 */
int lz_library_find(struct lz_library *library, const char *given);

/* Sets LD_PRELOAD to a library, followed by `others` (NULL or "": none). Returns 0 or -ENOMEM. */
int lz_preload_set(const char *library, const char *others);

/* Adds the library at the start of this process's LD_PRELOAD. Returns 0 or -ENOMEM. */
int lz_library_preload(const struct lz_library *library);

#endif
