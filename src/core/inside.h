/*
 * What the files of the core share among themselves: opening the books, the decision, the two backings.
 * The shim has no business here; tests do.
 */
#ifndef LZ_CORE_INSIDE_H
#define LZ_CORE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"

/* --- charge.c --- */

/* What the ledger says of memory on a window: whole blocks need no page table. */
static inline void lz_core_on_window(const struct lz_core *core, struct lz_traits *traits)
{
	traits->window = true;
	traits->page_shift = (uint8_t)core->ledger.span_shift[0];
}

/*
 * Opens the books; false as -EAGAIN in core.h. lz_core_leave must follow true, before the function returns:
 * the mark is in its frame, where, unlike a variable of a block, it stays until then.
 */
#define lz_core_enter(core) lz_core_enter_at(core, __builtin_alloca(sizeof(struct lz_mark)))
bool lz_core_enter_at(struct lz_core *core, struct lz_mark *mark);
void lz_core_leave(struct lz_core *core);

/*
 * What a request is about to make touchable: a known range, or bytes (instead of old_bytes) whose place the
 * kernel will choose.
 */
struct lz_need {
	uintptr_t start, end; /* a known range; start == end for none */
	uint64_t bytes, old_bytes;
	unsigned page_shift;
	bool windowable;     /* a zero window could stand behind it */
	uint64_t plain_cost; /* on a window in answer to an excess: what it would cost without one */
};

/* What was granted: `cost` bytes of page tables are reserved until lz_core_settle; the rest is void where it
 * is 0. */
struct lz_grant {
	uint64_t cost;
	bool over;                  /* in spite of the budget */
	uint64_t window;            /* bytes of the zero window it stands on, 0 for none */
	uint64_t plain_cost;        /* as in the need */
	uint64_t committed, actual; /* at the time of the decision, as is what follows */
	uint64_t budget;
	struct lz_request request;
	struct lz_hold hold; /* what is reserved, as others see it */
};

/* Nothing was asked for: only what is looked at, for this is on the way of every small mmap. */
static inline void lz_grant_nothing(struct lz_grant *grant)
{
	grant->cost = 0;
	grant->over = false;
	grant->window = 0;
}

/*
 * Holds a request against the budget. Where the need is windowable, and the user asked for the window or
 * the budget asks for it, the grant is for the window and *use holds it: release it when the mapping stands.
 * Returns 0: granted; -ENOMEM: refused and logged; -EAGAIN. Only 0 reserves or holds anything.
 */
int lz_core_charge(struct lz_core *core, const struct lz_request *request, const struct lz_need *need,
	struct lz_grant *grant, struct lz_window_use *use);

/*
 * Gives a reservation back, its range being in the ledger or not to come; what was served over the budget is
 * logged now that it has happened. No lock.
 */
void lz_core_settle(struct lz_core *core, struct lz_grant *grant, bool happened);

/* Takes a granted cost out of what is reserved. No lock. */
void lz_core_unreserve(struct lz_core *core, uint64_t cost);

/* Reads VmPTE again unless that was done in the last `age_ms` milliseconds; with the lock. */
void lz_core_read_actual(struct lz_core *core, uint64_t age_ms);

/*
 * VmPTE falls when memory is unmapped, so its peak is just before: reads it when much goes and somebody keeps
 * statistics; with the lock.
 */
void lz_core_sample_peak(struct lz_core *core, uint64_t bytes_to_go);

/*
 * Finds out what the budget is, the first time; with the lock. Changes to it are made known by publishing it.
 */
void lz_core_resolve_budget(struct lz_core *core);
void lz_core_publish_budget(struct lz_core *core);

/* Whether `cost` more would exceed the budget, by what the ledger and VmPTE said last; with the lock. */
bool lz_core_exceeds(struct lz_core *core, uint64_t cost);

/* Writes the ledger's sums into the statistics; with the lock. */
void lz_core_publish(struct lz_core *core);

/* The page-table bytes that a need comes to; with the lock. */
uint64_t lz_core_cost(struct lz_core *core, const struct lz_need *need);

/* --- reconcile.c --- */

/*
 * [start, end) can be touched: what is known of it stays, the rest has these traits, but where the map of
 * windows says that it stands on one; with the lock.
 */
void lz_core_cover(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_traits traits);

/* The page size, as a shift, of what is mapped at an address: asks the kernel, before Linux 6.11 in up to milliseconds. */
unsigned lz_core_mapped_page_shift(struct lz_core *core, uintptr_t address);

/* Brings the ledger in line with /proc/self/maps; with the lock. Returns 0 or -errno. */
int lz_core_reconcile(struct lz_core *core);

/*
 * A call failed after its range had left the ledger, or did part of its work: compare with /proc/self/maps.
 */
void lz_core_look_again(struct lz_core *core);

/* --- windowed.c --- */

/* Whether a request of that backing may be put on a window by LAZYZERO_BACKING. */
bool lz_core_may_use_window(const struct lz_core *core, enum lz_backing backing);

