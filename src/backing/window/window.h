/*
 * The zero window: a few MiB of zeros in huge pages, mapped over and over, so that reading a region of any
 * size needs one PMD entry for each 2 MiB and no page table below (DESIGN: "The zero window").
 *
 * It is a sealed memfd that nobody can write, kept by two private mappings:
 *
 *  - the `source`, writable and never touched. Pieces of regions are cloned from it: mremap with
 *    MREMAP_DONTUNMAP leaves the source where it is and makes another mapping of the same file, so the
 *    descriptor is closed as soon as the window stands. A program that closes every descriptor, counts its
 *    own, puts another file on ours or has none to spare meets none of ours; a forked child inherits all.
 *  - the `keeper`, read-only and touched, by which the huge pages are looked at, locked and mended.
 *
 * A piece of a region starts at its anchor plus a multiple of the window's bytes, and shows the window from
 * its beginning. Written pages are the region's own, as in any private mapping.
 *
 * A window that a larger one replaced lives until nobody clones from it any more, and all of them go when
 * nothing stands on one. Thread-safe; functions
 * return 0 or -errno and take the core's lock by themselves unless they say otherwise.
 */
#ifndef LZ_CORE_WINDOW_H
#define LZ_CORE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "pagetables/ledger.h"
#include "accounting/reservations.h"
#include "os/os.h"

struct lz_core;

/* The name of the memfd in /proc/PID/maps. */
#define LZ_WINDOW_NAME "lazyzero-window"
#define LZ_WINDOW_PATH "/memfd:" LZ_WINDOW_NAME

#define LZ_WINDOWS 4u

/* So many different reasons are said once each. */
#define LZ_WINDOW_REASONS 8u

/* One window. What is not atomic is changed with the core's lock. */
struct lz_window {
	size_t bytes; /* 0: no window in this slot */
	uintptr_t keeper;
	uintptr_t source; /* directly behind the keeper */
	_Atomic uint64_t checked_ms;
	_Atomic bool retired; /* not to be cloned from any more; unmapped when the last user has left */
	_Atomic uint32_t users;
};

struct lz_windows {
	struct lz_window window[LZ_WINDOWS];
	_Atomic uint64_t failed_ms; /* when none could be made; 0: never */
	_Atomic bool retirees; /* a retired window waits for its last user to leave */
	_Atomic bool any;   /* there are or were regions on a window: madvise and others have to look */
	_Atomic bool unused; /* nothing may stand on the windows there are, since */
	uint64_t unused_ms;  /* this time */
	_Atomic bool altered; /* the program changed protection or advice there: only the kernel knows of what */
	_Atomic bool keyed;   /* and gave some of it a protection key */
	_Atomic int moves_many; /* whether mremap takes several mappings at once; see remap_window.c */
	_Atomic(const char *) said[LZ_WINDOW_REASONS]; /* that were logged, NULL for the rest */
	struct lz_ledger where;              /* which addresses stand on a window; tags are lz_window_tag */
};

/* A window in use: held until lz_window_release, so that it stays while pieces are cloned. */
struct lz_window_use {
	struct lz_window *window; /* NULL: none */
	uintptr_t keeper, source; /* its own may change: the program can unmap what it does not know */
	size_t bytes; /* how much of it to show in each piece */
	struct lz_hold hold;
};

void lz_windows_init(struct lz_windows *windows);

/*
 * A window to map `length` bytes of a region of `total` bytes from: the one there is if it is large enough
 * and whole, else a new one. -EAGAIN: there is none, and why was said once.
 */
int lz_window_acquire(struct lz_core *core, size_t total, size_t length, struct lz_window_use *use);
void lz_window_release(struct lz_core *core, struct lz_window_use *use);

/* Says, once for each step, that and why a window cannot be had: a step, named for a person, and -errno, or
 * 0. */
void lz_window_say(struct lz_core *core, const char *step, int error);

/*
 * Maps [start, end), where the caller has a mapping already, onto the window; pieces begin at anchor plus
 * multiples of use->bytes. On failure a part may have been mapped.
 */
int lz_window_map(struct lz_core *core, const struct lz_window_use *use, uintptr_t start, uintptr_t end,
	uintptr_t anchor);

/* The smallest region that a window can serve, and the alignment of its anchor: what one PTE table maps. */
size_t lz_window_unit(const struct lz_core *core);

/*
 * What the map of windows says of a range: where its pieces begin, and how large they are in units; 0 units
 * where that is not known any more. With an anchor that is a multiple of the unit.
 */
static inline uintptr_t lz_window_tag(const struct lz_core *core, uintptr_t anchor, size_t bytes)
{
	return anchor | bytes / lz_window_unit(core);
}

/*
 * In a tag as well: the program mapped /dev/zero, not anonymous memory. To it that is a file, which a few calls
 * tell (vm_file in mm/madvise.c). Far above the units of any window.
 */
static inline uintptr_t lz_window_of_file(const struct lz_core *core)
{
	return lz_window_unit(core) / 2;
}

/* The tag of such memory of which nothing else is known, or which is on no window any more. */
static inline uintptr_t lz_window_of_file_at(const struct lz_core *core, uintptr_t start)
{
	return lz_window_tag(core, lz_round_down(start, lz_window_unit(core)), 0) | lz_window_of_file(core);
}

/* Enters and takes out what stands on a window; neither is wiped on fork then. With the lock. */
void lz_window_note(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t tag);
void lz_window_forget(struct lz_core *core, uintptr_t start, uintptr_t end);

/*
 * The first part of [start, end) that stands on a window: true, and its bounds. No part does: false. *piece
 * is where its first piece ends, or its end where that is not known.
 */
struct lz_window_part {
	uintptr_t start, end, piece_end;
	bool of_file; /* see lz_window_of_file */
};
bool lz_window_find(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* Mappings that all regions on windows consist of; with the lock. */
uint64_t lz_window_mappings(struct lz_core *core);

/* The size of the newest window, bytes; 0 without one. With the lock. */
size_t lz_window_size(const struct lz_core *core);

/* Whether a mapping in /proc/self/maps is of a window's file. */
struct lz_mapping;
bool lz_window_is_named(const struct lz_mapping *mapping);

/* The same, and a piece of a region rather than a window itself; with the lock. */
bool lz_window_is_piece(const struct lz_core *core, const struct lz_mapping *mapping);

/*
 * Gives the memory of the windows back when nothing stands on any of them and nobody is about to map from one.
 * To be called, without the lock, after whatever unmaps, moves or replaces memory that may stand on a window; one
 * load where there is nothing to do. A window of one unit (2 MiB) goes a second later, at the next such call.
 */
void lz_windows_release_unused(struct lz_core *core);

/* Notes that nothing stands on a window; with the lock. */
void lz_window_unused(struct lz_core *core);

/* The program is about to lock all its memory (mlockall): windows would be filled. Takes the lock. */
void lz_windows_retire(struct lz_core *core);

/* The program maps or unmaps [start, end) itself: a window that lies there is lost. With the lock. */
void lz_window_trampled(struct lz_core *core, uintptr_t start, uintptr_t end);

/* In a forked child whose books are torn: the map of windows starts over. With the lock. */
void lz_windows_abandon(struct lz_windows *windows);

#endif
