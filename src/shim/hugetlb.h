/*
 * Huge pages that the user asked of glibc's malloc (GLIBC_TUNABLES=glibc.malloc.hugetlb=N): as blocks of ours
 * are blocks of malloc to the user, they hold in our regions as well, unless LAZYZERO_THP says otherwise.
 */
#ifndef LZ_SHIM_HUGETLB_H
#define LZ_SHIM_HUGETLB_H

#include <stdbool.h>

#include "core/core.h"

/*
 * At start-up, with the core initialised and the next allocator looked up: 1 makes LAZYZERO_THP "always".
 * True for 2 or the size of a hugetlb page, which only glibc can serve: requests of malloc and calloc are
 * left to it. Says in a note what has no effect.
 */
bool lz_hugetlb_defers_to_next(struct lz_core *core, bool next_is_glibc, char *const *environment);

#endif
