/*
 * The ledger: which address ranges can be touched, and how many page tables touching all of them would need.
 *
 * Ranges are disjoint and ordered; ranges that cannot be touched (PROT_NONE, unmapped) are simply not in it.
 * The table counts are kept exact at every step: adding or removing a range looks only at its two neighbours,
 * because a table that several ranges share is shared by neighbours. Addresses are multiples of the page
 * size.
 *
 * Not thread-safe; the caller holds the core's lock. Memory for records comes from the os layer; when there
 * is none, functions return -ENOMEM and the ledger is inexact until it is next reconciled.
 */
#ifndef LZ_PAGETABLES_LEDGER_H
#define LZ_PAGETABLES_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libbsd's copy of the BSD macros; header only. */
#include <bsd/sys/tree.h>

#include "pagetables/geometry.h"
#include "support/pool.h"

/* What a range is, as far as its costs and later calls need to know. Ranges of equal traits join. */
struct lz_range_traits {
	uint8_t page_shift; /* of the pages it is mapped with */
	bool window;        /* on a zero window, whose huge pages the kernel divides where they are cut */
	uintptr_t tag; /* the region or the attached segment it belongs to, by start address; 0 for others */
};

struct lz_range {
	RB_ENTRY(lz_range) node;
	uintptr_t start, end; /* [start, end) */
	struct lz_range_traits traits;
};

RB_HEAD(lz_range_tree, lz_range);

struct lz_ledger {
	const struct lz_geometry *geometry;
	struct lz_range_tree ranges;
	struct lz_pool pool;
	struct lz_tables tables;            /* that touching everything needs */
	uint64_t committed;                 /* their bytes, as VmPTE counts them */
	uint64_t bytes;                     /* of address space in the ledger */
	unsigned span_shift[LZ_LEVELS_MAX]; /* of the geometry, at hand: these are looked at in every call */
	_Atomic bool inexact; /* a record could not be kept: reconcile before deciding anything */
};

void lz_ledger_init(struct lz_ledger *ledger, const struct lz_geometry *geometry, const struct lz_os *os);

/* Starts over with an empty ledger, losing the memory of the old one: for a forked child. */
void lz_ledger_reset(struct lz_ledger *ledger);

/* [start, end) can be touched and has these traits, whatever it was before. Returns 0 or -ENOMEM. */
int lz_ledger_set(struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/*
 * [start, end) can be touched; what is known of parts of it stays, the rest gets these traits. On a window,
 * what does not fill a whole huge page is in small ones.
 */
int lz_ledger_add_missing(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_range_traits traits);

/* [start, end) cannot be touched any more. */
int lz_ledger_remove(struct lz_ledger *ledger, uintptr_t start, uintptr_t end);

/*
 * The tables that touching all of [start, end) in pages of 2^page_shift bytes would need beyond those that
 * the ranges in the ledger need already.
 */
struct lz_tables lz_ledger_additional_tables(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, unsigned page_shift);

/* Page-table bytes, as VmPTE counts them, that touching everything in the ledger needs. */
static inline uint64_t lz_ledger_committed(const struct lz_ledger *ledger)
{
	return ledger->committed;
}

/* The range that contains address, or else the first one above it; NULL when there is none. */
struct lz_range *lz_ledger_find(struct lz_ledger *ledger, uintptr_t address);

/* The range after this one, or NULL. */
struct lz_range *lz_ledger_next(struct lz_range *range);

#endif
