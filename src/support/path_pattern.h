/*
 * Paths with % sequences, as LAZYZERO_LOG and LAZYZERO_REPORT take them: %p is the process id, %e the
 * executable's name, %% a percent sign. Allocates nothing; safe in signal handlers.
 */
#ifndef LZ_SUPPORT_PATH_PATTERN_H
#define LZ_SUPPORT_PATH_PATTERN_H

#include <stddef.h>

#include "base/text.h"
#include "os/os.h"

/* Keeps a pattern as an absolute one: the program may change its directory. Cut where it does not fit. */
void lz_path_pattern_make_absolute(
	char *absolute, size_t capacity, const struct lz_os *os, const char *pattern);

/* Appends the path of this process. executable is a base name: what is put in contains no slash. */
void lz_path_pattern_expand(
	const char *pattern, const struct lz_os *os, const char *executable, struct lz_text *path);

#endif
