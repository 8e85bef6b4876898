/* What the files of this folder share. */
#ifndef LZ_CALLS_INTERNAL_H
#define LZ_CALLS_INTERNAL_H

#include "base/checked.h"
#include "calls/calls.h"

static inline bool lz_is_accessible(int protection)
{
	return (protection & (1 | 2 | 4)) != 0; /* PROT_READ, PROT_WRITE, PROT_EXEC */
}

/* The end of a range that a program names, which may reach beyond the address space. */
static inline uintptr_t lz_range_end(const void *address, size_t length)
{
	uintptr_t end;

	return __builtin_add_overflow((uintptr_t)address, length, &end) ? UINTPTR_MAX : end;
}

/* The program changes what can be done with [start, end), and how it is to be handled. Takes the lock. */
void lz_calls_note_attributes_changed(struct lz_calls *calls, uintptr_t start, uintptr_t end);

/*
 * Decides on a call of at least LAZYZERO_THRESHOLD bytes; smaller ones, and those that cannot be decided on,
 * are granted nothing. `lease` is NULL where there is to be no window. 0 or -ENOMEM.
 */
int lz_calls_request(struct lz_calls *calls, const struct lz_request *request, struct lz_table_demand *need,
	struct lz_grant *grant, struct lz_lease *lease);

/* A mapping that a call made: what the books are to know of it. */
struct lz_new_mapping {
	uintptr_t start, end;
	bool touchable;
	struct lz_range_traits traits;
	uintptr_t window_tag;  /* 0: it stands on no window */
	bool placed_by_kernel; /* only where nothing is: regions that the books have there are stale */
};

/* The books follow a mapping that was made. Takes the lock. */
void lz_calls_record_mapping(struct lz_calls *calls, const struct lz_new_mapping *mapping);

/* Counts a mapping of that many bytes in the statistics. */
void lz_calls_count_mapping(struct lz_calls *calls, size_t length);

/* Notes the page size of a mapping: once hugetlb memory was seen, mprotect has to ask what it opens. */
void lz_calls_note_page_size(struct lz_calls *calls, unsigned page_shift);

/* The smallest huge page that needs fewer tables than small pages do: that of s390x. */
#define LZ_HUGE_PAGE_MIN (1u << 20)

/* Ranges of different traits inside one call; more, and the kernel is asked afterwards. */
#define LZ_SAVED_PIECES_MAX 4u

/* What a ledger knew of a range, relative to its start. */
struct lz_saved_pieces {
	size_t count;
	bool all; /* there were no more than fit */
	struct {
		size_t start, end;
		struct lz_range_traits traits;
	} piece[LZ_SAVED_PIECES_MAX];
};

/* The same of what can be touched, of what stands on a window, and what of that is wiped on fork. */
struct lz_saved_range {
	struct lz_saved_pieces touchable, windows;
	struct lz_wipe_list wiped;
};

void lz_saved_pieces_fill(
	struct lz_ledger *ledger, uintptr_t start, uintptr_t end, struct lz_saved_pieces *pieces);

/* Saves what the books know of [start, end), which is about to go away, and removes it; with the lock. */
void lz_calls_save_range(
	struct lz_calls *calls, uintptr_t start, uintptr_t end, struct lz_saved_range *saved);

/* A call failed after its range had been saved: everything is as it was. Takes the lock. */
void lz_calls_restore_range(struct lz_calls *calls, uintptr_t start, const struct lz_saved_range *saved);

#endif
