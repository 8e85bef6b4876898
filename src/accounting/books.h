/*
 * The books: the mappings of this process, the page tables that they may need, and the budget granted so far.
 *
 * One lock guards the ledger of accessible ranges, the map of windows, the table of regions and the figures
 * that decisions need. It is held only to read or change them, never across a system call that maps or unmaps
 * memory of the program. A range leaves the ledger before the system call that unmaps it, and enters the
 * ledger after the system call that maps it, so that no other thread can be given the addresses in between.
 *
 * Atomic members may be read without the lock; all other members need it. Functions take no lock unless their
 * comment says so. They return 0 or -errno, and never allocate from the heap.
 *
 * Higher modules (layers.sh has their order) register what they must do after a fork, after an unfinished
 * section, and for each mapping that is read from /proc/self/maps (struct lz_books_observer).
 */
#ifndef LZ_ACCOUNTING_BOOKS_H
#define LZ_ACCOUNTING_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/budget_size.h"
#include "accounting/regions.h"
#include "accounting/reservations.h"
#include "accounting/statistics.h"
#include "accounting/window_map.h"
#include "os/procfs.h"
#include "pagetables/geometry.h"
#include "pagetables/ledger.h"
#include "support/group.h"
#include "support/lock.h"
#include "support/log.h"
#include "support/options.h"

/* Callbacks of another room; each may be NULL. Called with the lock, in the order of registration. */
struct lz_books_observer {
	void *context;
	/* In a forked child, before any other use of the books. */
	void (*after_fork)(void *context);
	/* A thread left the locked section without unlocking: the counters that the module guards with the
	 * lock must be recounted. */
	void (*recount)(void *context);
	/*
	 * Returns the window map's tag for a mapping of /proc/self/maps; 0 if it is not a piece of a window.
	 */
	uintptr_t (*window_tag)(void *context, const struct lz_mapping *mapping);
};

#define LZ_BOOKS_OBSERVERS 6u

/*
 * What was last measured of memory that counts when it is touched (touched.h). All 0 under other policies
 * than refuse.
 */
struct lz_touched {
	uint64_t bytes;       /* of its page tables */
	uint64_t actual;      /* VmPTE at the time */
	uint64_t of_bytes;    /* how much such memory there was, bytes */
	uint64_t ms, took_ms; /* time of the measurement, and how long it took */
};

struct lz_books {
	const struct lz_os *os;
	const struct lz_options *options;
	struct lz_log *log;
	size_t page; /* page size in bytes */
	unsigned page_shift;
	struct lz_lock lock;
	struct lz_stats stats;
	struct lz_books_observer observer[LZ_BOOKS_OBSERVERS];
	unsigned observers;

	/* Need the lock: */
	bool prepared; /* geometry and ledger are initialised */
	const struct lz_geometry *geometry;
	struct lz_ledger ledger; /* accessible ranges */
	struct lz_window_map windows;
	struct lz_budget_size budget;
	struct lz_group group;               /* joined when the budget is determined */
	struct lz_group_sum group_at_excess; /* what it held when a request last exceeded the budget */
	/* In a forked child of a member of a group: what it inherited, in bytes of page tables. */
	uint64_t inherited_committed, inherited_actual;
	uint64_t actual;            /* VmPTE when last read, bytes; UINT64_MAX if it cannot be read */
	uint64_t actual_read_ms;    /* time of that read; 0: never */
	uint64_t committed_at_read; /* committed page tables at that time, bytes */
	struct lz_touched touched;
	uint64_t reconciled_ms;     /* when the ledger was last reconciled with /proc/self/maps; 0: never */
	uint64_t reconcile_took_ms; /* how long that took */

	/* Do not need the lock: */
	_Atomic bool
		disabled; /* the program is about to install a seccomp filter: never take the lock again */
	_Atomic bool
		has_untracked_calls; /* a call could not be tracked since the ledger was last reconciled */
	struct lz_reservations reservations; /* see reservations.h */
	struct lz_regions regions;           /* see regions.h for the members that need the lock */
};

/*
 * Initialises zeroed books. Geometry and ledger are initialised when the lock is first taken. The options and
 * the log may be filled in later. Called once, before there are threads.
 */
