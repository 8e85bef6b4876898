/*
 * MADV_WIPEONFORK on memory that stands on a window. The kernel has it for anonymous memory alone, so the ranges
 * are kept here, and a forked child drops what they hold before the program runs on: in a fork handler, which
 * the shim registers before those of the program, or, in a child of _Fork(3) or clone(2), at its first call
 * that opens the books.
 *
 * The table is changed with the core's lock, each range by single stores: a child that was forked in the middle
 * of a change finds the old range, the new one, or both. It looks at /proc/thread-self/maps before it drops, so
 * that nothing but a window's memory is dropped, whatever the program mapped by calls that were not followed.
 *
 * There are LZ_WIPES ranges; beyond them MADV_WIPEONFORK answers EAGAIN, as it does where the kernel lacks
 * memory. When a range is cut in two and no slot is free, the smaller part is forgotten.
 */
#ifndef LZ_CORE_WIPE_H
#define LZ_CORE_WIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_core;

#define LZ_WIPES 64u

/* Ranges in one call of mremap. */
#define LZ_WIPED_PARTS 8u

struct lz_wipe {
	_Atomic uintptr_t start; /* 0: a free slot */
	_Atomic uintptr_t end;
};

struct lz_wipes {
	struct lz_wipe range[LZ_WIPES];
	_Atomic(_Atomic uint32_t *) alive; /* on a page that is wiped in a forked child; NULL: nothing was ever added */
};

/* Makes ready for lz_wipe_add, without the lock. 0 or -errno. */
int lz_wipe_prepare(struct lz_core *core);

/* [start, end) is to be wiped, after lz_wipe_prepare. 0, or -EAGAIN: no slot is free. With the lock. */
int lz_wipe_add(struct lz_core *core, uintptr_t start, uintptr_t end);

/* [start, end) is not to be wiped any more; with the lock. */
void lz_wipe_remove(struct lz_core *core, uintptr_t start, uintptr_t end);

/* What is to be wiped of a range, relative to its start. */
struct lz_wiped {
	size_t count;
	bool all; /* there were no more than fit */
	struct {
		size_t start, end;
	} part[LZ_WIPED_PARTS];
};

/* Notes what is to be wiped of [start, end); with the lock. */
void lz_wipe_list(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_wiped *wiped);

/*
 * The same of memory that is at `base` now: what reached its end, old_length, reaches new_length (SIZE_MAX both:
 * as it was). With the lock.
 */
void lz_wipe_put(
	struct lz_core *core, uintptr_t base, const struct lz_wiped *wiped, size_t old_length, size_t new_length);

/* In a forked child: drops what is to be wiped, once. Needs no lock; may be called in any process at any time. */
void lz_wipe_forked(struct lz_core *core);

#endif
