/*
 * The ledger: the accessible address ranges of the process, and the number of page tables needed if all of
 * them are touched.
 *
 * Ranges are disjoint and ordered. Ranges without access (PROT_NONE, unmapped) are not in the ledger, except
 * those beyond the end of a file, which must stay known as such. The table counts are exact at all times:
 * adding or removing a range considers only its two neighbours, because a table that several ranges share is
 * shared by neighbours. Addresses are multiples of the page size.
 *
 * Not thread-safe: the caller holds the lock of the books. Memory for records comes from the os layer. If
 * there is none, functions return -ENOMEM and the ledger is inexact until it is reconciled.
 */
#ifndef LZ_PAGETABLES_LEDGER_H
#define LZ_PAGETABLES_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libbsd's copy of the BSD tree macros; header only. */
#include <bsd/sys/tree.h>

#include "pagetables/geometry.h"
#include "support/pool.h"

/*
 * The page_shift of a range that needs no tables in advance: it counts by what VmPTE shows of it. As if pages
 * were larger than the span of any table. The second kind was beyond the end of the mapped file when it was
 * mapped.
 */
#define LZ_PAGE_SHIFT_UNCOMMITTED 63u
#define LZ_PAGE_SHIFT_BEYOND_FILE 62u

/*
 * Properties of a range that determine its cost and the treatment of later calls. Adjacent ranges with equal
 * traits are merged.
 */
struct lz_range_traits {
	uint8_t page_shift; /* log2 of the size of the pages it is mapped with */
	bool window;   /* backed by a zero window; the kernel splits its huge pages where a range ends inside
			  one */
	uintptr_t tag; /* start address of the region or attached segment that it belongs to; 0 for other
			  memory */
};

struct lz_range {
	RB_ENTRY(lz_range) node, committed_node;
	uintptr_t start, end; /* [start, end) */
	struct lz_range_traits traits;
};

RB_HEAD(lz_range_tree, lz_range);
RB_HEAD(lz_committed_tree, lz_range);

struct lz_ledger {
	const struct lz_geometry *geometry;
	struct lz_range_tree ranges;
	/* Those that are not LZ_PAGE_SHIFT_UNCOMMITTED, once there was one that is. */
	struct lz_committed_tree committed_ranges;
	bool has_committed_ranges;
	struct lz_pool pool;
	struct lz_tables tables;            /* tables needed if everything is touched */
	uint64_t committed;                 /* their size in bytes, as VmPTE counts them */
	uint64_t bytes;                     /* total size of the ranges */
	uint64_t when_touched;              /* bytes of those that count when they are touched */
	unsigned span_shift[LZ_LEVELS_MAX]; /* log2 of each level's span; copied from the geometry because
					       every call uses it */
	_Atomic bool inexact; /* a record could not be stored: reconcile before the next decision */
};

void lz_ledger_init(struct lz_ledger *ledger, const struct lz_geometry *geometry, const struct lz_os *os);

/* Empties the ledger for recovery from an inconsistent state. The memory of the old records is leaked. */
void lz_ledger_reset(struct lz_ledger *ledger);

/* Makes [start, end) accessible with these traits, replacing what was there. Returns 0 or -ENOMEM. */
int lz_ledger_set(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/*
 * Adds the parts of [start, end) that are not in the ledger with these traits, and leaves the other parts
 * unchanged. Parts on a zero window that do not fill a whole huge page are added with base pages. Returns 0
 * or -ENOMEM.
 */
int lz_ledger_add_missing(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/*
 * Removes [start, end). Returns 0, or -ENOMEM if a range had to be split and there was no memory for its
 * record.
 */
int lz_ledger_remove(struct lz_ledger *ledger, uintptr_t start, uintptr_t end);

/*
 * Removes the ranges in [start, end) that are beyond the end of a file, or all others. Returns 0 or -ENOMEM,
 * as above.
 */
int lz_ledger_remove_where(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, bool beyond_file);

/*
 * Returns the tables needed if all of [start, end) is touched in pages of 2^page_shift bytes, in addition to
 * those of the ranges in the ledger. `replaces`: a new mapping takes the place of these ranges, so what is
 * uncommitted or in larger pages there has not been counted yet. (The few upper tables of the larger pages
 * are then counted twice.)
 */
struct lz_tables lz_ledger_additional_tables(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, unsigned page_shift, bool replaces);

/* Returns the bytes of page tables, as VmPTE counts them, needed if everything in the ledger is touched. */
static inline uint64_t lz_ledger_committed(const struct lz_ledger *ledger)
{
	return ledger->committed;
}

/* Whether a range with this page_shift counts by what is touched of it. */
static inline bool lz_page_shift_is_uncommitted(unsigned page_shift)
{
	return page_shift >= LZ_PAGE_SHIFT_BEYOND_FILE;
}

/* Whether the lowest tables of a range count when it is touched: on a window when it is written. */
static inline bool lz_range_counts_when_touched(const struct lz_range_traits *traits)
{
	return traits->window || lz_page_shift_is_uncommitted(traits->page_shift);
}

/* Returns the range that contains address, or else the first one above it; NULL if there is none. */
struct lz_range *lz_ledger_find_at_or_above(struct lz_ledger *ledger, uintptr_t address);

/* Returns the next range, or NULL. */
struct lz_range *lz_ledger_next(struct lz_range *range);

#endif