void lz_books_init(
	struct lz_books *books, const struct lz_os *os, const struct lz_options *options, struct lz_log *log);

/* Registers an observer, which is copied. At most LZ_BOOKS_OBSERVERS. Called before there are threads. */
void lz_books_register(struct lz_books *books, const struct lz_books_observer *observer);

/*
 * Takes the lock. Returns false if it is unavailable (re-entered, or the wait timed out); the actions of the
 * caller are then not tracked. After true, lz_books_unlock must follow before the calling function returns:
 * the mark is allocated with alloca, so that it lives until the function returns and not just until the end
 * of the block. Thread-safe and async-signal-safe.
 */
#define lz_books_lock(books) lz_books_lock_at(books, __builtin_alloca(sizeof(struct lz_frame_mark)))
bool lz_books_lock_at(struct lz_books *books, struct lz_frame_mark *mark);
void lz_books_unlock(struct lz_books *books);

/* --- usage and budget: usage.c --- */

/* Reads VmPTE unless it was read in the last `age_ms` milliseconds. Needs the lock. */
void lz_books_read_vmpte(struct lz_books *books, uint64_t age_ms);

/*
 * Samples VmPTE before memory is unmapped, when it is at its peak, if `bytes_to_go` is large and there is a
 * statistics file. Needs the lock.
 */
void lz_books_read_vmpte_before_unmap(struct lz_books *books, uint64_t bytes_to_go);

/*
 * Returns the bytes of page tables that count without a request: what the ledger has committed, and what was
 * last measured of the rest. Needs the lock.
 */
uint64_t lz_books_committed(const struct lz_books *books);

/*
 * Whether `cost` more bytes of page tables would exceed the budget, according to lz_books_committed and the
 * last value of VmPTE, of which the larger counts: VmPTE contains both kinds of memory, but of committed
 * memory only the tables that are there. Needs the lock.
 */
bool lz_books_exceeds(struct lz_books *books, uint64_t cost);

/* The same by more than `slack` bytes; publishes nothing to the group. */
bool lz_books_exceeds_by(const struct lz_books *books, uint64_t cost, uint64_t slack);

/* Copies the ledger's sums to the statistics, and this process's charge to its group. Needs the lock. */
void lz_books_publish_statistics(struct lz_books *books);

/* Determines the budget and joins the group that shares it, on the first call. Needs the lock. */
void lz_books_resolve_budget(struct lz_books *books);

/* Copies a changed budget to the statistics. Needs the lock. */
void lz_books_publish_budget(struct lz_books *books);

/* In a forked child: its charge in the group starts with the page tables that it has. Needs the lock. */
void lz_books_inherit_charge(struct lz_books *books);

/* --- ranges: ranges.c --- */

/*
 * Rounds a requested size in bytes up to whole pages. Returns false for a size that no request may have: 0,
 * or more than PTRDIFF_MAX. No lock.
 */
bool lz_books_page_length(const struct lz_books *books, uint64_t size, size_t *length);

/*
 * Rounds to a range [*start, *end) of whole pages of 2^page_shift bytes, as the kernel does. Returns false if
 * the kernel would answer EINVAL or ENOMEM. No lock.
 */
bool lz_books_page_range(const struct lz_books *books, const void *address, size_t length,
	unsigned page_shift, uintptr_t *start, uintptr_t *end);

/* Sets the traits of memory on a window, where whole blocks need no page table. */
static inline void lz_books_window_traits(const struct lz_books *books, struct lz_range_traits *traits)
{
	traits->window = true;
	traits->page_shift = (uint8_t)books->ledger.span_shift[0];
}

/*
 * Makes [start, end) accessible. Parts already in the ledger stay as they are; other parts get these traits,
 * or those of a window if the map of windows contains them. Needs the lock.
 */
