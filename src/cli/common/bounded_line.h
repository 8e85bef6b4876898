/* Reads lines of bounded length, so that a hostile file without newlines cannot exhaust memory. */
#ifndef LZ_CLI_COMMON_BOUNDED_LINE_H
#define LZ_CLI_COMMON_BOUNDED_LINE_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* Gets a line with its newline, which the last line may lack; not NUL-terminated. Returns 0 to continue. */
typedef int lz_bounded_line_visit(void *context, const char *line, size_t length);

/*
 * Calls `visit` for each line until it returns an exit status other than 0, which is then returned. Returns
 * 0, or the exit status after an error message, also if a line is longer than `max` bytes. `path` is for
 * messages.
 */
int lz_bounded_lines_each(
	FILE *stream, const char *path, size_t max, lz_bounded_line_visit *visit, void *context);

#endif
