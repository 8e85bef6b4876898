/* Messages on standard error; see messages.h. */
#include "cli/common/messages.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/command.h"
#include "cli/common/display.h"

/* A macro, since va_start is valid only in the variadic function itself. */
#define PRINT(prefix, format)                                                                                \
	do {                                                                                                 \
		va_list values;                                                                              \
                                                                                                             \
		va_start(values, format);                                                                    \
		fputs("lazyzero: " prefix, stderr);                                                          \
		vfprintf(stderr, format, values);                                                            \
		fputc('\n', stderr);                                                                         \
		va_end(values);                                                                              \
	} while (0)

void lz_message(const char *format, ...)
{
	PRINT("", format);
}

void lz_warning(const char *format, ...)
{
	PRINT("warning: ", format);
}

int lz_fail(const char *format, ...)
{
	PRINT("", format);
	return LZ_EXIT_FAILURE;
}

int lz_fail_usage(const char *name, const char *format, ...)
{
	PRINT("", format);
	fprintf(stderr, "Try 'lazyzero %s%s--help'.\n", name != NULL ? name : "", name != NULL ? " " : "");
	return LZ_EXIT_FAILURE;
}

int lz_fail_read(const char *path, int error)
{
	return lz_fail("cannot read '%s': %s", lz_printable(path).text, strerror(error));
}

int lz_fail_write(const char *path, int error)
{
	return lz_fail("cannot write '%s': %s", lz_printable(path).text, strerror(error));
}

int lz_fail_memory(void)
{
	return lz_fail("out of memory");
}

bool lz_colours_enabled(FILE *stream)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(stream)) == 1 && (no_color == NULL || *no_color == '\0') && terminal != NULL &&
	       strcmp(terminal, "dumb") != 0;
}

const char *lz_write_error_text(FILE *stream)
{
	clearerr(stream);
	errno = 0;
	return (fputc('\n', stream) == EOF || fflush(stream) != 0) && errno != 0 ? strerror(errno)
										 : "unknown error";
}
