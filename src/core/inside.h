/*
 * What the files of the core share among themselves: opening the books, the decision, the zero-page backing.
 * The shim has no business here; tests do.
 */
#ifndef LZ_CORE_INSIDE_H
#define LZ_CORE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"

/* --- charge.c --- */

/* Opens the books; false as -EAGAIN in core.h. lz_core_leave must follow true. */
bool lz_core_enter(struct lz_core *core);
void lz_core_leave(struct lz_core *core);

/*
 * What a request is about to make touchable: a known range, or bytes (instead of old_bytes) whose place the
 * kernel will choose.
 */
struct lz_need {
	uintptr_t start, end; /* a known range; start == end for none */
	uint64_t bytes, old_bytes;
	unsigned page_shift;
};

/* What was granted: `cost` bytes of page tables are reserved until lz_core_settle; the rest is void where it
 * is 0. */
struct lz_grant {
	uint64_t cost;
	bool over;                  /* in spite of the budget */
	uint64_t committed, actual; /* at the time of the decision, as is what follows */
	uint64_t budget;
	char source[sizeof((struct lz_budget *)0)->source];
	struct lz_request request;
};

/* Nothing was asked for: only what is looked at, for this is on the way of every small mmap. */
static inline void lz_grant_nothing(struct lz_grant *grant)
{
	grant->cost = 0;
	grant->over = false;
}

/*
 * Holds a request against the budget. Returns 0: granted; -ENOMEM: refused and logged; -EAGAIN. Only 0
 * reserves anything.
 */
int lz_core_charge(struct lz_core *core, const struct lz_request *request, const struct lz_need *need,
	struct lz_grant *grant);

/*
 * Gives a reservation back, its range being in the ledger or not to come; what was served over the budget is
 * logged now that it has happened. No lock.
 */
void lz_core_settle(struct lz_core *core, const struct lz_grant *grant, bool happened);

/* Reads VmPTE again unless that was done in the last `age_ms` milliseconds; with the lock. */
void lz_core_read_actual(struct lz_core *core, uint64_t age_ms);

/* The page size, as a shift, of what is mapped at an address: asks the kernel, in up to milliseconds. */
unsigned lz_core_mapped_page_shift(struct lz_core *core, uintptr_t address);

/*
 * VmPTE falls when memory is unmapped, so its peak is just before: reads it when much goes and somebody keeps
 * statistics; with the lock.
 */
void lz_core_sample_peak(struct lz_core *core, uint64_t bytes_to_go);

/* Brings the ledger in line with /proc/self/maps; with the lock. Returns 0 or -errno. */
int lz_core_reconcile(struct lz_core *core);

/*
 * Finds out what the budget is, the first time; with the lock. Changes to it are made known by publishing it.
 */
void lz_core_resolve_budget(struct lz_core *core);
void lz_core_publish_budget(struct lz_core *core);

/* Writes the ledger's sums into the statistics; with the lock. */
void lz_core_publish(struct lz_core *core);

/* The page-table bytes that a need comes to; with the lock. */
uint64_t lz_core_cost(struct lz_core *core, const struct lz_need *need);

/* --- served.c --- */

/* Rounds up to pages what a request may ask for; false for what no request may. */
bool lz_core_page_length(const struct lz_core *core, uint64_t size, size_t *length);

/*
 * Enters a region into the books: a record, and its range in the ledger. Where it comes from another place,
 * that one leaves the ledger in the same step, while it still is this region's: before another thread can be
 * given it. Returns 0, -ENOMEM or -EAGAIN.
 */
int lz_core_book(struct lz_core *core, uintptr_t base, size_t length, bool huge_pages_refused, uintptr_t from,
	size_t from_length);

/* Takes a claimed region out of the books. */
void lz_core_unbook(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length);

/* --- mappings.c --- */

/*
 * [start, end) in whole pages, as the kernel rounds it; false for what it will answer with EINVAL or ENOMEM.
 */
bool lz_core_page_range(const struct lz_core *core, const void *address, size_t length, unsigned page_shift,
	uintptr_t *start, uintptr_t *end);

/* Holds a call against the budget if it is large enough; *grant is empty where it is not. 0 or -ENOMEM. */
int lz_core_charge_large(struct lz_core *core, const char *call, const void *caller, size_t size,
	const struct lz_need *need, struct lz_grant *grant);

/*
 * A call failed after its range had left the ledger, or did part of its work: compare with /proc/self/maps.
 */
void lz_core_look_again(struct lz_core *core);

/* --- remap.c --- */

/* Ranges of different traits inside one call; more, and the kernel is asked afterwards. */
#define LZ_PIECES 8u

/* What the ledger knew of a range, relative to its start. */
struct lz_pieces {
	size_t count;
	bool all; /* there were no more than fit */
	struct {
		size_t start, end;
		struct lz_traits traits;
	} piece[LZ_PIECES];
};

/* Notes what the ledger knows of [start, end) and, where it goes away, takes it out; with the lock. */
void lz_core_lift(
	struct lz_core *core, uintptr_t start, uintptr_t end, bool goes_away, struct lz_pieces *pieces);

/* A call failed after its range had been lifted: everything is as it was. */
void lz_core_put_back(struct lz_core *core, uintptr_t start, const struct lz_pieces *pieces);

/* --- zeropage.c --- */

/*
 * A private anonymous mapping of `length` bytes, aligned to `alignment` (at least a page), where it needs the
 * fewest page tables beside what is mapped already; huge pages as LAZYZERO_THP says. Touches no page. Returns
 * 0 or -errno. *huge_pages_refused: MADV_HUGEPAGE is to be ignored there.
 */
int lz_zeropage_map(
	struct lz_core *core, size_t length, size_t alignment, uintptr_t *base, bool *huge_pages_refused);

/*
 * Fills the page-table entries of fresh anonymous memory with the zero page, where LAZYZERO_POPULATE says so.
 */
void lz_zeropage_populate(struct lz_core *core, uintptr_t base, size_t length);

/*
 * Address space of `length` bytes, inaccessible, that lies in its page tables as the memory at base does: a
 * mapping moved from base to there takes its tables along. Returns the address or -errno.
 */
intptr_t lz_zeropage_reserve(struct lz_core *core, uintptr_t base, size_t length);

#endif
