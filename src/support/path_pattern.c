/* Path patterns; see path_pattern.h. */
#include "support/path_pattern.h"

#include "support/options.h"

void lz_path_pattern_make_absolute(
	char *absolute, size_t capacity, const struct lz_os *os, const char *pattern)
{
	struct lz_text text = lz_text_init(absolute, capacity);

	if (*pattern != '/') {
		char directory[LZ_OPTION_TEXT_MAX];

		if (os->getcwd(directory, sizeof directory) > 0 && *directory == '/') {
			for (const char *at = directory; *at != '\0'; at++) {
				if (*at == '%')
					lz_text_char(&text, '%');
				lz_text_char(&text, *at);
			}
			lz_text_char(&text, '/');
		}
	}
	lz_text_string(&text, pattern);
}

void lz_path_pattern_expand(
	const char *pattern, const struct lz_os *os, const char *executable, struct lz_text *path)
{
	for (const char *at = pattern; *at != '\0'; at++) {
		if (*at != '%' || at[1] == '\0') {
			lz_text_char(path, *at);
			continue;
		}
		at++;
		if (*at == 'p') {
			lz_text_i64(path, os->getpid());
		} else if (*at == 'e') {
			lz_text_string(path, executable);
		} else {
			if (*at != '%')
				lz_text_char(path, '%');
			lz_text_char(path, *at);
		}
	}
}
