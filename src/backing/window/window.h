/*
 * The zero window: a few MiB of zeros in huge pages, mapped over and over, so that reading a region of any
 * size needs one PMD entry for each 2 MiB and no page table below.
 *
 * It is a sealed memfd that nobody can write, kept by two private mappings side by side:
 *
 *  - the `keeper`, read-only and touched, by which the huge pages are checked, locked and restored.
 *  - the `source`, writable and never touched. Pieces are cloned from it: mremap with MREMAP_DONTUNMAP leaves
 * the source where it is and makes another mapping of the same file, so the descriptor is closed as soon as
 * the window stands. A program that closes every descriptor, counts its own, puts another file on ours or has
 * none to spare meets none of ours; a forked child inherits everything.
 *
 *      memfd      |  0 ... bytes  |
 *                    ^      ^  ^ ^
 *      keeper  [bytes]      |  | |        source [bytes] behind it
 *      region            [piece][piece][piece][part of a piece]       each shows the window from its
 * beginning
 *
 * Pages that are written are the region's own, as in any private mapping.
 *
 * A window that a larger one replaced is retired: it lives until nobody clones from it any more. All of them
 * go when nothing stands on one. What is not atomic is changed with the lock of the books.
 *
 * This header is for the files of its folder, and for whoever sets a process's windows up.
 */
#ifndef LZ_BACKING_WINDOW_WINDOW_H
#define LZ_BACKING_WINDOW_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

#define LZ_WINDOWS 4u

/* So many different reasons are logged once each. */
#define LZ_WINDOW_REASONS 8u

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
	_Atomic uint64_t create_failed_ms; /* when none could be made; 0: never */
	_Atomic uint64_t sampled_ms;       /* when their share of VmRSS was last looked at */
	_Atomic bool any_retired;          /* a retired window waits for its last user to leave */
	_Atomic bool attributes_changed;   /* the program changed protection or advice there: only the kernel
					      knows of what */
	_Atomic bool protection_keys_used; /* and gave some of it a protection key */
	_Atomic(const char *) logged[LZ_WINDOW_REASONS]; /* NULL for the rest */
};

/* --- window.c: acquiring, checking, replacing and releasing windows --- */

/* See struct lz_backing. A window that is large enough and whole is used again, else a new one is made. */
int lz_window_acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease);
void lz_window_release(struct lz_backings *backings, struct lz_lease *lease);

/*
 * Gives the memory of the windows back when nothing stands on any of them and nobody is about to map from
 * one. A window of one unit (2 MiB) goes a second later, at the next such call. Costs one load where there is
 * nothing to do.
 */
void lz_windows_release_unused(struct lz_backings *backings);

/* Retires all windows: the program is about to lock all its memory (mlockall), which would fill them. */
void lz_windows_retire_all(struct lz_backings *backings);

/* The program maps or unmaps [start, end) itself: a window that lies there is lost. With the lock. */
void lz_windows_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end);

/* Logs, once for each step, that and why a window cannot be had: a step, named for a person, and -errno or 0.
 */
void lz_window_log_failure(struct lz_backings *backings, const char *step, int error);

/* --- size.c --- */

/*
 * How much of a window each piece of a region shows, for `length` bytes of a region of `total`; 0: there are
 * not enough mappings for such a region. With the lock.
 */
size_t lz_window_piece_bytes(struct lz_backings *backings, size_t total, size_t length);

/* Whether there is memory for a window of so many bytes, and for the kernel's records of its pieces; `free`
 * bytes are. */
bool lz_window_is_affordable(size_t bytes, size_t length, uint64_t free);

/* The size of a new window that has to show `bytes`, after one of `last` bytes. */
size_t lz_window_next_bytes(const struct lz_backings *backings, size_t bytes, size_t last, uint64_t free);

/* --- pieces.c --- */

/*
 * Maps [start, end), where the caller has a mapping already, onto the window; pieces begin at anchor plus
 * multiples of lease->bytes. On failure a part may have been mapped.
 */
int lz_window_map_pieces(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	uintptr_t end, uintptr_t anchor);

/* How the program has a mapping. */
struct lz_window_attributes {
	int protection;  /* as of mprotect */
	int key;         /* of pkey_mprotect; 0 is what all memory has */
	unsigned advice; /* bits of enum lz_asked in os/procfs.h */
};

/*
 * Makes [from, to), inaccessible so far, more of what lies before `from`: on the window held, or without one
 * plain memory. `tag` is that of the byte before in the map of windows. 0 or -errno; on failure the range may
 * be anything.
 */
int lz_window_extend(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t from, uintptr_t to,
	uintptr_t tag, const struct lz_window_attributes *attributes);

/*
 * Moves [from, from + length), whatever stands behind it, over the mapping at `to`, and leaves holes, or with
 * MREMAP_DONTUNMAP in flags untouched memory. Page tables move; only a part that the program split into
 * mappings that differ (EFAULT) is copied, where `copy` allows it. The map of windows follows. On failure
 * everything is where it was.
 */
int lz_window_move_pieces(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to, int flags, bool copy);

/* The bytes from `at` on, up to `end`, that are one mapping to the kernel. */
size_t lz_window_piece_length(struct lz_backings *backings, uintptr_t at, uintptr_t end);

/* A tag for pieces that moved. */
uintptr_t lz_window_moved_tag(
	const struct lz_backings *backings, uintptr_t tag, uintptr_t from, uintptr_t to);

/* Enters one range into the map of windows; tag 0: removes it. Takes the lock. */
void lz_window_set_tag(struct lz_backings *backings, uintptr_t start, size_t length, uintptr_t tag);

/* Whether a mapping in /proc/self/maps is a piece of a region, not a window itself; with the lock. */
bool lz_window_is_piece(const struct lz_backings *backings, const struct lz_mapping *mapping);

/* Gives a range the advice of another: bits of enum lz_asked in os/procfs.h. */
void lz_window_copy_advice(struct lz_backings *backings, uintptr_t start, size_t length, unsigned advice);

/* The next part of [start, end) on a window; false where there is none. Takes the lock. */
bool lz_window_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* --- mremap.c, advice.c, userfault.c, wipe_on_fork.c: as in struct lz_backing --- */

intptr_t lz_window_remap(
	struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *remap);
bool lz_window_needs_advise(int advice);
int lz_window_advise(struct lz_backings *backings, const struct lz_window_part *part, int advice);
void lz_window_mark_resident(
	struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages);
void lz_window_prepare_missing_faults(struct lz_backings *backings, uintptr_t start, uintptr_t end);

/*
 * In a forked child, before the program runs on: drops what is to be wiped, once. Needs no lock; may be
 * called in any process at any time.
 */
void lz_window_wipe_after_fork(struct lz_backings *backings);

#endif
