/* Declarations shared by the files of this folder. */
#ifndef LZ_CALLS_INTERNAL_H
#define LZ_CALLS_INTERNAL_H

#include "base/checked.h"
#include "calls/calls.h"

static inline bool lz_is_accessible(int protection)
{
	return (protection & (1 | 2 | 4)) != 0; /* PROT_READ, PROT_WRITE, PROT_EXEC */
}

/* The end of a range that the program names; UINTPTR_MAX if it overflows. */
static inline uintptr_t lz_range_end(const void *address, size_t length)
{
	uintptr_t end;

	return __builtin_add_overflow((uintptr_t)address, length, &end) ? UINTPTR_MAX : end;
}

/*
 * The program is about to unmap [start, end), or to map something over it. `owner_done`: by munmap(2), so it
 * has finished with what was there. May take the lock of the books.
 */
void lz_calls_before_unmap(struct lz_calls *calls, uintptr_t start, uintptr_t end, bool owner_done);

/*
 * Notes a mapping that the program made, for a report: `kind` in bits of enum lz_region_kind. Does nothing
 * for one smaller than LAZYZERO_THRESHOLD.
 */
void lz_calls_report_mapping(
	struct lz_calls *calls, const struct lz_request *request, intptr_t start, unsigned kind);

/* Records that the program changed protection or advice in [start, end). Takes the lock of the books. */
void lz_calls_note_attributes_changed(struct lz_calls *calls, uintptr_t start, uintptr_t end);

/*
 * Decides on a call of at least LAZYZERO_THRESHOLD bytes. Smaller calls, and calls on which no decision is
 * possible, get an empty grant. `lease` may be NULL: no window. 0 or -ENOMEM.
 */
int lz_calls_request(struct lz_calls *calls, const struct lz_request *request, struct lz_table_demand *need,
	struct lz_grant *grant, struct lz_lease *lease);

/* A new mapping, as it is recorded in the books. */
struct lz_new_mapping {
	uintptr_t start, end;
	bool touchable;
	struct lz_range_traits traits;
	size_t uncommitted;    /* bytes at its end that count only when they are touched */
	bool beyond_file;      /* because the mapped file is shorter */
	uintptr_t window_tag;  /* entry for the map of windows; 0: not on a window */
	bool placed_by_kernel; /* the kernel chose a free address, so regions that the books have there are
				  stale */
};

/* Records a new mapping in the books. Takes the lock of the books. */
void lz_calls_record_mapping(struct lz_calls *calls, const struct lz_new_mapping *mapping);

/* Counts a mapping of `length` bytes in the statistics. Needs no lock. */
void lz_calls_count_mapping(struct lz_calls *calls, size_t length);

/*
 * Whether the page tables of `length` bytes would be within the budget if nothing else counted against it.
 * May take the lock of the books.
 */
bool lz_calls_fits_budget_alone(struct lz_calls *calls, size_t length);

/*
 * Notes the page size of a mapping. Once hugetlb memory was seen, mprotect looks up the page size of its
 * range. Needs no lock.
 */
void lz_calls_note_if_hugetlb(struct lz_calls *calls, unsigned page_shift);

/* The smallest huge page that needs fewer page tables than small pages: that of s390x. */
#define LZ_HUGE_PAGE_MIN (1u << 20)

/*
 * Up to this many ranges of different traits are saved for one call; with more, the books are reconciled
 * afterwards.
 */
#define LZ_SAVED_PIECES_MAX 4u

/* The entries of a ledger in a range, relative to its start. */
struct lz_saved_pieces {
	size_t count;
	bool all; /* all entries fitted */
	struct {
		size_t start, end;
		struct lz_range_traits traits;
	} piece[LZ_SAVED_PIECES_MAX];
};

/*
 * What the books know of a range: the touchable parts, the parts on a window, and those of them that are
 * wiped on fork.
 */
struct lz_saved_range {
	struct lz_saved_pieces touchable, windows;
	struct lz_wipe_list wiped;
};

void lz_saved_pieces_fill(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_saved_pieces *pieces);

/*
 * Saves what the books know of [start, end), which is about to be unmapped, and removes it. Needs the lock of
 * the books.
 */
void lz_calls_save_range(
	struct lz_calls *calls, uintptr_t start, uintptr_t end, struct lz_saved_range *saved);

/* Restores a saved range after its call failed. Takes the lock of the books. */
void lz_calls_restore_range(struct lz_calls *calls, uintptr_t start, const struct lz_saved_range *saved);

#endif
