/* Messages on standard error. */
#ifndef LZ_CLI_COMMON_MESSAGES_H
#define LZ_CLI_COMMON_MESSAGES_H

#include <stdbool.h>
#include <stdio.h>

/* Print a line that starts with "lazyzero: " or "lazyzero: warning: ". */
void lz_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void lz_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the message and returns LZ_EXIT_FAILURE. */
int lz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* lz_fail, followed by "Try 'lazyzero NAME --help'." ('lazyzero --help' if name is NULL). */
int lz_fail_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The messages of an operation on a file that failed; both return LZ_EXIT_FAILURE. */
int lz_fail_read(const char *path, int error);
int lz_fail_write(const char *path, int error);
int lz_fail_memory(void);

/* Whether to use colours: on a terminal that supports them, unless NO_COLOR is set (no-color.org). */
bool lz_colours_enabled(FILE *stream);

/* The reason why writing to the stream failed. Found by writing one more byte. */
const char *lz_write_error_text(FILE *stream);

#endif
