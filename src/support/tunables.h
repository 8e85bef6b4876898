/*
 * GLIBC_TUNABLES of the C library. lazyzero reads the tunables of malloc that it must apply to its own
 * regions. Allocates nothing and preserves errno. Thread-safe.
 */
#ifndef LZ_SUPPORT_TUNABLES_H
#define LZ_SUPPORT_TUNABLES_H

#include <stdint.h>

/*
 * Returns the number that GLIBC_TUNABLES in envp (as environ(7); NULL is an empty environment) assigns to a
 * tunable such as "glibc.malloc.hugetlb", or 0 if it assigns none. Parses as glibc 2.36 (elf/dl-tunables.c):
 * entries are separated by ':', the last one counts, numbers are decimal, octal or hexadecimal, and
 * characters after the digits are ignored.
 */
uint64_t lz_tunable_number(char *const *envp, const char *name);

#endif
