/* Where liblazyzero is, and the LD_PRELOAD that loads it. */
#ifndef LZ_CLI_LIBRARY_H
#define LZ_CLI_LIBRARY_H

#include <limits.h>

#include "cli/launch/elf.h"

/* The flag by which a subcommand lets the user name the library (struct lz_flag). */
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
 * Takes the path that the user gave, or with NULL looks where the library is built and installed. Returns 0,
 * or -ENOENT and the like after saying what is wrong and what to do.
 */
int lz_library_find(struct lz_library *library, const char *given);

/* Puts the library in front of what LD_PRELOAD of this process names. Returns 0 or -ENOMEM. */
int lz_library_preload(const struct lz_library *library);

#endif
