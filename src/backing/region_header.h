/*
 * The page before each region. To glibc's free, realloc and malloc_usable_size it makes the region one of
 * glibc's own mmapped chunks, for those who call them without meeting us: plugins opened with RTLD_DEEPBIND,
 * libraries in another namespace (dlmopen, LD_AUDIT). Such a call unmaps, moves or resizes a region without
 * our knowledge, so the page also holds a check word by which a record of the region is known to be still
 * true.
 *
 * A region of `length` bytes at `base` is one mapping [base - page, base + length), or, on a window, an
 * anonymous page and pieces of the window. From malloc/malloc.c (glibc 2.26 to 2.41): a chunk of 16 bytes of
 * header lies before the block; `prev_size` is where in its mapping an aligned chunk begins, `size` its
 * bytes, and bit 1 of size (IS_MMAPPED) says that it is a mapping of its own.
 *
 *      base - page                        base - 32    - 16        - 8                 base
 *      |            unused                | check      | prev_size | size | IS_MMAPPED | the block ...
 *
 * The page costs 4 KiB of memory for each region, and a page table where it lies alone in one, as glibc's own
 * header does. Functions take no lock; thread-safe for different regions.
 */
#ifndef LZ_BACKING_REGION_HEADER_H
#define LZ_BACKING_REGION_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

struct lz_region_header {
	const struct lz_os *os;
	size_t bytes; /* of the page before a region: that of the system */
	_Atomic bool
		layout_differs; /* glibc's chunks look otherwise than above: headers make regions no chunks */
};

/* Writes the header of a region; its page must be writable. */
void lz_header_write(const struct lz_region_header *header, uintptr_t base, size_t length);

/*
 * Whether a region of that base and length is still as we left it: false when somebody else unmapped, moved
 * or resized it. The page may be gone: asks the kernel (0.2 us).
 */
bool lz_header_matches(const struct lz_region_header *header, uintptr_t base, size_t length);

#endif
