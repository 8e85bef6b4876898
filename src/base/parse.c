/* Parses text into numbers; see parse.h. */
#include "base/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/checked.h"

#define MAX_NAME_LENGTH 40u

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int lz_scan_u64(const char **cursor, uint64_t *value)
{
	uint64_t sum = 0;

	if (!is_digit(**cursor))
		return -EINVAL;
	for (; is_digit(**cursor); ++*cursor) {
		if (__builtin_mul_overflow(sum, 10u, &sum) ||
			__builtin_add_overflow(sum, (uint64_t)(**cursor - '0'), &sum))
			return -ERANGE;
	}
	*value = sum;
	return 0;
}

static int hex_value(char c)
{
	c = to_lower(c);
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int lz_scan_hex(const char **cursor, uint64_t *value)
{
	uint64_t sum = 0;

	if (hex_value(**cursor) < 0)
		return -EINVAL;
	for (; hex_value(**cursor) >= 0; ++*cursor) {
		if (sum >> 60)
			return -ERANGE;
		sum = sum << 4 | (uint64_t)hex_value(**cursor);
	}
	*value = sum;
	return 0;
}

int lz_parse_u64(const char *string, uint64_t *value)
{
	uint64_t parsed;
	int error = lz_scan_u64(&string, &parsed);

	if (error)
		return error;
	if (*string != '\0')
		return -EINVAL;
	*value = parsed;
	return 0;
}

/*
 * Scans digits with an optional fraction, of which the first six digits count: value = whole + millionths /
 * 10^6.
 */
static int scan_decimal(const char **cursor, uint64_t *whole, uint32_t *millionths)
{
	uint32_t scale = 100000;
	int error = lz_scan_u64(cursor, whole);

	*millionths = 0;
	if (error || **cursor != '.')
		return error;
	++*cursor;
	if (!is_digit(**cursor))
		return -EINVAL;
	for (; is_digit(**cursor); ++*cursor) {
		*millionths += (uint32_t)(**cursor - '0') * scale;
		scale /= 10;
	}
	return 0;
}

/*
 * Returns the power of 1024 that a unit ("", "b", "k", "kb", "kib", ...) stands for, or -1 for an unknown
 * unit.
 */
static int unit_power(const char *unit)
{
	static const char letters[] = "kmgtpe";
	const char *letter;

	if (*unit == '\0' || (to_lower(unit[0]) == 'b' && unit[1] == '\0'))
		return 0;
	letter = strchr(letters, to_lower(*unit));
	if (letter == NULL)
		return -1;
	unit++;
	if (to_lower(*unit) == 'i' && to_lower(unit[1]) == 'b')
		unit += 2;
	else if (to_lower(*unit) == 'b')
		unit++;
	return *unit == '\0' ? (int)(letter - letters) + 1 : -1;
}

int lz_parse_size(const char *string, uint64_t *bytes)
{
	uint64_t whole;
	uint32_t millionths;
	int power;
	int error = scan_decimal(&string, &whole, &millionths);

	if (error)
		return error;
	while (*string == ' ')
		string++;
	power = unit_power(string);
	if (power < 0)
		return -EINVAL;
	unsigned shift = (unsigned)power * 10;
	if (shift != 0 && whole >> (64 - shift) != 0)
		return -ERANGE;
	uint64_t fraction = (uint64_t)(((__uint128_t)millionths << shift) / 1000000);
	*bytes = (whole << shift) + fraction;
	return 0;
}

int lz_parse_percent(const char *string, uint32_t *millionths)
{
	uint64_t whole;
	uint32_t fraction;
	int error = scan_decimal(&string, &whole, &fraction);

	if (error)
		return error;
	if (*string != '%' || string[1] != '\0')
		return -EINVAL;
	if (whole > 100 || (whole == 100 && fraction != 0))
		return -ERANGE;
	*millionths = (uint32_t)whole * 10000 + fraction / 100;
	return 0;
}

/*
 * Computes the Levenshtein distance with one row of the matrix. Both words have at most MAX_NAME_LENGTH
 * characters.
 */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[MAX_NAME_LENGTH + 1];
	size_t width = strlen(b);

	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < width; j++) {
			size_t replace = diagonal + (to_lower(a[i]) != to_lower(b[j]));
			size_t other = lz_min_u64(row[j], row[j + 1]) + 1;

			diagonal = row[j + 1];
			row[j + 1] = lz_min_u64(replace, other);
		}
	}
	return row[width];
}

int lz_nearest_name(const char *word, const char *const names[], size_t count)
{
	size_t length = strnlen(word, MAX_NAME_LENGTH + 1);
	size_t best = length / 3 + 1;
	int nearest = -1;

	if (length > MAX_NAME_LENGTH)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) > MAX_NAME_LENGTH)
			continue;
		size_t distance = edit_distance(word, names[i]);

		if (distance < best) {
			best = distance;
			nearest = (int)i;
		}
	}
	return nearest;
}
