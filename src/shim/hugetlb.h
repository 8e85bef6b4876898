/*
 * Huge pages that the user requested from glibc's malloc (GLIBC_TUNABLES=glibc.malloc.hugetlb=N). To the
 * user, lazyzero's blocks are blocks of malloc, so the request applies to regions as well, unless
 * LAZYZERO_THP says otherwise.
 */
#ifndef LZ_SHIM_HUGETLB_H
#define LZ_SHIM_HUGETLB_H

#include <stdbool.h>

#include "core/core.h"

/*
 * Called at start-up, after the core was initialised and the next allocator was found. A value of 1 sets
 * LAZYZERO_THP to "always". Returns true for 2 or the size of a hugetlb page, which only glibc can serve:
 * requests of malloc and calloc are then left to it. Logs a note if the tunable has no effect.
 */
bool lz_hugetlb_defers_to_next(struct lz_core *core, bool next_is_glibc, char *const *environment);

#endif
