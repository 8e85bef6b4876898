/* base/parse.c: sizes, percentages, the nearest name, and invalid input. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/parse.h"

Test(parse, sizes)
{
	static const struct {
		const char *text;
		int error;
		uint64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"65536", 0, 65536},
		{"64K", 0, 65536},
		{"64k", 0, 65536},
		{"64KB", 0, 65536},
		{"64 KiB", 0, 65536},
		{"64kib", 0, 65536},
		{"1.5M", 0, 1572864},
		{"1b", 0, 1},
		{"2T", 0, UINT64_C(2) << 40},
		{"15E", 0, UINT64_C(15) << 60},
		{"16E", -ERANGE, 0},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1x", -EINVAL, 0},
		{"1KK", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{".5K", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1K ", -EINVAL, 0},
		{"\xff", -EINVAL, 0},
		{"0.5K", 0, 512},
		{"5%", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t bytes = 0;
		int error = lz_parse_size(cases[i].text, &bytes);

		cr_expect_eq(error, cases[i].error, "\"%s\": %d", cases[i].text, error);
		cr_expect_eq(bytes, cases[i].bytes, "\"%s\": %llu", cases[i].text, (unsigned long long)bytes);
	}
}

Test(parse, percentages)
{
	uint32_t millionths = 7;

	cr_expect_eq(lz_parse_percent("5%", &millionths), 0);
	cr_expect_eq(millionths, 50000);
	cr_expect_eq(lz_parse_percent("0.25%", &millionths), 0);
	cr_expect_eq(millionths, 2500);
	cr_expect_eq(lz_parse_percent("100%", &millionths), 0);
	cr_expect_eq(millionths, 1000000);
	cr_expect_eq(lz_parse_percent("100.1%", &millionths), -ERANGE);
	cr_expect_eq(lz_parse_percent("101%", &millionths), -ERANGE);
	cr_expect_eq(lz_parse_percent("5", &millionths), -EINVAL);
	cr_expect_eq(lz_parse_percent("%", &millionths), -EINVAL);
	cr_expect_eq(lz_parse_percent("-5%", &millionths), -EINVAL);
	cr_expect_eq(lz_parse_percent("5%%", &millionths), -EINVAL);
	cr_expect_eq(millionths, 1000000, "a failure must not change the value");
}

Test(parse, nearest_name)
{
	static const char *const names[] = {"BUDGET", "POLICY", "THRESHOLD", "LOG", "LOG_FORMAT"};

	cr_expect_eq(lz_nearest_name("BUDGT", names, 5), 0);
	cr_expect_eq(lz_nearest_name("policies", names, 5), -1);
	cr_expect_eq(lz_nearest_name("polcy", names, 5), 1);
	cr_expect_eq(lz_nearest_name("LOGFORMAT", names, 5), 4);
	cr_expect_eq(lz_nearest_name("XYZZY", names, 5), -1);
	cr_expect_eq(lz_nearest_name("", names, 5), -1);
	cr_expect_eq(lz_nearest_name("A_NAME_FAR_LONGER_THAN_ANY_OPTION_COULD_EVER_BE", names, 5), -1);
}
