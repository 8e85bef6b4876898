/*
 * The heap: regions that are served in place of the allocator below. Each region is a mapping of its own with
 * a header page before it (see backing/region_header.h) and a record in the books.
 *
 * The lock of the books is held only to read or change the books. A range leaves the ledger before the kernel
 * can give its addresses to another thread, and enters it after the kernel gave them to this one.
 * Thread-safe; safe in signal handlers. -EAGAIN means that lazyzero cannot serve the request (re-entered,
 * lock not available, no address space); the caller does what it would do without lazyzero.
 */
#ifndef LZ_HEAP_HEAP_H
#define LZ_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget/budget.h"
#include "lazyzero.h"
#include "sites/report.h"
#include "zeroing/zeroing.h"

struct lz_heap {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_cache *cache;
	struct lz_budget *budget;
	struct lz_reporter *reporter;
	struct lz_zeroing *zeroing;
	const struct lz_options *options;
	struct lz_log *log;
};

/* --- heap.c --- */

/*
 * Allocates a zeroed region of request->size bytes, aligned to `alignment` (a power of two; below the page
 * size, also 0: to a page). 0, -ENOMEM: refused by the budget, or -EAGAIN.
 */
int lz_heap_allocate(struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out);

/*
 * Notes what lz_heap_allocate has returned for a report, if one is requested. Apart from it, because its
 * frames, 500 bytes, must not be on the stack while the caller's stack is walked.
 */
static inline void lz_heap_report_allocated(
	struct lz_heap *heap, const struct lz_request *request, const void *p)
{
	if (lz_report_is_active(heap->reporter))
		lz_report_region_allocated(heap->reporter, request, p);
}

/* Frees the region at p. -ENOENT: no region starts at p, and nothing was done. Never -EAGAIN. */
int lz_heap_free(struct lz_heap *heap, void *p);

/* --- resize.c --- */

/*
 * Changes the size of the region at p to request->size bytes (> 0). Moves page tables instead of copying,
 * unless the program has split the region into several mappings. -ENOENT: no region starts at p; -ENOMEM:
 * refused; -EAGAIN. On failure the region is unchanged.
 */
int lz_heap_resize(struct lz_heap *heap, const struct lz_request *request, void *p, void **out);

/* --- misuse.c --- */

/* Why a page-aligned pointer at which no region starts is certainly not a block. */
enum lz_misuse {
	LZ_MISUSE_NONE,        /* p may belong to the next allocator */
	LZ_MISUSE_INTERIOR,    /* p points into a region */
	LZ_MISUSE_DOUBLE_FREE, /* p points into a region that was freed and is cached */
	LZ_MISUSE_UNMAPPED /* p is near the address of a region, now or earlier, and nothing is mapped there
			    */
};

/*
 * Classifies a page-aligned pointer that is not the start of a live region. For LZ_MISUSE_INTERIOR, *base and
 * *length are those of the region. Takes the lock of the books only if a region is or was within 64 MiB of p.
 */
enum lz_misuse lz_heap_classify(struct lz_heap *heap, const void *p, uintptr_t *base, size_t *length);

/* Logs one line about a misuse, also to stderr, naming the function `call` and its caller. */
void lz_heap_log_misuse(struct lz_heap *heap, const char *call, const void *p, const void *caller,
	enum lz_misuse misuse, uintptr_t base, size_t length);

/* --- describe.c --- */

/*
 * Sets *bytes to the usable size of the region at p. -ENOENT: no region starts at p. Takes the lock only if a
 * region turns out to be lost.
 */
int lz_heap_size(struct lz_heap *heap, const void *p, size_t *bytes);

/*
 * The live region that starts at p, or NULL. A region that was unmapped, moved or resized without lazyzero's
 * knowledge is removed from the books, and the memory that is there now is left to whoever mapped it. Takes
 * the lock only for that.
 */
struct lz_region_record *lz_heap_validate_region_at(struct lz_heap *heap, const void *p);

/* As the public functions lz_region_info and lz_zero, but errors are returned as -errno. */

int lz_heap_region_info(struct lz_heap *heap, const void *p, struct lz_region *info);
int lz_heap_zero(struct lz_heap *heap, void *p, size_t size);

#endif
