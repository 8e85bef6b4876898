/*
 * The zero window: a few MiB of zeros in huge pages that are mapped over and over. Reading a region of any
 * size then needs one PMD entry for each 2 MiB and no page tables below.
 *
 * A window is a sealed memfd that nobody can write. Two adjacent private mappings keep it:
 *
 * - the `keeper` is read-only and populated. The huge pages are checked, locked and restored through it.
 * - the `source` is writable and never touched. Pieces are cloned from it: mremap(2) with MREMAP_DONTUNMAP
 *   leaves the source in place and creates another mapping of the same file. The descriptor is closed once
 *   the window exists, so a program that closes all descriptors, counts its own, or dup2()s over them is not
 *   affected. A forked child inherits the mappings.
 *
 *      memfd      |  0 ... bytes  |
 *                    ^      ^  ^ ^
 *      keeper  [bytes]      |  | |        source [bytes] follows it
 *      region            [piece][piece][piece][part of a piece]       each maps the window from its beginning
 *
 * Pages that are written belong to the region, as in any private mapping.
 *
 * When a larger window replaces another, the old one is retired: it stays until nobody clones from it any
 * more. When no range is on a window, all windows are released. Members that are not atomic are changed under
 * the lock of the books.
 *
 * This header is for the files of this folder and for core.c.
 */
#ifndef LZ_BACKING_WINDOW_WINDOW_H
#define LZ_BACKING_WINDOW_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

#define LZ_WINDOWS 4u

/* Up to this many different reasons are logged, once each. */
#define LZ_WINDOW_REASONS 8u

struct lz_window {
	size_t bytes; /* 0: the slot is free */
	uintptr_t keeper;
	uintptr_t source; /* directly after the keeper */
	_Atomic uint64_t checked_ms;
	_Atomic bool retired; /* must not be cloned from any more; unmapped when the last user has left */
	_Atomic uint32_t users;
};

struct lz_windows {
	struct lz_window window[LZ_WINDOWS];
	_Atomic uint64_t create_failed_ms; /* when the last attempt to create a window failed; 0: never */
	_Atomic uint64_t sampled_ms;       /* when their share of VmRSS was last sampled */
	_Atomic bool memory_was_locked;    /* the program called mlockall(2); never reset */
	_Atomic bool any_retired;          /* a retired window waits for its last user */
	_Atomic bool attributes_changed; /* the program changed protection or advice on a window; details are
					    only in /proc/self/smaps */
	_Atomic bool protection_keys_used;               /* the program set a protection key on a window */
	uint64_t max_map_count;                          /* vm.max_map_count; 0: not read yet */
	uint64_t other_mappings;                         /* mappings of the program, counted at counted_ms */
	uint64_t counted_ms;                             /* 0: never */
	uint64_t count_took_ms;                          /* how long counting took */
	_Atomic(const char *) logged[LZ_WINDOW_REASONS]; /* reasons logged so far; NULL: free entry */
};

/* --- window.c: acquiring, checking, replacing and releasing windows --- */

/*
 * See struct lz_backing. Uses an existing window that is large enough and in huge pages, or else creates one.
 */
int lz_window_acquire(struct lz_backings *backings, size_t total, size_t length, struct lz_lease *lease);
void lz_window_release(struct lz_backings *backings, struct lz_lease *lease);

/*
 * Releases the windows when no range is on any of them and nobody is about to clone from one. A window of one
 * unit (2 MiB) stays for another second and is released by the next such call. Costs one load if there is
 * nothing to do.
 */
void lz_windows_release_unused(struct lz_backings *backings);

/* Retires all windows: the program is about to call mlockall(2), which would populate them. */
void lz_windows_retire_all(struct lz_backings *backings);

/* The program maps or unmaps [start, end): a window that lies there is lost. Needs the lock of the books. */
void lz_windows_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end);

/*
 * Logs, once for each reason, that no window is available. `step` is the reason, a constant in words for the
 * user; `error` is -errno or 0.
 */
void lz_window_log_failure(struct lz_backings *backings, const char *step, int error);

/* --- retire.c --- */

/* The size of the newest window in bytes; 0 if there is none. Needs the lock of the books. */
size_t lz_windows_newest_bytes(const struct lz_backings *backings);

/* Writes that size to the statistics. Needs the lock of the books. */
void lz_windows_publish_size(struct lz_backings *backings);

/* Retires all windows: no call clones from them any more. Needs the lock of the books. */
void lz_windows_mark_all_retired(struct lz_backings *backings);

/* Unmaps the retired windows without users. Takes the lock of the books. */
void lz_windows_unmap_retired(struct lz_backings *backings);

/* --- size.c --- */

/*
 * Bytes of a window that each piece of a region maps, for `length` bytes of a region of `total` bytes.
 * Returns 0 if vm.max_map_count would be exceeded. *min_bytes: the smallest size that does not exceed it.
 * Needs the lock of the books.
 */
