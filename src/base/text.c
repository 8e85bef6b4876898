/* Builds text in a buffer of the caller; see text.h. */
#include "base/text.h"

#include <string.h>

#define MAX_ESCAPED_BYTES 64u

static const char hex_digits[] = "0123456789abcdef";

struct lz_text lz_text_init(char *buffer, size_t capacity)
{
	struct lz_text text = {.buffer = buffer, .capacity = capacity, .length = 0, .truncated = false};

	buffer[0] = '\0';
	return text;
}

void lz_text_bytes(struct lz_text *text, const char *bytes, size_t length)
{
	size_t room = text->capacity - text->length - 1;

	if (length > room) {
		length = room;
		text->truncated = true;
	}
	memcpy(text->buffer + text->length, bytes, length);
	text->length += length;
	text->buffer[text->length] = '\0';
}

void lz_text_char(struct lz_text *text, char c)
{
	lz_text_bytes(text, &c, 1);
}

void lz_text_string(struct lz_text *text, const char *string)
{
	lz_text_bytes(text, string, strlen(string));
}

void lz_text_u64(struct lz_text *text, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	lz_text_bytes(text, digits + at, sizeof digits - at);
}

void lz_text_i64(struct lz_text *text, int64_t value)
{
	if (value < 0)
		lz_text_char(text, '-');
	lz_text_u64(text, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void lz_text_hex(struct lz_text *text, uint64_t value)
{
	char digits[16];
	size_t at = sizeof digits;

	do {
		digits[--at] = hex_digits[value & 15];
		value >>= 4;
	} while (value != 0);
	lz_text_string(text, "0x");
	lz_text_bytes(text, digits + at, sizeof digits - at);
}

/* Appends scaled / 10^places with exactly that many decimals. */
static void append_fixed_point(struct lz_text *text, uint64_t scaled, unsigned places)
{
	uint64_t unit = places == 2 ? 100 : places == 1 ? 10 : 1;

	lz_text_u64(text, scaled / unit);
	if (places == 0)
		return;
	lz_text_char(text, '.');
	if (places == 2)
		lz_text_char(text, (char)('0' + scaled / 10 % 10));
	lz_text_char(text, (char)('0' + scaled % 10));
}

void lz_text_size(struct lz_text *text, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned shift = 0;
	unsigned unit = 0;

	while (unit + 1 < sizeof units / sizeof *units && bytes >> shift >= 1024) {
		shift += 10;
		unit++;
	}
	if (unit == 0) {
		lz_text_u64(text, bytes);
	} else {
		/* The products need 128 bits: 100 times one EiB does not fit in 64. */
		__uint128_t half = (__uint128_t)1 << (shift - 1);
		uint64_t hundredths = (uint64_t)(((__uint128_t)bytes * 100 + half) >> shift);
		uint64_t tenths = (uint64_t)(((__uint128_t)bytes * 10 + half) >> shift);
		uint64_t whole = (uint64_t)(((__uint128_t)bytes + half) >> shift);

		if (hundredths < 1000)
			append_fixed_point(text, hundredths, 2);
		else if (tenths < 1000)
			append_fixed_point(text, tenths, 1);
		else
			append_fixed_point(text, whole, 0);
	}
	lz_text_char(text, ' ');
	lz_text_string(text, units[unit]);
}

void lz_text_escaped(struct lz_text *text, const char *string)
{
	for (size_t i = 0; string[i] != '\0'; i++) {
		unsigned char c = (unsigned char)string[i];

		if (i == MAX_ESCAPED_BYTES) {
			lz_text_string(text, "...");
			return;
		}
		if (c >= 0x20 && c < 0x7f) {
			lz_text_char(text, (char)c);
		} else {
			lz_text_string(text, "\\x");
			lz_text_char(text, hex_digits[c >> 4]);
			lz_text_char(text, hex_digits[c & 15]);
		}
	}
}

void lz_text_json_string(struct lz_text *text, const char *string)
{
	lz_text_char(text, '"');
	for (; *string != '\0'; string++) {
		unsigned char c = (unsigned char)*string;

		if (c == '"' || c == '\\') {
			lz_text_char(text, '\\');
			lz_text_char(text, (char)c);
		} else if (c >= 0x20 && c < 0x7f) {
			lz_text_char(text, (char)c);
		} else {
			lz_text_string(text, "\\u00");
			lz_text_char(text, hex_digits[c >> 4]);
			lz_text_char(text, hex_digits[c & 15]);
		}
	}
	lz_text_char(text, '"');
}
