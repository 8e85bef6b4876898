/*
 * Reserves and maps address space for regions and windows: aligned, or where it needs the fewest page tables.
 * Functions return an address or -errno unless a comment says otherwise; thread-safe.
 */
#ifndef LZ_BACKING_PLACEMENT_H
#define LZ_BACKING_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

/* The mmap(2) flags for private anonymous memory; MAP_NORESERVE unless `accounted`. */
int lz_placement_flags(bool accounted);

/*
 * Maps private anonymous memory for a region, at a multiple of the placement's alignment and with a page for
 * the header before it. Gives no advice. Returns the address of the region, after the header.
 */
intptr_t lz_placement_map(struct lz_backings *backings, const struct lz_placement *placement);

/* The same, at the address that needs the fewest new page tables. Takes the lock of the books. */
intptr_t lz_placement_map_cheapest(struct lz_backings *backings, const struct lz_placement *placement);

/* Reserves inaccessible address space at a multiple of `alignment`, a power of two. */
intptr_t lz_placement_reserve_aligned(struct lz_backings *backings, size_t length, size_t alignment);

/*
 * Reserves inaccessible address space at the same offset within a PMD's span as `base`, so that mremap(2) can
 * move whole page tables from `base` to it.
 */
intptr_t lz_placement_reserve_alike(struct lz_backings *backings, uintptr_t base, size_t length);

/* Makes the page before entry->base, which must be reserved, the header of the region. 0 or -errno. */
int lz_placement_make_header(struct lz_backings *backings, const struct lz_region_entry *entry);

/* Fills the page-table entries of new memory, if LAZYZERO_POPULATE asks for it. */
void lz_placement_populate_if_configured(struct lz_backings *backings, uintptr_t base, size_t length);

/*
 * Unmaps a region and its header. At vm.max_map_count the kernel cannot split a mapping; then only the pages
 * are given back (MADV_DONTNEED).
 */
void lz_placement_unmap(struct lz_backings *backings, uintptr_t base, size_t length);

#endif
