/*
 * Paths with % sequences, as used by LAZYZERO_LOG and LAZYZERO_REPORT: %p is the process id, %e the name of
 * the executable, %% a percent sign. Allocates nothing. Thread-safe and async-signal-safe.
 */
#ifndef LZ_SUPPORT_PATH_PATTERN_H
#define LZ_SUPPORT_PATH_PATTERN_H

#include <stddef.h>

#include "base/text.h"
#include "os/os.h"

/*
 * Copies a pattern to `absolute` (at most `capacity` bytes, truncated if it does not fit) and makes it
 * absolute, because the program may change its working directory.
 */
void lz_path_pattern_make_absolute(
	char *absolute, size_t capacity, const struct lz_os *os, const char *pattern);

/* Appends the path for this process. executable must be a base name, so that the expansion adds no slash. */
void lz_path_pattern_expand(
	const char *pattern, const struct lz_os *os, const char *executable, struct lz_text *path);

#endif
