/* Parses GLIBC_TUNABLES; see tunables.h. */
#include "support/tunables.h"

#include <stdbool.h>
#include <string.h>

#define VARIABLE "GLIBC_TUNABLES="

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

/* Parses as _dl_strtoul in glibc's elf/dl-misc.c: the value saturates, and a sign negates it. */
static uint64_t parse_number(const char *text)
{
	uint64_t value = 0;
	bool negative;
	int base = 10;

	while (*text == ' ' || *text == '\t')
		text++;
	negative = *text == '-';
	if (*text == '-' || *text == '+')
		text++;
	if (*text == '0') {
		base = (text[1] | 32) == 'x' ? 16 : 8;
		text += base == 16 ? 2 : 1;
	}
	for (; digit_of(*text) < base; text++)
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
			__builtin_add_overflow(value, (uint64_t)digit_of(*text), &value))
			return UINT64_MAX;
	return negative ? -value : value;
}

/* Sets *value to the last entry with this name in the list. */
static void find_in_list(const char *list, const char *name, uint64_t *value)
{
	const size_t length = strlen(name);

	while (*list != '\0') {
		size_t entry = strcspn(list, "=:");

		if (list[entry] == '=') {
			if (entry == length && memcmp(list, name, length) == 0)
				*value = parse_number(list + entry + 1);
			entry += strcspn(list + entry, ":");
		}
		list += entry + (list[entry] == ':');
	}
}

uint64_t lz_tunable_number(char *const *envp, const char *name)
{
	uint64_t value = 0;

	for (; envp != NULL && *envp != NULL; envp++)
		if (strncmp(*envp, VARIABLE, strlen(VARIABLE)) == 0)
			find_in_list(*envp + strlen(VARIABLE), name, &value);
	return value;
}
