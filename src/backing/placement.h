/* Address space for regions and windows: aligned, or where it needs the fewest page tables. */
#ifndef LZ_BACKING_PLACEMENT_H
#define LZ_BACKING_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

/* The flags of mmap for private anonymous memory; not accounted: MAP_NORESERVE. */
int lz_placement_flags(bool accounted);

/*
 * Private anonymous memory for a region at a multiple of its alignment, behind a page for its header, without
 * advice. Returns the address behind the header or -errno.
 */
intptr_t lz_placement_map(struct lz_backings *backings, const struct lz_placement *placement);

/* The same, where it needs the fewest page tables beside what is mapped already. */
intptr_t lz_placement_map_cheapest(struct lz_backings *backings, const struct lz_placement *placement);

/* Inaccessible address space at a multiple of `alignment`. Returns the address or -errno. */
intptr_t lz_placement_reserve_aligned(struct lz_backings *backings, size_t length, size_t alignment);

/*
 * Inaccessible address space that lies in its page tables as the memory at base does, so that a mapping moved
 * from base to there takes its tables along. Returns the address or -errno.
 */
intptr_t lz_placement_reserve_alike(struct lz_backings *backings, uintptr_t base, size_t length);

/* Makes the first page before `base`, which is reserved, the header of a region. 0 or -errno. */
int lz_placement_make_header(struct lz_backings *backings, const struct lz_region_entry *entry);

/* Fills the page-table entries of fresh memory, where LAZYZERO_POPULATE says so. */
void lz_placement_populate(struct lz_backings *backings, uintptr_t base, size_t length);

/*
 * Unmaps a region of that base and length, its header included. At vm.max_map_count the kernel cannot cut a
 * mapping in two: then its pages are given back.
 */
void lz_placement_unmap(struct lz_backings *backings, uintptr_t base, size_t length);

#endif
