/* base/text.c: human-readable sizes, escapes, truncation. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/text.h"

static const char *size_text(uint64_t bytes)
{
	static char buffer[32];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_size(&text, bytes);
	return buffer;
}

Test(text, sizes_have_three_significant_digits)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.00 KiB"},
		{1536, "1.50 KiB"},
		{12 << 20, "12.0 MiB"},
		{53687091, "51.2 MiB"},
		{UINT64_C(1) << 30, "1.00 GiB"},
		{UINT64_C(1023) << 20, "1023 MiB"},
		{UINT64_C(24) << 30, "24.0 GiB"},
		{UINT64_C(512) << 30, "512 GiB"},
		{10235, "10.0 KiB"},
		{UINT64_MAX, "16.0 EiB"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_str_eq(size_text(cases[i].bytes), cases[i].text, "%llu: %s, expected %s",
			(unsigned long long)cases[i].bytes, size_text(cases[i].bytes), cases[i].text);
}

Test(text, numbers)
{
	char buffer[128];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_u64(&text, UINT64_MAX);
	lz_text_char(&text, ' ');
	lz_text_i64(&text, INT64_MIN);
	lz_text_char(&text, ' ');
	lz_text_hex(&text, 0xdeadbeef0);
	lz_text_hex(&text, 0);
	cr_expect_str_eq(buffer, "18446744073709551615 -9223372036854775808 0xdeadbeef00x0");
}

Test(text, long_text_is_truncated)
{
	char buffer[8];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_string(&text, "1234567");
	cr_expect_not(text.truncated);
	lz_text_char(&text, '8');
	cr_expect(text.truncated);
	cr_expect_str_eq(buffer, "1234567");
	cr_expect_eq(text.length, 7);
}

Test(text, unprintable_bytes_are_escaped)
{
	char buffer[400];
	char longer[200];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_escaped(&text, "a\x1b[31m\xff%s");
	cr_expect_str_eq(buffer, "a\\x1b[31m\\xff%s");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	text = lz_text_init(buffer, sizeof buffer);
	lz_text_escaped(&text, longer);
	cr_expect_eq(text.length, 64 + 3);
}

Test(text, json_strings_are_quoted)
{
	char buffer[64];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_json_string(&text, "a\"b\\c\n\xe4");
	cr_expect_str_eq(buffer, "\"a\\\"b\\\\c\\u000a\\u00e4\"");
}
