/*
 * GLIBC_TUNABLES, which is the C library's: what lazyzero has to know of it, to do in its own regions what
 * was asked of malloc. Allocates nothing and touches no errno.
 */
#ifndef LZ_SUPPORT_TUNABLES_H
#define LZ_SUPPORT_TUNABLES_H

#include <stdint.h>

/*
 * The number that GLIBC_TUNABLES of envp (as environ(7); NULL is an empty one) gives a tunable, such as
 * "glibc.malloc.hugetlb"; 0 where it gives none. Read as glibc 2.36 does (elf/dl-tunables.c): entries
 * separated by
 * ':', the last one counts; decimal, octal or hexadecimal; what follows the digits is ignored.
 */
uint64_t lz_tunable_number(char *const *envp, const char *name);

#endif
