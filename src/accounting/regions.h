/*
 * The regions we served, found by their first address.
 *
 * A hash table of lists whose every change is one atomic store, so looking up takes no lock and is safe in a
 * signal handler, even one that interrupted a change. Inserting and unlinking need the core's lock; claiming
 * (the step that decides who frees a region) is atomic by itself.
 */
#ifndef LZ_ACCOUNTING_REGIONS_H
#define LZ_ACCOUNTING_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/pool.h"

#define LZ_REGION_BUCKETS 4096u

/* A bit for each 64 MiB of 47 bits of address space; higher addresses share them. 256 KiB, hardly ever
 * touched. */
#define LZ_REGION_FILTER_SHIFT 26u
#define LZ_REGION_FILTER_BYTES (UINT64_C(1) << (47 - LZ_REGION_FILTER_SHIFT - 3))

struct lz_backing;

enum lz_region_state { LZ_REGION_CLAIMED, LZ_REGION_LIVE, LZ_REGION_UNLINK_DEFERRED };

struct lz_region_record {
	_Atomic(struct lz_region_record *) next; /* in its bucket */
	_Atomic uintptr_t base;
	_Atomic size_t length;            /* bytes mapped, a multiple of the page size */
	_Atomic uint32_t state;           /* enum lz_region_state */
	const struct lz_backing *backing; /* what stands behind it */
	bool huge_pages_refused;          /* LAZYZERO_THP: the program's MADV_HUGEPAGE is ignored here */
	bool on_window;                   /* was put on a zero window */
	bool accounted; /* was mapped under the kernel's overcommit rules, without MAP_NORESERVE */
	_Atomic bool
		altered_by_program;   /* the program changed its protection or the like: not to be reused */
	bool fully_resident;          /* all its pages are in memory, as far as is known */
	uint16_t site;                /* that made it, for the report; 0: none */
	uint32_t changes_at_creation; /* lz_regions.untracked_changes when it was made */
	void *free_link;              /* the pool's, while it is free */
};

struct lz_regions {
	_Atomic(struct lz_region_record *) bucket[LZ_REGION_BUCKETS];
	_Atomic uint64_t
		unlink_count; /* regions ever unlinked: a reader that missed looks whether it changed */
	_Atomic uint32_t deferred_count;    /* abandoned regions still in the table */
	_Atomic uint32_t untracked_changes; /* by the program to regions that could not be found out: any that
					       lived then */
	struct lz_pool pool;
	_Atomic uint8_t filter[LZ_REGION_FILTER_BYTES]; /* where regions are, or once were */
};

void lz_regions_init(struct lz_regions *regions, const struct lz_os *os);

/* The live region that starts at base, or NULL. No lock; safe in a signal handler. */
struct lz_region_record *lz_regions_find(struct lz_regions *regions, uintptr_t base);

/* Notes that [base, base + length) is a region's. With the lock. */
void lz_regions_filter_add(struct lz_regions *regions, uintptr_t base, size_t length);

/* Whether a region is or was within 64 MiB of p. No lock. */
bool lz_regions_may_be_near(const struct lz_regions *regions, uintptr_t p);

/* Whether the program changed what can be done with its memory, as far as is known. No lock. */
static inline bool lz_regions_altered_by_program(
	const struct lz_regions *regions, const struct lz_region_record *region)
{
	return region->altered_by_program || region->changes_at_creation != regions->untracked_changes;
}

/* Takes a live region for freeing: true for exactly one caller. It stays in the table until unlinked. */
bool lz_regions_claim(struct lz_region_record *region);

/* Gives a claimed region back to the living: it was not freed after all. */
void lz_regions_unclaim(struct lz_region_record *region);

/* How a region was mapped. */
struct lz_region_attributes {
	const struct lz_backing *backing;              /* what stands behind it */
	bool huge_pages_refused, on_window, accounted; /* as in struct lz_region_record */
};

/* Adds a live region. With the lock. Returns 0 or -ENOMEM. */
int lz_regions_insert(
	struct lz_regions *regions, uintptr_t base, size_t length, struct lz_region_attributes attributes);

/* A claimed region lives on at another place, with the same record. With the lock. */
void lz_regions_rebase(
	struct lz_regions *regions, struct lz_region_record *region, uintptr_t base, size_t length);

/* Takes a claimed region out of the table; the pointer is void afterwards. With the lock. */
void lz_regions_unlink(struct lz_regions *regions, struct lz_region_record *region);

/* Leaves a claimed region in the table, because the lock was not to be had: the next sweep unlinks it. */
void lz_regions_defer_unlink(struct lz_regions *regions, struct lz_region_record *region);

/*
 * Calls `visit` for each live region. With the lock; without it, in a signal handler, some may be missed or
 * come twice.
 */
void lz_regions_for_each(struct lz_regions *regions,
	void (*visit)(void *context, struct lz_region_record *region), void *context);

/* Unlinks what was abandoned. With the lock. */
void lz_regions_unlink_deferred(struct lz_regions *regions);

#endif
