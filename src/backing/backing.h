/*
 * A backing provides the pages behind a range. It is a table of functions: code that allocates, follows the
 * program's calls or reuses memory calls through the table and does not depend on the kind of backing. Each
 * backing is one file or one folder that no other file includes; strategies.h lists them.
 *
 *  - zero page: private anonymous memory. The kernel maps its one zero page there until a page is written.
 *    All memory that no other backing claims counts as plain memory of this kind.
 *  - shared: shared memory of the program, see shared.h. It has only the functions for placing and making
 *    mappings of the program, because the memory is not the library's to clear, move or keep.
 *  - window: many private mappings of one small sealed memfd in huge pages, see window/window.h.
 *
 * struct lz_backings is the state that all backings share: the books, the system calls, the options. It is
 * set up once, before there are threads.
 *
 * Unless a comment says otherwise, functions take the lock of the books themselves and must be called without
 * it, are thread-safe, and return 0 or -errno, or an address or -errno.
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
	const struct lz_os *os; /* lazyzero's own system calls */
	/*
	 * The program's calls are passed on to these: the next definition in the search order, or the kernel.
	 */
	const struct lz_os *next;
	struct lz_books *books;
	const struct lz_options *options;
	struct lz_log *log;
	struct lz_windows *windows;
	struct lz_region_header header;
	_Atomic bool may_map_over_regions; /* The program maps files or shared memory at addresses that it
					      names, perhaps inside a region. Never reset. */
};

/*
 * Keeps a window alive while memory is mapped from it. The backing
 * fills it in.
 */
struct lz_lease {
	const struct lz_backing *backing; /* NULL: nothing is held, memory is plain */
	void *object; /* the object held; private to the backing, as are the next two members */
	uintptr_t keeper, source;
	size_t bytes; /* bytes of the source that each piece of a mapping shows */
	struct lz_reservation_handle hold;
};

/* How to place a region in the address space. */
struct lz_placement {
	size_t length;    /* bytes, a multiple of the page size, without the header */
	size_t alignment; /* bytes, a power of two; values below the page size mean the page size */
	bool accounted;   /* the kernel's overcommit rules apply (no MAP_NORESERVE) */
};

/* A part of a range that has another backing than plain memory. */
struct lz_backed_part {
	const struct lz_backing *backing;
	struct lz_window_part where;
};

/* The arguments of mremap(2), rounded to whole pages. */
struct lz_remap {
	uintptr_t start;
	size_t old_length, new_length;
	int flags;
	uintptr_t target;
};

/* The arguments of mmap(2) without the address. */
struct lz_program_mapping {
	size_t length;
	int protection, flags, fd;
	int64_t offset;
};

/* What became of a new mapping of the program. */
enum lz_adopted {
	LZ_ADOPTED_PLAIN, /* it has pages of the base size */
	LZ_ADOPTED_HUGE,  /* it is in huge pages but for what is less than one, at its end */
	LZ_ADOPTED_LOST   /* it could not be replaced, and nothing is mapped there any more */
};

struct lz_backing {
	const char *name; /* its value in LAZYZERO_BACKING */

	/* Initialises the state of this backing in the process, before there are threads. */
	void (*init)(struct lz_backings *backings);

	/*
	 * Acquires the source from which `length` bytes of a region of `total` bytes can be mapped. Returns
	 * 0, or -EAGAIN if it is not available; the reason is logged once. NULL: the backing has no source to
	 * hold.
	 */
	int (*acquire)(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease);
	void (*release)(struct lz_backings *backings, struct lz_lease *lease);

	/* --- heap regions --- */

	/* Size in bytes of the smallest region on this backing; NULL: no minimum. */
	size_t (*min_region)(const struct lz_backings *backings);

	/* Maps a region, and a page for its header before it. Touches no page. 0 or -errno. */
	int (*map)(struct lz_backings *backings, const struct lz_lease *lease,
		const struct lz_placement *placement, struct lz_region_entry *entry);

