/* Reads the fields of a line; see line.h. */
#include "cli/report/line.h"

uint64_t lz_report_line_u64(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value)
									: UINT64_MAX;
}

const char *lz_report_line_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}

void lz_report_unescape_bytes(char *text)
{
	unsigned char *to = (unsigned char *)text;

	for (const unsigned char *at = to; *at != 0; at++)
		/* U+0080 to U+00FF take two bytes in UTF-8: 110000xx 10xxxxxx. */
		if ((*at & 0xfc) == 0xc0 && (at[1] & 0xc0) == 0x80) {
			*to++ = (unsigned char)(*at << 6 | (at[1] & 0x3f));
			at++;
		} else {
			*to++ = *at;
		}
	*to = 0;
}
