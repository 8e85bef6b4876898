/* What the command says on standard error; see cli.h. */
#include "cli/common/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static void print_message(const char *prefix, const char *format, va_list values)
	__attribute__((format(printf, 2, 0)));

static void print_message(const char *prefix, const char *format, va_list values)
{
	fputs(prefix, stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
}

void lz_message(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	print_message("lazyzero: ", format, values);
	va_end(values);
}

void lz_warning(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	print_message("lazyzero: warning: ", format, values);
	va_end(values);
}

int lz_fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	print_message("lazyzero: ", format, values);
	va_end(values);
	return LZ_EXIT_FAILURE;
}

int lz_fail_usage(const char *name, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	print_message("lazyzero: ", format, values);
	va_end(values);
	fprintf(stderr, "Try 'lazyzero %s%s--help'.\n", name != NULL ? name : "", name != NULL ? " " : "");
	return LZ_EXIT_FAILURE;
}

bool lz_colours_enabled(FILE *stream)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(stream)) == 1 && (no == NULL || *no == '\0') && terminal != NULL &&
	       strcmp(terminal, "dumb") != 0;
}

struct lz_display lz_printable(const char *foreign)
{
	struct lz_display shown;
	struct lz_text text = lz_text_in(shown.text, sizeof shown.text);

	lz_text_foreign(&text, foreign);
	/* cppcheck-suppress uninitvar ; lz_text_in keeps its address: written through it */
	return shown;
}

struct lz_display lz_printable_tail(const char *foreign, size_t width)
{
	struct lz_display shown = lz_printable(foreign);
	size_t length = strlen(shown.text);

	if (length > width) {
		memmove(shown.text, shown.text + (length - width), width + 1);
		memset(shown.text, '.', 2);
	}
	return shown;
}

const char *lz_write_error_text(FILE *stream)
{
	clearerr(stream);
	errno = 0;
	return (fputc('\n', stream) == EOF || fflush(stream) != 0) && errno != 0 ? strerror(errno)
										 : "unknown error";
}

struct lz_display lz_size_text(uint64_t bytes)
{
	struct lz_display shown;
	struct lz_text text = lz_text_in(shown.text, sizeof shown.text);

	lz_text_size(&text, bytes);
	/* cppcheck-suppress uninitvar ; lz_text_in keeps its address: written through it */
	return shown;
}
