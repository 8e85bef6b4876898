/* Escapes text for HTML; see html_escape.h. */
#include "cli/report/html_escape.h"

#include <jansson.h>
#include <stdbool.h>

static bool is_utf8(const char *text)
{
	json_t *value = json_string(text);

	json_decref(value);
	return value != NULL;
}

void lz_html_escape(FILE *page, const char *text)
{
	bool valid_utf8 = is_utf8(text);

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		switch (c) {
		case '&':
			fputs("&amp;", page);
			break;
		case '<':
			fputs("&lt;", page);
			break;
		case '>':
			fputs("&gt;", page);
			break;
		case '"':
			fputs("&quot;", page);
			break;
		case '\'':
			fputs("&#39;", page);
			break;
		default:
			if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid_utf8))
				fprintf(page, "\\x%02x", c);
			else
				putc(c, page);
		}
	}
}
