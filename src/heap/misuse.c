/*
 * Frees of pointers that are not blocks: double frees, and pointers into a block. The next allocator would
 * take such a pointer for one of its blocks: glibc would read a chunk header from the program's data, or from
 * unmapped memory.
 *
 * Only certain misuse is reported. Page-aligned blocks of the next allocator are checked here as well; if no
 * region was ever near, that costs one load and takes no lock.
 */
#include <errno.h>
#include <stdatomic.h>

#include "base/text.h"
#include "heap/heap.h"
#include "os/procfs.h"

/* Needs the lock of the books. */
static enum lz_misuse classify(struct lz_heap *heap, uintptr_t p, uintptr_t *base, size_t *length)
{
	const struct lz_region_record *region = lz_books_region_around(heap->books, p);

	/* If a call was missed, a block of another allocator may be there by now. */
	if (lz_books_may_be_stale(heap->books))
		return LZ_MISUSE_NONE;
	if (region == NULL)
		return lz_cache_contains(heap->cache, p) ? LZ_MISUSE_DOUBLE_FREE : LZ_MISUSE_NONE;
	*base = atomic_load_explicit(&region->base, memory_order_relaxed);
	*length = atomic_load_explicit(&region->length, memory_order_relaxed);
	/* A plugin may have freed the region with glibc's free, and another block may be there now. */
	return p > *base && p - *base < *length && lz_header_matches(&heap->backings->header, *base, *length)
		       ? LZ_MISUSE_INTERIOR
		       : LZ_MISUSE_NONE;
}

enum lz_misuse lz_heap_classify(struct lz_heap *heap, const void *p, uintptr_t *base, size_t *length)
{
	uintptr_t address = (uintptr_t)p;
	enum lz_misuse misuse;
	unsigned char resident;

	if (!lz_regions_may_be_near(&heap->books->regions, address) || !lz_books_lock(heap->books))
		return LZ_MISUSE_NONE;
	misuse = classify(heap, address, base, length);
	lz_books_unlock(heap->books);
	if (misuse == LZ_MISUSE_NONE &&
		heap->os->mincore((void *)address, heap->books->page, &resident) == -ENOMEM)
		misuse = LZ_MISUSE_UNMAPPED;
	return misuse;
}

void lz_heap_log_misuse(struct lz_heap *heap, const char *call, const void *p, const void *caller,
	enum lz_misuse misuse, uintptr_t base, size_t length)
{
	char buffer[256], module[64] = "";
	struct lz_text text = lz_text_init(buffer, sizeof buffer - 1);
	uint64_t offset = (uintptr_t)caller;

	lz_text_string(&text, call);
	lz_text_char(&text, '(');
	lz_text_hex(&text, (uintptr_t)p);
	lz_text_string(&text, "): ");
	if (misuse == LZ_MISUSE_INTERIOR) {
		lz_text_string(&text, "invalid pointer, ");
		lz_text_u64(&text, (uintptr_t)p - base);
		lz_text_string(&text, " bytes into a block of ");
		lz_text_u64(&text, length);
	} else {
		lz_text_string(&text, misuse == LZ_MISUSE_DOUBLE_FREE
					      ? "double free: the block was freed before"
					      : "invalid pointer or double free: nothing is mapped there");
	}
	lz_text_string(&text, "; an error in the program, which is aborted; called from ");
	if (lz_module_and_offset(
		    heap->os, "/proc/thread-self/maps", offset - 1, module, sizeof module, &offset) == 0) {
		offset++;
		lz_text_escaped(&text, module);
		lz_text_char(&text, '+');
	}
	lz_text_hex(&text, offset);
	buffer[text.length] = '\0';
	lz_log_fatal(heap->log, buffer);
}
