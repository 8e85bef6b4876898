/*
 * What stands behind memory. A backing is a table of functions; whoever allocates, follows calls or reuses
 * memory goes through it and does not ask which one it is. Each is a file or a folder that nobody else
 * includes; all.c lists them.
 *
 *  zero page   private anonymous memory, which the kernel answers with its one zero page until it is written.
 * All memory that no other backing claims is plain in this sense. window      many private mappings of one
 * small sealed memfd in huge pages, see window/window.h.
 *
 * struct lz_backings is what they share: the books, the system calls, the options. It is set up once, before
 * there are threads. Functions take the lock of the books by themselves and must be called without it, unless
 * they say otherwise; they return 0 or -errno, or an address or -errno; thread-safe.
 */
#ifndef LZ_BACKING_BACKING_H
#define LZ_BACKING_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"
#include "backing/region_header.h"
#include "os/os.h"

struct lz_windows;

struct lz_backings {
	const struct lz_os *os; /* our own system calls */
	/* What calls of the program are passed on to: the next definition, or the kernel. */
	const struct lz_os *next;
	struct lz_books *books;
	const struct lz_options *options;
	struct lz_log *log;
	struct lz_windows *windows;
	struct lz_region_header header;
	_Atomic bool overlaid; /* the program maps files or shared memory where it likes: perhaps inside a
				  region */
};

/* Held while memory is mapped from a backing, so that what it is mapped from stays. Filled by the backing. */
struct lz_lease {
	const struct lz_backing *backing; /* NULL: nothing is held, memory is plain */
	void *object;                     /* what is held; of the backing's own, as are the next two */
	uintptr_t keeper, source;
	size_t bytes; /* of what is mapped over and over in each piece */
	struct lz_reservation_handle hold;
};

/* Where a region is to be put, and how. */
struct lz_placement {
	size_t length;    /* bytes, whole pages, without its header */
	size_t alignment; /* at least this, bytes; up to a page: to a page */
	bool accounted;   /* the kernel applies its overcommit rules */
};

/* A part of a range that stands on another backing than plain memory. */
struct lz_backed_part {
	const struct lz_backing *backing;
	struct lz_window_part where;
};

/* A call of mremap(2) on whole pages. */
struct lz_remap {
	uintptr_t start;
	size_t old_length, new_length;
	int flags;
	uintptr_t target;
};

struct lz_backing {
	const char *name; /* as LAZYZERO_BACKING names it */

	/* Sets up what it keeps for the process, before there are threads. */
	void (*init)(struct lz_backings *backings);

	/*
	 * Acquires what `length` bytes of a region of `total` bytes are mapped from. -EAGAIN: not to be had,
	 * and why was logged once. NULL: nothing needs to be held.
	 */
	int (*acquire)(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease);
	void (*release)(struct lz_backings *backings, struct lz_lease *lease);

	/* --- regions of the heap --- */

	/* Bytes of the smallest region that can stand on it; NULL: any. */
	size_t (*least_region)(const struct lz_backings *backings);

	/* Maps a region with room for its header before it. Touches no page. */
	int (*map)(struct lz_backings *backings, const struct lz_lease *lease,
		const struct lz_placement *placement, struct lz_region_entry *entry);

	/* Grows a region where it is; *joined: it is one mapping with its header. */
	int (*grow)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
		size_t new_length, bool *joined);

	/*
	 * Moves a region over address space that was reserved for it and its header, and makes it new_length
	 * bytes long. `joined` as grow said. The old header is unmapped; on failure the region is where it
	 * was.
	 */
	int (*move)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
		const struct lz_region_entry *to, bool joined);

	/* --- regions that are kept for reuse --- */

	/* Whether a freed region of that length may be kept, of which `allowance` bytes may be out of the
	 * kernel's reach. */
	bool (*may_keep)(struct lz_backings *backings, size_t length, uint64_t allowance);

	/* Where MADV_DONTFORK begins in a kept region, by which its mappings are told from others. */
	uintptr_t (*keep_mark_start)(struct lz_backings *backings, uintptr_t base);

	/*
	 * Whether all of a kept region is still the mapping that was kept; `thorough` where calls were
	 * missed. -errno where the kernel cannot be asked (before Linux 6.11).
	 */
	int (*is_intact)(
		struct lz_backings *backings, uintptr_t base, size_t length, bool thorough, bool *intact);

	/* The same by the mappings in /proc/self/maps, of which this is the next; *at advances. False: it is
	 * not. */
	bool (*is_intact_mapping)(
		struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t *at, uintptr_t end);

	/* Lets the kernel take the contents of a range; *dropped: it has them already. */
	int (*make_reclaimable)(struct lz_backings *backings, uintptr_t start, size_t length, bool *dropped);

	/* Whether a kept region can be given another size when it serves again. */
	bool can_resize_kept;

	/* Whether mincore(2) tells which pages hold something. */
	bool residency_is_visible;

	/* --- the program's own calls --- */

	/* The next part of [start, end) that stands on this backing; false where there is none. */
	bool (*next_part)(
		struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part);

	/*
	 * Lays the backing over a fresh plain mapping of the program; of_file: it mapped /dev/zero. *tag is
	 * for the map of windows. On failure a part may be mapped.
	 */
	int (*cover_mapping)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
		uintptr_t end, int protection, bool of_file, uintptr_t *tag);

	/* mremap(2) of a range of which some stands on this backing, as for anonymous memory. The map of
	 * windows follows. */
	intptr_t (*remap)(
		struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *remap);

	/* Whether advice has to be given by `advise`, because the kernel would answer otherwise than on plain
	 * memory. */
	bool (*has_own_answer)(int advice);

	/* madvise(2) on a part that stands on this backing as a whole. */
	int (*advise)(struct lz_backings *backings, const struct lz_window_part *part, int advice);

	/* mincore(2): sets a byte for each page of the part that holds something of its own. */
	void (*mark_resident)(
		struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages);

	/* Makes a range ready for a userfaultfd of the program that answers missing pages. */
	void (*prepare_missing_faults)(struct lz_backings *backings, uintptr_t start, uintptr_t end);

	/* The program changed protection or advice there; `keyed`: gave it a protection key. */
	void (*note_altered)(struct lz_backings *backings, uintptr_t start, uintptr_t end, bool keyed);

	/* --- the memory that it takes itself --- */

	/* After memory was unmapped, moved or replaced: gives back what nothing stands on any more. */
	void (*release_unused)(struct lz_backings *backings);

	/* The program is about to lock all its memory: gives back what is not in use. */
	void (*retire_all)(struct lz_backings *backings);

	/* The program maps or unmaps [start, end) itself: what the backing had there is lost. With the lock.
	 */
	void (*range_overwritten)(struct lz_backings *backings, uintptr_t start, uintptr_t end);

	/* Notes in the statistics how much of VmRSS is its own, unless `now` is false and that was done
	 * lately. */
	void (*sample_resident)(struct lz_backings *backings, bool now);
};

/* Bytes of the smallest region that can stand on a backing. */
static inline size_t lz_backing_least_region(
	const struct lz_backings *backings, const struct lz_backing *backing)
{
	return backing->least_region != NULL ? backing->least_region(backings) : 0;
}

/* Bytes that a lease maps over and over, 0 for plain memory. */
static inline size_t lz_lease_bytes(const struct lz_lease *lease)
{
	return lease != NULL && lease->backing != NULL ? lease->bytes : 0;
}

#endif
