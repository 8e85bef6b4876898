/*
 * The books: what this process has mapped, what its page tables may come to, and what was granted of that.
 *
 * One lock guards the ledger of touchable ranges, the map of windows, the table of regions and the figures
 * that a decision needs. It is held only to read or change them, never across a system call that maps or
 * unmaps memory of the program. A range leaves the ledger before the system call that unmaps it, and enters
 * it after the one that maps it: in between, no other thread can be given those addresses.
 *
 * Atomic members may be read without the lock; all others need it. Functions take no lock unless they say so;
 * they return 0 or -errno. Nothing here allocates from the heap.
 *
 * The rooms above register what they have to do after a fork, after a section was left half done, and when a
 * mapping is read from /proc/self/maps (struct lz_books_observer).
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
#include "support/lock.h"
#include "support/log.h"
#include "support/options.h"

/* What another room does at certain moments; members may be NULL. Called with the lock, in the order of
 * registration. */
struct lz_books_observer {
	void *context;
	/* In a forked child, before anything else is done with the books. */
	void (*after_fork)(void *context);
	/* A section was left half done: state that it guards has to be counted anew. */
	void (*recount)(void *context);
	/* The window map's tag of a mapping in /proc/self/maps; 0 where it is no piece of a window. */
	uintptr_t (*window_tag)(void *context, const struct lz_mapping *mapping);
};

#define LZ_BOOKS_OBSERVERS 6u

struct lz_books {
	const struct lz_os *os;
	const struct lz_options *options;
	struct lz_log *log;
	size_t page; /* bytes of a page */
	unsigned page_shift;
	struct lz_lock lock;
	struct lz_stats stats;
	struct lz_books_observer observer[LZ_BOOKS_OBSERVERS];
	unsigned observers;

	/* With the lock: */
	bool prepared; /* geometry and ledger are initialised */
	const struct lz_geometry *geometry;
	struct lz_ledger ledger; /* touchable ranges */
	struct lz_window_map windows;
	struct lz_budget_size budget;
	uint64_t actual;             /* VmPTE when last read; UINT64_MAX when it cannot be */
	uint64_t actual_read_ms;     /* when; 0: never */
	uint64_t granted_since_read; /* page-table bytes granted since then */
	uint64_t reconciled_ms;      /* when the ledger was last compared with /proc/self/maps; 0: never */

	/* Without: */
	_Atomic bool disabled; /* the program is about to install a seccomp filter: the lock is never taken
				  again */
	_Atomic bool
		has_untracked_calls; /* a call could not be followed since the ledger was last reconciled */
	struct lz_reservations reservations; /* see reservations.h */
	struct lz_regions regions;           /* see regions.h for what needs the lock */
};

/* Prepares zeroed books; geometry and ledger follow at the first lock. The options and the log may be filled
 * later. */
void lz_books_init(
	struct lz_books *books, const struct lz_os *os, const struct lz_options *options, struct lz_log *log);

/* Before there are threads. */
void lz_books_register(struct lz_books *books, const struct lz_books_observer *observer);

/*
 * Takes the lock; false where it cannot be had (re-entered, or its holder does not come back), and what the
 * caller does then is not followed. lz_books_unlock must follow true, before the function returns: the mark
 * is in its frame, where, unlike a variable of a block, it stays until then.
 */
#define lz_books_lock(books) lz_books_lock_at(books, __builtin_alloca(sizeof(struct lz_frame_mark)))
bool lz_books_lock_at(struct lz_books *books, struct lz_frame_mark *mark);
void lz_books_unlock(struct lz_books *books);

/* --- figures: actual.c --- */

/* Reads VmPTE again unless that was done in the last `age_ms` milliseconds; with the lock. */
void lz_books_read_vmpte(struct lz_books *books, uint64_t age_ms);

/*
 * VmPTE falls when memory is unmapped, so its peak is just before: reads it when `bytes_to_go` is large and
 * somebody keeps statistics; with the lock.
 */
void lz_books_sample_peak(struct lz_books *books, uint64_t bytes_to_go);

/* Whether `cost` more bytes of page tables would exceed the budget, by the ledger and VmPTE as last read;
 * with the lock. */
bool lz_books_exceeds(struct lz_books *books, uint64_t cost);

/* Writes the ledger's sums into the statistics; with the lock. */
void lz_books_publish_statistics(struct lz_books *books);

/* Finds out what the budget is, the first time; with the lock. */
void lz_books_resolve_budget(struct lz_books *books);

/* Makes a changed budget known in the statistics. */
void lz_books_publish_budget(struct lz_books *books);

/* --- ranges: ranges.c --- */

