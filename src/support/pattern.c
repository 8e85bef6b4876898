/* Paths with % sequences; see pattern.h. */
#include "support/pattern.h"

#include "support/options.h"

void lz_pattern_keep(char *kept, size_t capacity, const struct lz_os *os, const char *pattern)
{
	struct lz_text text = lz_text_init(kept, capacity);

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

void lz_pattern_expand(
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