/* Counts a region or a mapping that was put on a window. */
void lz_core_count_window(struct lz_core *core, size_t length);

/* Notes how much of VmRSS is the window's, before some of it goes, where somebody keeps statistics. */
void lz_core_sample_window(struct lz_core *core);

/* Where a region was put, and what stands behind it. */
struct lz_place {
	uintptr_t base;
	size_t length;
	bool huge_pages_refused; /* MADV_HUGEPAGE is to be ignored there */
	bool on_window;
	bool accounted;   /* mapped under the kernel's overcommit rules */
	uintptr_t window; /* its lz_window_tag; 0 where the map of windows knows already */
};

/* A zeroed region on the window in use; as lz_zeropage_map. */
int lz_windowed_map(struct lz_core *core, const struct lz_window_use *use, size_t length, size_t alignment,
	bool accounted, struct lz_place *place);

/* The next part of [start, end) on a window; false where there is none. Takes the lock. */
bool lz_windowed_next(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part);

/* Asks of a range again what was asked of another: bits of enum lz_asked in os/procfs.h. */
void lz_core_ask(struct lz_core *core, uintptr_t start, size_t length, unsigned asked);

/* Bytes of [start, end) that are mapped to a window now, which VmRSS counts; 0 where that is not known. */
uint64_t lz_windowed_resident(struct lz_core *core, uintptr_t start, uintptr_t end);

/* Copies the pages of [start, end) that are not zero to `to`: what stays unwritten stays sparse. */
void lz_copy_written(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t to);

/* --- leave.c --- */

/*
 * Turns what stands on a window in [start, end) into anonymous memory of the same contents, protection and
 * advice, block by block; a block that cannot be held meanwhile and holds something stays.
 */
void lz_windowed_leave(struct lz_core *core, uintptr_t start, uintptr_t end);

/* --- advice.c --- */

/* What a program has for the kernel to read; false where the kernel will say EFAULT. */
bool lz_core_fetch(struct lz_core *core, const void *from, void *to, size_t length);

/* --- contents.c --- */

/*
 * What a region holds, bytes written and page tables, or as soon as that is clear `enough` and more; *is_zero:
 * all of it reads as zero now; *tables: the page tables of it, bytes. No lock.
 */
uint64_t lz_recycle_weigh(struct lz_core *core, uintptr_t base, size_t length, uint64_t enough, bool *is_zero,
	uint64_t *tables);

/*
 * Makes a kept region zero, of which all but the first `unreclaimable` bytes are under MADV_FREE; true when all of its pages are in memory now. What was full once stays so, and
 * needs no second look: where a system call empties the TLB, that costs a full 16 MiB half as much as
 * clearing.
 *
 * Before Linux 6.7 nothing tells written pages: all of them are cleared where most are in memory (faulting
 * them in anew takes four times as long), and given back where not.
 */
bool lz_recycle_clear(struct lz_core *core, uintptr_t base, size_t length, size_t unreclaimable, bool full,
	bool on_window);

/* --- served.c --- */

/* Rounds up to pages what a request may ask for; false for what no request may. */
bool lz_core_page_length(const struct lz_core *core, uint64_t size, size_t *length);

/*
 * Enters a region into the books: a record, and its range in the ledger. Where it comes from another place,
 * that one leaves the ledger in the same step, while it still is this region's: before another thread can be
 * given it. Returns 0, -ENOMEM or -EAGAIN.
 */
int lz_core_book(struct lz_core *core, const struct lz_place *place, uintptr_t from, size_t from_length);

/*
 * Our own calls on memory that the program had: made by the next definition, so that others hear of them, or, where
 * this thread is in such a call already (a library that frees blocks when it hears of one), by the kernel. No lock.
 */
int lz_core_munmap_heard(struct lz_core *core, uintptr_t start, size_t length);
int lz_core_madvise_heard(struct lz_core *core, uintptr_t start, size_t length, int advice);

/* Unmaps a region of that base and length, its header included. At vm.max_map_count the kernel cannot cut a mapping
 * in two: then its pages are given back. No lock. */
void lz_core_unmap_region(struct lz_core *core, uintptr_t base, size_t length);

/*
 * The kernel chose [start, end) for a new mapping, so no region is left there: regions that the books still have
 * were unmapped by somebody whom we did not see (glibc's free, called by a plugin). Removes them; with the lock.
 */
void lz_core_drop_stale_regions(struct lz_core *core, uintptr_t start, uintptr_t end);

/*
 * The live region that starts at p, or NULL. One that was unmapped, moved or resized without our knowledge is
 * removed from the books: whoever did so knows how to free what is there now. Takes no lock but for that.
 */
struct lz_served *lz_core_find_region(struct lz_core *core, const void *p);

/* Takes a claimed region out of the books. */
void lz_core_unbook(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length);

/* --- alter.c --- */

/* The program changes what can be done with [start, end), and how it is to be handled. Takes the lock. */
void lz_core_altered(struct lz_core *core, uintptr_t start, uintptr_t end);