void lz_books_add_missing(
	struct lz_books *books, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/*
 * Returns log2 of the page size of the mapping at an address. Asks the kernel, which before Linux 6.11 may
 * take milliseconds.
 */
unsigned lz_books_mapped_page_shift(struct lz_books *books, uintptr_t address);

/* Returns the live region that contains p, or NULL. Needs the lock. */
struct lz_region_record *lz_books_region_around(struct lz_books *books, uintptr_t p);

/* --- reconciling: reconcile.c --- */

/*
 * Updates the ledger and the map of windows from /proc/self/maps. Needs the lock. Returns 0 or -errno; after
 * an error the ledger is inexact.
 */
int lz_books_reconcile(struct lz_books *books);

/* --- functions that take the lock themselves: self_locking.c --- */

/*
 * Returns the window map's tag at an address; 0 if the address is not on a window, or the lock is
 * unavailable. Takes the lock.
 */
uintptr_t lz_books_window_tag_at(struct lz_books *books, uintptr_t address);

/*
 * Reconciles after a call that failed when its range had already left the ledger, or that did part of its
 * work. Takes the lock.
 */
void lz_books_reconcile_after_failure(struct lz_books *books);

/*
 * The program is about to unmap [start, end) or to map something there: if its budget group's segment is
 * there, this process leaves the group. Costs a comparison. May take the lock.
 */
void lz_books_before_unmap(struct lz_books *books, uintptr_t start, uintptr_t end);

/* Publishes this process's charge in its group again, after a request that was granted failed. Takes the
 * lock. */
void lz_books_publish_charge(struct lz_books *books);

/*
 * Determines the budget before the program gives up privileges (setuid, a seccomp filter), because it is
 * computed from files. Takes the lock; if the budget is known, it only reads one atomic flag.
 */
void lz_books_resolve_budget_early(struct lz_books *books);

/*
 * Determines the budget again if that was done more than `age_ms` milliseconds ago, because memory limits can
 * be changed at any time. Returns true if it has changed. Takes the lock only if it reads the limits.
 */
bool lz_books_update_budget(struct lz_books *books, unsigned age_ms);

/* --- regions of the heap: region_records.c --- */

/* A region to add to the books. */
struct lz_region_entry {
	uintptr_t base;
	size_t length, header_bytes; /* bytes; header_bytes: of the header before base */
	struct lz_region_attributes attributes;
	uintptr_t window_tag; /* 0 if the map of windows already contains the region, or it is not on a window
			       */
};

/*
 * Adds a region: a record, and its range in the ledger. If `from` is not 0, the region moves from there: the
 * old range is removed in the same section, before it is unmapped, so that no other thread can get its
 * addresses first. Takes the lock. Returns 0, -ENOMEM or -EAGAIN.
 */
int lz_books_add_region(
	struct lz_books *books, const struct lz_region_entry *entry, uintptr_t from, size_t from_length);

/* Removes a claimed region from the books, with the `header_bytes` bytes before it. Takes the lock. */
void lz_books_remove_region(struct lz_books *books, struct lz_region_record *region, uintptr_t base,
	size_t length, size_t header_bytes);

/*
 * Removes the record of a region that was unmapped, moved or resized by an untracked call, unless another
 * thread has claimed it. The memory that is there now belongs to whoever made the call. Takes the lock.
 */
void lz_books_remove_unmapped_region(
	struct lz_books *books, struct lz_region_record *region, uintptr_t base, size_t header_bytes);

/*
 * Removes regions in [start, end), which the kernel has just chosen for a new mapping. If the books still
 * contain a region there, an untracked call unmapped it (such as glibc's free, called by a plugin). Needs the
 * lock.
 */
void lz_books_remove_stale_regions(struct lz_books *books, uintptr_t start, uintptr_t end);

/*
 * Marks the regions in [start, end) as altered by the program, so that they are not kept when they are freed.
 * Takes the lock; if it is unavailable, no region that is live now will be kept.
 */
void lz_books_mark_regions_altered(struct lz_books *books, uintptr_t start, uintptr_t end);

/* Add a region to the statistics, or subtract it. `length` is in bytes. Atomic; no lock. */
void lz_books_count_region(struct lz_books *books, size_t length, bool on_window);
void lz_books_uncount_region(struct lz_books *books, size_t length, bool on_window);

/* Counts a region or a mapping of the program that was put on a window. Atomic; no lock. */
void lz_books_count_placed_on_window(struct lz_books *books, size_t length);

/* Whether calls may have changed memory without being recorded in the books. Needs the lock. */
static inline bool lz_books_may_be_stale(const struct lz_books *books)
{
	return books->ledger.inexact || books->has_untracked_calls;
}

#endif
