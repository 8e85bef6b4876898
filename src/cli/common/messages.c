/* What the command says on standard error; see cli.h. */
#include "cli/common/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static void say(const char *prefix, const char *format, va_list values) __attribute__((format(printf, 2, 0)));

static void say(const char *prefix, const char *format, va_list values)
{
	fputs(prefix, stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
}

void lz_say(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say("lazyzero: ", format, values);
	va_end(values);
}

void lz_warn(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say("lazyzero: warning: ", format, values);
	va_end(values);
}

int lz_fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say("lazyzero: ", format, values);
	va_end(values);
	return LZ_EXIT_OURS;
}

int lz_fail_usage(const char *name, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say("lazyzero: ", format, values);
	va_end(values);
	fprintf(stderr, "Try 'lazyzero %s%s--help'.\n", name != NULL ? name : "", name != NULL ? " " : "");
	return LZ_EXIT_OURS;
}

bool lz_colours(FILE *stream)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(stream)) == 1 && (no == NULL || *no == '\0') && terminal != NULL &&
	       strcmp(terminal, "dumb") != 0;
}

struct lz_shown lz_shown(const char *foreign)
{
	struct lz_shown shown;
	struct lz_text text = lz_text_in(shown.text, sizeof shown.text);

	lz_text_foreign(&text, foreign);
	/* cppcheck-suppress uninitvar ; lz_text_in keeps its address: written through it */
	return shown;
}

struct lz_shown lz_shown_end(const char *foreign, size_t width)
{
	struct lz_shown shown = lz_shown(foreign);
	size_t length = strlen(shown.text);

	if (length > width) {
		memmove(shown.text, shown.text + (length - width), width + 1);
		memset(shown.text, '.', 2);
	}
	return shown;
}

const char *lz_why_not_written(FILE *stream)
{
	clearerr(stream);
	errno = 0;
	return (fputc('\n', stream) == EOF || fflush(stream) != 0) && errno != 0 ? strerror(errno)
										 : "unknown error";
}

struct lz_shown lz_shown_size(uint64_t bytes)
{
	struct lz_shown shown;
	struct lz_text text = lz_text_in(shown.text, sizeof shown.text);

	lz_text_size(&text, bytes);
	/* cppcheck-suppress uninitvar ; lz_text_in keeps its address: written through it */
	return shown;
}
