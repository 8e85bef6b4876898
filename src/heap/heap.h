/*
 * The heap: regions served in place of the allocator below. Each is memory of its own behind a header page
 * (see backing/region_header.h), with a record in the books.
 *
 * The lock of the books is held only to look at or change them. A range leaves the ledger before the kernel
 * may hand its addresses to another thread, and enters it after the kernel gave them to this one.
 * Thread-safe; safe in signal handlers. -EAGAIN means that we cannot serve (re-entered, lock not to be had,
 * no address space): the caller does what it would do without lazyzero.
 */
#ifndef LZ_HEAP_HEAP_H
#define LZ_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget/budget.h"
#include "lazyzero.h"
#include "sites/report.h"

struct lz_heap {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_cache *cache;
	struct lz_budget *budget;
	struct lz_reporter *reporter;
	const struct lz_options *options;
	struct lz_log *log;
};

/* --- heap.c --- */

/*
 * A zeroed region of request->size bytes, aligned to `alignment` (a power of two; 0 or less than a page: to a
 * page). -ENOMEM: refused.
 */
int lz_heap_allocate(struct lz_heap *heap, const struct lz_request *request, size_t alignment, void **out);

/* Frees the region at p. -ENOENT: p is not the start of one; nothing happened. Never -EAGAIN. */
int lz_heap_free(struct lz_heap *heap, void *p);

/* --- resize.c --- */

/*
 * Changes the size of the region at p to request->size (> 0) bytes; moves its page tables, not its bytes,
 * unless the program has split it into several mappings. -ENOENT as above; -ENOMEM: refused; -EAGAIN as
 * above. After each of them the region is as it was.
 */
int lz_heap_resize(struct lz_heap *heap, const struct lz_request *request, void *p, void **out);

/* --- misuse.c --- */

/* Why a page-aligned pointer that no region starts at is certain to be no block. */
enum lz_misuse {
	LZ_MISUSE_NONE,   /* p may be the next allocator's */
	LZ_MISUSE_INSIDE, /* in the middle of a region */
	LZ_MISUSE_FREED,  /* in one that was freed and is kept for reuse */
	LZ_MISUSE_GONE    /* near where regions were, and nothing is mapped there */
};

/*
 * Classifies a page-aligned pointer that is not the start of a live region; *base and *length are those of
 * the region that it lies INSIDE. Takes the lock only within 64 MiB of where a region is or was.
 */
enum lz_misuse lz_heap_classify(struct lz_heap *heap, const void *p, uintptr_t *base, size_t *length);

/* Logs one line about misuse, also to stderr, in the name of the call at `caller`. */
void lz_heap_log_misuse(struct lz_heap *heap, const char *call, const void *p, const void *caller,
	enum lz_misuse misuse, uintptr_t base, size_t length);

/* --- describe.c --- */

/* The usable bytes of the region at p. -ENOENT as above; takes the lock only where a region was lost. */
int lz_heap_size(struct lz_heap *heap, const void *p, size_t *bytes);

/*
 * The live region that starts at p, or NULL. A region that was unmapped, moved or resized without our
 * knowledge is removed from the books: whoever did so knows how to free what is there now. Takes no lock but
 * for that.
 */
struct lz_region_record *lz_heap_find(struct lz_heap *heap, const void *p);

/* As the public functions lz_region_info and lz_zero; errors are returned as -errno. */

int lz_heap_region_info(struct lz_heap *heap, const void *p, struct lz_region *info);
int lz_heap_zero(struct lz_heap *heap, void *p, size_t size);

#endif
