/*
 * Zeroing: the program's large memset calls that write zeros, so that memory which reads as zero already
 * stays untouched.
 *
 * Only pages that hold something are written (PAGEMAP_SCAN, Linux 6.7): those present or swapped out that are
 * not the zero page. Nothing is ever unmapped or dropped, because pages of live memory may be pinned
 * (io_uring, RDMA, O_DIRECT), which no call shows. The result is that of memset in every case; what differs
 * is that untouched pages stay untouched.
 *
 * A page is skipped only if the kernel says, at that moment, that it is private, anonymous, readable and
 * writable memory (PROCMAP_QUERY, Linux 6.11; before, /proc/self/maps), or private memory on a zero window.
 * That covers blocks that the allocator below has mapped by itself. Two properties of memory cannot be asked
 * for cheaply and are known from the program's calls: a userfaultfd, whose handler would supply other
 * contents for untouched pages, and protection keys. Once a program uses one of these, or locks memory that
 * is not populated at once (MLOCK_ONFAULT), all its calls are plain: lz_zeroing_stop.
 *
 * What was learned about blocks and call sites only decides which way is tried first. It is kept in tables of
 * atomic words without a lock; a torn or lost entry costs time, never contents.
 *
 * Thread-safe and async-signal-safe; takes no lock. Holds nothing while it writes to memory of the program,
 * because such a write may raise a signal whose handler does not return.
 */
#ifndef LZ_ZEROING_ZEROING_H
#define LZ_ZEROING_ZEROING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"

/*
 * Which sizes are worth a look is an option, by default 4 MiB. A full block that is not known takes 5 us more
 * than memset: at 1, 2, 4 and 8 MiB in the cache 1.37, 1.18, 1.10 and 1.05 of it; when it is cleared again,
 * 1.00. Fresh blocks of these sizes take 19 to 28 us instead of 256 to 2,048 page faults, and those of which
 * 1% was written 35 to 55 us instead of 62 to 490. So 4 MiB is the least size at which a full block loses no
 * more than a tenth.
 */

/*
 * Slots of each table, a power of two. Unmapping memory looks at all blocks: 256 take 0.1 us. A program that
 * clears more blocks than that in turn pays for a sample each time.
 */
#define LZ_ZEROING_SLOTS 256u

/* A block that was cleared. See learned.c for the layout of both words. */
struct lz_zeroed_block {
	_Atomic uint64_t range;
	_Atomic uint64_t learned;
};

struct lz_zeroing {
	const struct lz_os *os;
	struct lz_books *books;
	_Atomic bool stopped;
	_Atomic bool has_blocks; /* a block was recorded */
	struct lz_zeroed_block block[LZ_ZEROING_SLOTS];
	_Atomic uint64_t site[LZ_ZEROING_SLOTS];
};

/*
 * Writes zeros to [p, p + size), as memset does. `caller` is the call site. Returns how many bytes had to be
 * written.
 */
uint64_t lz_zeroing_clear(struct lz_zeroing *zeroing, void *p, size_t size, const void *caller);

/*
 * From now on all calls are plain: the program uses memory whose untouched pages do not read as zero, or must
 * become resident.
 */
void lz_zeroing_stop(struct lz_zeroing *zeroing);

/* --- learned.c --- */

/*
 * The program is about to unmap or replace the memory in [start, end), or to drop its contents: forgets what
 * was learned of blocks there. `owner_done`: the program has finished with a block (free, munmap), so the
 * block shows how its call site uses memory; that takes a sample of the pages of each block (about 10 us).
 */
void lz_zeroing_forget(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, bool owner_done);

#endif