/* The same of what does not keep a region from being used again. */
void lz_core_window_altered(struct lz_core *core, uintptr_t start, uintptr_t end);

/* --- mappings.c --- */

/*
 * [start, end) in whole pages, as the kernel rounds it; false for what it will answer with EINVAL or ENOMEM.
 */
bool lz_core_page_range(const struct lz_core *core, const void *address, size_t length, unsigned page_shift,
	uintptr_t *start, uintptr_t *end);

/*
 * Holds a call against the budget if it is large enough; *grant is empty where it is not. *use as above, or
 * NULL where the need is not windowable. 0 or -ENOMEM.
 */
int lz_core_charge_large(struct lz_core *core, const char *call, const void *caller, size_t size,
	const struct lz_need *need, struct lz_grant *grant, struct lz_window_use *use);

/* --- remap.c --- */

/* Ranges of different traits inside one call; more, and the kernel is asked afterwards. */
#define LZ_PIECES 4u

/* What a ledger knew of a range, relative to its start. */
struct lz_pieces {
	size_t count;
	bool all; /* there were no more than fit */
	struct {
		size_t start, end;
		struct lz_traits traits;
	} piece[LZ_PIECES];
};

/* The same of both: what can be touched, and what stands on a window; and what of that is wiped on fork. */
struct lz_lifted {
	struct lz_pieces touchable, windows;
	struct lz_wiped wiped;
};

/* Notes what is known of [start, end) and, where it goes away, takes it out of the books; with the lock. */
void lz_core_lift(
	struct lz_core *core, uintptr_t start, uintptr_t end, bool goes_away, struct lz_lifted *lifted);

/* A call failed after its range had been lifted: everything is as it was. */
void lz_core_put_back(struct lz_core *core, uintptr_t start, const struct lz_lifted *lifted);

/* --- remap_window.c --- */

/*
 * mremap of whole pages of which some stand on a window, as the kernel does it for anonymous memory. What is
 * new of it stands on the window in use, if any. The map of windows follows; the ledger is the caller's.
 * Returns what mremap would.
 */
intptr_t lz_window_remap(struct lz_core *core, const struct lz_window_use *use, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target);

/* How the program has a mapping. */
struct lz_manner {
	int protection; /* as of mprotect */
	int key;        /* of pkey_mprotect; 0 is what all memory has */
	unsigned asked; /* bits of enum lz_asked in os/procfs.h */
};

/*
 * [from, to), inaccessible so far, becomes more of what lies before `from`: on the window in use, or without
 * one plain memory. `tag` is what the map of windows said of the byte before. 0 or -errno; on failure the
 * range may be anything.
 */
int lz_window_extend(struct lz_core *core, const struct lz_window_use *use, uintptr_t from, uintptr_t to,
	uintptr_t tag, const struct lz_manner *manner);

/* The tag of what stands on a window at an address; 0 where nothing does. Takes the lock. */
uintptr_t lz_window_tag_at(struct lz_core *core, uintptr_t address);

/*
 * Moves [from, from + length), whatever stands behind it, over the mapping at `to`, and leaves holes, or with
 * MREMAP_DONTUNMAP in flags untouched memory. Page tables move; only a part that the program split into
 * mappings that differ (EFAULT) is copied where `copy` allows it. The map of windows follows. On failure all
 * is where it was. 0 or -errno.
 */
int lz_window_move(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to, int flags, bool copy);

/* --- zeropage.c --- */

/*
 * Private anonymous memory of `length` bytes behind a page for its header, aligned to `alignment` (at least a
 * page), where it needs the fewest page tables beside what is mapped already; huge pages as LAZYZERO_THP says.
 * With `accounted` the kernel applies its overcommit rules. Touches no page. Returns 0 or -errno.
 */
int lz_zeropage_map(
	struct lz_core *core, size_t length, size_t alignment, bool accounted, struct lz_place *place);

/* The flags of mmap for such memory. */
int lz_zeropage_flags(bool accounted);

/* The same at any multiple of `alignment`, without advice. Returns the address behind the header or -errno. */
intptr_t lz_zeropage_map_region(struct lz_core *core, size_t length, size_t alignment, bool accounted);

/*
 * Fills the page-table entries of fresh memory with the zero page or the window, where LAZYZERO_POPULATE says
 * so.
 */
void lz_zeropage_populate(struct lz_core *core, uintptr_t base, size_t length);

/* Inaccessible address space at a multiple of `alignment`. Returns the address or -errno. */
intptr_t lz_zeropage_reserve_aligned(struct lz_core *core, size_t length, size_t alignment);

/*
 * The same that lies in its page tables as the memory at base does: a mapping moved from base to there takes
 * its tables along.
 */
intptr_t lz_zeropage_reserve(struct lz_core *core, uintptr_t base, size_t length);

/* A mapping of these flags at a multiple of `alignment`, wherever the kernel has room. As mmap. */
intptr_t lz_zeropage_map_aligned(
	struct lz_core *core, size_t length, size_t alignment, int protection, int flags);

#endif
