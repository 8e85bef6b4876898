/* support/tunables.c: GLIBC_TUNABLES, parsed as by glibc 2.36. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>

#include "support/tunables.h"

#define NAME "glibc.malloc.hugetlb"

static uint64_t number_in(const char *value)
{
	char variable[256];
	char *envp[] = {(char *)"PATH=/bin", variable, (char *)"GLIBC_TUNABLE=" NAME "=7", NULL};

	snprintf(variable, sizeof variable, "GLIBC_TUNABLES=%s", value);
	return lz_tunable_number(envp, NAME);
}

Test(tunables, entries)
{
	char *twice[] = {(char *)"GLIBC_TUNABLES=" NAME "=1", (char *)"GLIBC_TUNABLES=" NAME "=2", NULL};

	cr_expect_eq(lz_tunable_number(NULL, NAME), 0);
	cr_expect_eq(number_in(""), 0);
	cr_expect_eq(number_in(NAME "=1"), 1);
	cr_expect_eq(number_in("glibc.malloc.check=3:" NAME "=1:glibc.malloc.perturb=5"), 1);
	cr_expect_eq(number_in(NAME "=1:" NAME "=2"), 2);
	cr_expect_eq(number_in(NAME "=1:" NAME "=0"), 0);
	cr_expect_eq(lz_tunable_number(twice, NAME), 2);
	/* Other names. */
	cr_expect_eq(number_in(NAME "s=1"), 0);
	cr_expect_eq(number_in("glibc.malloc.hugetl=1"), 0);
	cr_expect_eq(number_in("x" NAME "=1"), 0);
	cr_expect_eq(number_in("glibc.malloc.check=" NAME "=1"), 0);
	/* Entries without a value are skipped. */
	cr_expect_eq(number_in(NAME), 0);
	cr_expect_eq(number_in(":::" NAME "=1:::"), 1);
	cr_expect_eq(number_in(NAME ":" NAME "=1"), 1);
	cr_expect_eq(number_in(NAME "=1:" NAME), 1);
	cr_expect_eq(number_in("=:" NAME "=1"), 1);
}

Test(tunables, numbers)
{
	static const struct {
		const char *text;
		uint64_t value;
	} cases[] = {{"", 0}, {"0", 0}, {"2", 2}, {"2097152", 2097152}, {"0x200000", 2097152}, {"0X1f", 31},
		{"010", 8}, {"09", 0}, {" 1", 1}, {"\t+1", 1}, {"-1", UINT64_MAX}, {"1x", 1}, {"x", 0},
		{"0x", 0}, {"1=2", 1}, {"18446744073709551615", UINT64_MAX},
		{"18446744073709551616", UINT64_MAX}, {"99999999999999999999999", UINT64_MAX}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char entry[120];

		snprintf(entry, sizeof entry, NAME "=%s", cases[i].text);
		cr_expect_eq(number_in(entry), cases[i].value, "\"%s\"", cases[i].text);
		snprintf(entry, sizeof entry, NAME "=%s:a=b", cases[i].text);
		cr_expect_eq(number_in(entry), cases[i].value, "\"%s\" and further entries", cases[i].text);
	}
}
