/* Texts for output; see display.h. */
#include "cli/common/display.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct lz_display lz_printable(const char *untrusted)
{
	struct lz_display display;
	struct lz_text text = lz_text_init(display.text, sizeof display.text);

	lz_text_escaped(&text, untrusted);
	/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
	return display;
}

struct lz_display lz_printable_tail(const char *untrusted, size_t width)
{
	/* Cut before lz_printable does, which keeps the beginning; then again what its escapes have
	 * lengthened. */
	size_t whole = strlen(untrusted);
	bool is_cut = whole > width;
	struct lz_display display = lz_printable(is_cut ? untrusted + (whole - width) : untrusted);
	size_t length = strlen(display.text);

	if (length > width)
		memmove(display.text, display.text + (length - width), width + 1);
	if (is_cut || length > width)
		memset(display.text, '.', 2);
	return display;
}

struct lz_display lz_size_text(uint64_t bytes)
{
	struct lz_display display;
	struct lz_text text = lz_text_init(display.text, sizeof display.text);

	lz_text_size(&text, bytes);
	/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
	return display;
}

struct lz_display lz_size_text_in(uint64_t bytes, enum lz_units units)
{
	struct lz_display display;

	if (units == LZ_UNITS_AUTO) {
		char *space;

		display = lz_size_text(bytes);
		space = strchr(display.text, ' ');
		/* "1.02 GiB" becomes "1.02G". */
		if (space != NULL) {
			space[0] = space[1];
			space[1] = '\0';
		}
		return display;
	}
	unsigned shift = 10 * ((unsigned)units - LZ_UNITS_B);
	uint64_t whole = bytes >> shift;

	snprintf(display.text, sizeof display.text, "%" PRIu64, whole + (whole << shift != bytes));
	return display;
}

const char *lz_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}
