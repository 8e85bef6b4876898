/*
 * The header page before each region. To glibc's free, realloc and malloc_usable_size it makes the region
 * look like one of glibc's own mmapped chunks. Some callers reach these functions without going through
 * lazyzero: plugins opened with RTLD_DEEPBIND, and libraries in another namespace (dlmopen, LD_AUDIT). Their
 * calls unmap, move or resize a region without lazyzero's knowledge, so the page also holds a check word that
 * shows whether the record of the region is still valid.
 *
 * A region of `length` bytes at `base` is one mapping [base - page, base + length); on a window, it is an
 * anonymous page followed by pieces of the window. From malloc/malloc.c (glibc 2.26 to 2.41): a chunk header
 * of 16 bytes precedes the block; `prev_size` is the offset of an aligned chunk within its mapping, `size` is
 * its size in bytes, and bit 1 of `size` (IS_MMAPPED) says that the chunk is a mapping of its own.
 *
 *      base - page                        base - 32    - 16        - 8                 base
 *      |            unused                | check      | prev_size | size | IS_MMAPPED | the block ...
 *
 * The page costs 4 KiB of memory for each region, and a page table if no other memory shares the table;
 * glibc's own header costs the same. Functions take no lock; they are thread-safe for different regions.
 */
#ifndef LZ_BACKING_REGION_HEADER_H
#define LZ_BACKING_REGION_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

struct lz_region_header {
	const struct lz_os *os;
	size_t bytes;                /* size of the header page: the system's page size */
	_Atomic bool layout_differs; /* this C library's chunks do not have the layout above, so headers do
					not make regions look like chunks */
};

/* Writes the header of a region; its page must be writable. */
void lz_header_write(const struct lz_region_header *header, uintptr_t base, size_t length);

/*
 * Whether the header still describes a region of this base and length. False if another party unmapped, moved
 * or resized the region. The page may be unmapped, so the kernel is asked (0.2 us).
 */
bool lz_header_matches(const struct lz_region_header *header, uintptr_t base, size_t length);

#endif
