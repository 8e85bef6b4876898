/*
 * The table of regions that lazyzero has allocated, searchable by their start address.
 *
 * A hash table of lists in which every change is one atomic store. Lookups take no lock and are
 * async-signal-safe, even in a handler that interrupted a change. Inserting and unlinking need the lock of
 * the books. Claiming (the step that decides which caller frees a region) is atomic by itself.
 */
#ifndef LZ_ACCOUNTING_REGIONS_H
#define LZ_ACCOUNTING_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/pool.h"

/* 128 KiB; with 100,000 regions there are 6 in each. */
#define LZ_REGION_BUCKETS 16384u

/*
 * The filter has one bit for each 64 MiB of 47 bits of address space; higher addresses share these bits. It
 * takes 256 KiB, almost none of which is ever touched.
 */
#define LZ_REGION_FILTER_SHIFT 26u
#define LZ_REGION_FILTER_BYTES (UINT64_C(1) << (47 - LZ_REGION_FILTER_SHIFT - 3))

struct lz_backing;

enum lz_region_state { LZ_REGION_CLAIMED, LZ_REGION_LIVE, LZ_REGION_UNLINK_DEFERRED };

struct lz_region_record {
	_Atomic(struct lz_region_record *) next; /* next record in the bucket */
	_Atomic uintptr_t base;
	_Atomic size_t length;            /* bytes mapped, a multiple of the page size */
	_Atomic uint32_t state;           /* enum lz_region_state */
	const struct lz_backing *backing; /* implementation of its memory */
	bool huge_pages_refused;          /* LAZYZERO_THP: the program's MADV_HUGEPAGE is ignored here */
	bool on_window;                   /* backed by a zero window */
	bool accounted; /* mapped without MAP_NORESERVE, so the kernel applies its overcommit rules */
	_Atomic bool altered_by_program; /* the program changed its protection, advice or the like: must not
					    be reused */
	bool fully_resident;             /* all its pages are resident, as far as is known */
	uint16_t site;                   /* call site for the report; 0: none */
	uint32_t changes_at_creation;    /* lz_regions.untracked_changes when it was added */
	void *free_link;                 /* used by the pool while the record is free */
};

struct lz_regions {
	_Atomic(struct lz_region_record *) bucket[LZ_REGION_BUCKETS];
	_Atomic uint64_t
		unlink_count; /* regions ever unlinked; readers use it to detect a concurrent change */
	_Atomic uint32_t deferred_count;    /* claimed regions whose unlinking was deferred */
	_Atomic uint32_t untracked_changes; /* times the program changed regions that could not be identified;
					       affects all regions live at that time */
	struct lz_pool pool;
	_Atomic uint8_t filter[LZ_REGION_FILTER_BYTES]; /* 64 MiB blocks that hold or ever held a region */
};

void lz_regions_init(struct lz_regions *regions, const struct lz_os *os);

/* Returns the live region that starts at base, or NULL. No lock; async-signal-safe. */
struct lz_region_record *lz_regions_find(struct lz_regions *regions, uintptr_t base);

/* Records in the filter that [base, base + length) belongs to a region. Needs the lock. */
void lz_regions_filter_add(struct lz_regions *regions, uintptr_t base, size_t length);

/* Whether a region is, or has been, within 64 MiB of p. No lock. */
bool lz_regions_may_be_near(const struct lz_regions *regions, uintptr_t p);

/* Whether the program is known to have changed the protection, advice or the like of its memory. No lock. */
static inline bool lz_regions_altered_by_program(
	const struct lz_regions *regions, const struct lz_region_record *region)
{
	return region->altered_by_program || region->changes_at_creation != regions->untracked_changes;
}

/*
 * Claims a live region in order to free it. Returns true for exactly one caller. The region stays in the
 * table until it is unlinked. No lock.
 */
bool lz_regions_claim(struct lz_region_record *region);

/* Makes a claimed region live again, because it was not freed. No lock. */
void lz_regions_unclaim(struct lz_region_record *region);

/* How the memory of a region was mapped. */
struct lz_region_attributes {
	const struct lz_backing *backing;              /* implementation of its memory */
	bool huge_pages_refused, on_window, accounted; /* as in struct lz_region_record */
};

/* Adds a live region. Needs the lock. Returns 0 or -ENOMEM. */
int lz_regions_insert(
	struct lz_regions *regions, uintptr_t base, size_t length, struct lz_region_attributes attributes);

/* Moves a claimed region to another address and makes it live again, with the same record. Needs the lock. */
void lz_regions_rebase(
	struct lz_regions *regions, struct lz_region_record *region, uintptr_t base, size_t length);

/* Removes a claimed region from the table. The pointer is invalid afterwards. Needs the lock. */
void lz_regions_unlink(struct lz_regions *regions, struct lz_region_record *region);

/*
 * Leaves a claimed region in the table because the lock is unavailable. lz_regions_unlink_deferred removes it
 * later. No lock.
 */
void lz_regions_defer_unlink(struct lz_regions *regions, struct lz_region_record *region);

/*
 * Calls `visit` for each live region. With the lock, each exactly once. Without it (in a signal handler),
 * regions may be missed or visited twice.
 */
void lz_regions_for_each(struct lz_regions *regions,
	void (*visit)(void *context, struct lz_region_record *region), void *context);

/* Removes the regions whose unlinking was deferred. Needs the lock. */
void lz_regions_unlink_deferred(struct lz_regions *regions);

#endif