/* Rounds up to pages what a request may ask for; false for what no request may. */
bool lz_books_page_length(const struct lz_books *books, uint64_t size, size_t *length);

/*
 * [start, end) in whole pages of 2^page_shift bytes, as the kernel rounds it; false for what it answers with
 * EINVAL or ENOMEM.
 */
bool lz_books_page_range(const struct lz_books *books, const void *address, size_t length,
	unsigned page_shift, uintptr_t *start, uintptr_t *end);

/* Traits of memory on a window: whole blocks need no page table. */
static inline void lz_books_window_traits(const struct lz_books *books, struct lz_range_traits *traits)
{
	traits->window = true;
	traits->page_shift = (uint8_t)books->ledger.span_shift[0];
}

/*
 * [start, end) can be touched: what is known of it stays, the rest has these traits, except where the map of
 * windows says that it stands on one; with the lock.
 */
void lz_books_add_missing(
	struct lz_books *books, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/* The page size, as a shift, of the mapping at an address: asks the kernel, before Linux 6.11 in up to
 * milliseconds. */
unsigned lz_books_mapped_page_shift(struct lz_books *books, uintptr_t address);

/* --- reconcile.c --- */

/* Brings the ledger in line with /proc/self/maps; with the lock. Returns 0 or -errno. */
int lz_books_reconcile(struct lz_books *books);

/* --- locked.c: single steps, which take the lock --- */

/* The window map's tag at an address; 0 where nothing stands on a window. Takes the lock. */
uintptr_t lz_books_window_tag_at(struct lz_books *books, uintptr_t address);

/* A call failed after its range had left the ledger, or did part of its work: reconciles. Takes the lock. */
void lz_books_reconcile_after_failure(struct lz_books *books);

/*
 * Finds out what the budget is before a program gives up rights (setuid, a seccomp filter), or anywhere: what
 * it takes is read from files. Takes the lock; once done, one load.
 */
void lz_books_resolve_budget_early(struct lz_books *books);

/* --- regions of the heap: region_records.c --- */

/* A region as it enters the books. */
struct lz_region_entry {
	uintptr_t base;
	size_t length, header_bytes; /* bytes; of the header before it */
	struct lz_region_attributes attributes;
	uintptr_t window_tag; /* 0 where the map of windows knows already, or it stands on none */
};

/*
 * Enters a region: a record, and its range in the ledger. Where it comes from another place (`from` is not
 * 0), that one leaves the ledger in the same step, while it still is this region's: before another thread can
 * be given it. Takes the lock. Returns 0, -ENOMEM or -EAGAIN.
 */
int lz_books_add_region(
	struct lz_books *books, const struct lz_region_entry *entry, uintptr_t from, size_t from_length);

/* Removes a claimed region from the books; `header_bytes` bytes of header lie before it. Takes the lock. */
void lz_books_remove_region(struct lz_books *books, struct lz_region_record *region, uintptr_t base,
	size_t length, size_t header_bytes);

/*
 * A region was unmapped, moved or resized without our knowledge: whoever did so knows how to free what is
 * there now. Removes its record if nobody has claimed it. Takes the lock.
 */
void lz_books_remove_unmapped_region(
	struct lz_books *books, struct lz_region_record *region, uintptr_t base, size_t header_bytes);

/*
 * The kernel chose [start, end) for a new mapping, so no region is left there: regions that the books still
 * have were unmapped by a call that was not followed (glibc's free, called by a plugin). Removes them; with
 * the lock.
 */
void lz_books_remove_stale_regions(struct lz_books *books, uintptr_t start, uintptr_t end);

/*
 * The program changed what can be done with [start, end): a region there is not kept when freed. Takes the
 * lock; where it cannot be had, no region that lives now is kept.
 */
void lz_books_invalidate_range(struct lz_books *books, uintptr_t start, uintptr_t end);

/* Counts a region in the statistics, or one that is gone; atomic, no lock. */
void lz_books_count_region(struct lz_books *books, size_t length, bool on_window);
void lz_books_uncount_region(struct lz_books *books, size_t length, bool on_window);

/* Counts a region or a mapping of the program that was put on a window; atomic, no lock. */
void lz_books_count_window(struct lz_books *books, size_t length);

/* The live region that contains p, or NULL; with the lock. */
struct lz_region_record *lz_books_region_around(struct lz_books *books, uintptr_t p);

/* Whether calls may have changed memory without the books' knowledge. With the lock. */
static inline bool lz_books_may_be_stale(const struct lz_books *books)
{
	return books->ledger.inexact || books->has_untracked_calls;
}

#endif