size_t lz_window_piece_bytes(struct lz_backings *backings, size_t total, size_t length, size_t *min_bytes);

/*
 * Reduces `bytes` to an eighth of the `free` bytes that this process may count on, but not below `min_bytes`
 * or one unit. Needs no lock.
 */
size_t lz_window_fit_to_memory(
	const struct lz_backings *backings, size_t bytes, size_t min_bytes, uint64_t free);

/*
 * Whether memory suffices for a window of `bytes`, and for the kernel's records of its pieces, when `free`
 * bytes are free. Needs no lock.
 */
bool lz_window_is_affordable(size_t bytes, size_t length, uint64_t free);

/*
 * The size in bytes for a new window that must provide `bytes`, where the last one had `last` bytes. Needs no
 * lock.
 */
size_t lz_window_next_bytes(const struct lz_backings *backings, size_t bytes, size_t last, uint64_t free);

/* --- pieces.c --- */

/*
 * Maps [start, end), which the caller has mapped already, to the window. Pieces begin at `anchor` plus
 * multiples of lease->bytes. 0 or -errno; on failure a part may be mapped.
 */
int lz_window_map_pieces(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	uintptr_t end, uintptr_t anchor);

/* The attributes that the program gave a mapping. */
struct lz_window_attributes {
	int protection;  /* PROT_READ and the like */
	int key;         /* protection key of pkey_mprotect(2); 0 is the default */
	unsigned advice; /* bits of enum lz_vm_flag in os/procfs.h */
};

/*
 * Unlocks a new, inaccessible mapping (munlock(2)) if it is locked only because the program locks all new
 * memory, and the memory at `source`, which it extends, is not locked.
 */
void lz_window_unlock_if_source_is_unlocked(
	struct lz_backings *backings, uintptr_t source, uintptr_t start, size_t length);

/*
 * Extends the mapping that ends at `from` to `to`; [from, to) is private anonymous memory without access so
 * far. Uses the leased window,
 * or plain memory if nothing is leased. `tag` is the entry of the byte before `from` in the map of windows. 0
 * or -errno; on failure the state of the range is undefined.
 */
int lz_window_extend(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t from, uintptr_t to,
	uintptr_t tag, const struct lz_window_attributes *attributes);

/*
 * Moves [from, from + length), whatever its backing, over the mapping at `to`. The old range is unmapped;
 * with MREMAP_DONTUNMAP in `flags` it stays mapped and untouched. Page tables are moved; a part that the
 * program split into different mappings (EFAULT) is copied if `copy` is set. Updates the map of windows. 0 or
 * -errno; on failure everything is where it was.
 */
int lz_window_move_pieces(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to, int flags, bool copy);

/* Bytes from `at`, up to `end`, that mremap(2) can move in one call. */
size_t lz_window_movable_length(struct lz_backings *backings, uintptr_t at, uintptr_t end);

/*
 * The same with the map's tag of that part, 0 if it is not on a window. Needs the lock of the books.
 */
size_t lz_window_next_piece(struct lz_backings *backings, uintptr_t at, uintptr_t end, uintptr_t *tag);

/* The entry in the map of windows for pieces that moved from `from` to `to`. Needs no lock. */
uintptr_t lz_window_moved_tag(
	const struct lz_backings *backings, uintptr_t tag, uintptr_t from, uintptr_t to);

/* Enters a range into the map of windows; tag 0 removes it. Takes the lock of the books. */
void lz_window_set_tag(struct lz_backings *backings, uintptr_t start, size_t length, uintptr_t tag);

/*
 * Whether a mapping in /proc/self/maps is a piece of a region, and not a window itself. Needs the lock of the
 * books.
 */
bool lz_window_is_piece(const struct lz_backings *backings, const struct lz_mapping *mapping);

/* Gives a range the advice of another one: bits of enum lz_vm_flag in os/procfs.h. */
void lz_window_apply_attributes(
	struct lz_backings *backings, uintptr_t start, size_t length, unsigned advice);

/*
 * Finds the next part of [start, end) on a window; false if there is none. Takes the lock of the books, or
 * reads /proc/self/maps if the lock cannot be had.
 */
bool lz_window_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* --- mremap.c, madvise.c, resident.c, userfault.c, wipe_on_fork.c: as in struct lz_backing --- */

void lz_window_sample_resident(struct lz_backings *backings, bool now);
intptr_t lz_window_remap(
	struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *remap);
bool lz_window_needs_advise(int advice);
int lz_window_advise(struct lz_backings *backings, const struct lz_window_part *part, int advice);
void lz_window_mark_resident(
	struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages);
void lz_window_prepare_missing_faults(struct lz_backings *backings, uintptr_t start, uintptr_t end);

/*
 * In a forked child, before the program continues: drops the ranges marked MADV_WIPEONFORK, once. Needs no
 * lock; may be called in any process at any time.
 */
void lz_window_wipe_after_fork(struct lz_backings *backings);

#endif