	/* Grows a region in place. Sets *joined if the region and its header page are one kernel mapping
	 * afterwards. 0 or -errno. */
	int (*grow)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
		size_t new_length, bool *joined);

	/*
	 * Moves a region onto address space that is reserved for it and its header, and makes it to->length
	 * bytes long. `joined` is the value that `grow` set. Unmaps the old header. 0 or -errno; on failure
	 * the region stays where it was.
	 */
	int (*move)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
		const struct lz_region_entry *to, bool joined);

	/* --- cached regions --- */

	/*
	 * Whether a freed region of `length` bytes may be cached. `allowance`: how many more bytes that the
	 * kernel cannot reclaim the cache may hold.
	 */
	bool (*may_cache)(struct lz_backings *backings, size_t length, uint64_t allowance);

	/*
	 * The address where MADV_DONTFORK starts in a cached region. The flag distinguishes its mappings from
	 * others.
	 */
	uintptr_t (*dontfork_start)(struct lz_backings *backings, uintptr_t base);

	/*
	 * Sets *intact if all of a cached region is still the mapping that was cached. `thorough`: check
	 * every piece, because calls of the program may have been missed. Returns -errno if the kernel cannot
	 * be asked (PROCMAP_QUERY, Linux 6.11).
	 */
	int (*is_intact)(
		struct lz_backings *backings, uintptr_t base, size_t length, bool thorough, bool *intact);

	/*
	 * The same check by /proc/self/maps: `mapping` is the next entry, *at is advanced to its end. Returns
	 * false if the mapping is not part of the cached region.
	 */
	bool (*is_intact_mapping)(
		struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t *at, uintptr_t end);

	/*
	 * Lets the kernel reclaim the contents of a range. Sets *dropped if the contents are already gone. 0
	 * or -errno.
	 */
	int (*make_reclaimable)(struct lz_backings *backings, uintptr_t start, size_t length, bool *dropped);

	/* a cached region can be resized when it is reused */
	bool can_resize_cached;

	/* mincore(2) reports which pages are resident */
	bool residency_is_visible;

	/* --- calls of the program --- */

	/* Finds the next part of [start, end) on this backing; false if there is none. */
	bool (*next_part)(
		struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part);

	/*
	 * Replaces a new plain mapping of the program by the backing. `of_file`: the program mapped
	 * /dev/zero. *tag is the entry for the map of windows. 0 or -errno; on failure a part may be mapped.
	 */
	int (*cover_mapping)(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
		uintptr_t end, int protection, bool of_file, uintptr_t *tag);

	/*
	 * Returns an address for a new mapping of the program, which leaves the choice to the kernel; 0: any.
	 */
	uintptr_t (*place)(struct lz_backings *backings, const struct lz_program_mapping *mapping);

	/* Called after such a mapping was made where `place` said. */
	enum lz_adopted (*adopt)(
		struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at);

	/*
	 * mremap(2) of a range that is partly on this backing; behaves as on anonymous memory. Updates the
	 * map of windows. Returns the address or -errno.
	 */
	intptr_t (*remap)(
		struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *remap);

	/*
	 * Whether this advice must be given through `advise`, because the kernel would answer differently
	 * than on plain memory. Needs no lock.
	 */
	bool (*needs_advise)(int advice);

	/* madvise(2) on a part that lies entirely on this backing. 0 or -errno. */
	int (*advise)(struct lz_backings *backings, const struct lz_window_part *part, int advice);

	/* For mincore(2): sets the byte of each page of the part that has contents of its own. */
	void (*mark_resident)(
		struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages);

	/* Prepares a range for a userfaultfd of the program that handles missing pages. */
	void (*prepare_missing_faults)(struct lz_backings *backings, uintptr_t start, uintptr_t end);

	/* The program changed protection or advice in the range; `has_key`: it set a protection key. */
	void (*note_attributes_changed)(
		struct lz_backings *backings, uintptr_t start, uintptr_t end, bool has_key);

	/* --- memory of the backing itself --- */

	/* Called after memory was unmapped, moved or replaced: frees what is not in use any more. */
	void (*release_unused)(struct lz_backings *backings);

	/* The program is about to lock all its memory: frees what is not in use. */
	void (*retire_all)(struct lz_backings *backings);

	/*
	 * The program maps or unmaps [start, end): the backing must forget what it had there. Needs the lock
	 * of the books.
	 */
	void (*range_overwritten)(struct lz_backings *backings, uintptr_t start, uintptr_t end);

	/*
	 * Records in the statistics how much of VmRSS belongs to the backing. Unless `now` is set, returns at
	 * once if the last sample is recent.
	 */
	void (*sample_resident)(struct lz_backings *backings, bool now);
};

/* Size in bytes of the smallest region on a backing; 0: no minimum. Needs no lock. */
static inline size_t lz_backing_min_region(
	const struct lz_backings *backings, const struct lz_backing *backing)
{
	return backing->min_region != NULL ? backing->min_region(backings) : 0;
}

#endif
