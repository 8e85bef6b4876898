/*
 * Frees of what is no block: twice, or from the middle of one. Handed to the next allocator, such a pointer
 * is taken for a block of its own: glibc reads a header from our program's data, or from memory that is gone.
 *
 * Only what is certain is called misuse. A page-aligned block of the next allocator comes here as well; where
 * none of ours ever lay near, one load tells, and no lock is taken.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>

#include "backing/region_header.h"
#include "base/text.h"
#include "os/procfs.h"

/* With the lock. The region that p lies in; NULL where there is none. */
static struct lz_served *around(struct lz_core *core, uintptr_t p)
{
	struct lz_range *range = lz_ledger_find(&core->ledger, p);

	return range != NULL && range->start <= p && range->traits.tag != 0
		       ? lz_regions_find(&core->regions, range->traits.tag)
		       : NULL;
}

enum lz_misuse lz_core_misuse(struct lz_core *core, const void *p, uintptr_t *base, size_t *length)
{
	uintptr_t address = (uintptr_t)p;
	enum lz_misuse misuse = LZ_MISUSE_NONE;
	struct lz_served *region;
	unsigned char there;

	if (!lz_regions_near(&core->regions, address) || !lz_core_enter(core))
		return LZ_MISUSE_NONE;
	/* Books that a call got past may tell of a block that is another's by now. */
	if (!core->ledger.inexact && !atomic_load_explicit(&core->missed, memory_order_relaxed)) {
		region = around(core, address);
		if (region != NULL) {
			*base = atomic_load_explicit(&region->base, memory_order_relaxed);
			*length = atomic_load_explicit(&region->length, memory_order_relaxed);
			/* A plugin may have freed it by glibc's free, and another's block lie there now. */
			if (address > *base && address - *base < *length &&
				lz_header_matches(core, *base, *length))
				misuse = LZ_MISUSE_INSIDE;
		} else if (lz_recycle_has(core, address)) {
			misuse = LZ_MISUSE_FREED;
		}
	}
	lz_core_leave(core);
	if (misuse == LZ_MISUSE_NONE && core->os->mincore((void *)address, core->page, &there) == -ENOMEM)
		misuse = LZ_MISUSE_GONE;
	return misuse;
}

void lz_core_say_misuse(struct lz_core *core, const char *call, const void *p, const void *caller,
	enum lz_misuse misuse, uintptr_t base, size_t length)
{
	char buffer[256], module[64] = "";
	struct lz_text text = lz_text_in(buffer, sizeof buffer - 1);
	uint64_t offset = (uintptr_t)caller;

	lz_text_string(&text, call);
	lz_text_char(&text, '(');
	lz_text_hex(&text, (uintptr_t)p);
	lz_text_string(&text, "): ");
	if (misuse == LZ_MISUSE_INSIDE) {
		lz_text_string(&text, "invalid pointer, ");
		lz_text_u64(&text, (uintptr_t)p - base);
		lz_text_string(&text, " bytes into a block of ");
		lz_text_u64(&text, length);
	} else {
		lz_text_string(&text, misuse == LZ_MISUSE_FREED
					      ? "double free: the block was freed before"
					      : "invalid pointer, or double free: no memory is there");
	}
	lz_text_string(&text, "; an error of the program, which ends here, called from ");
	if (lz_module_of(core->os, "/proc/thread-self/maps", offset - 1, module, sizeof module, &offset) ==
		0) {
		offset++;
		lz_text_foreign(&text, module);
		lz_text_char(&text, '+');
	}
	lz_text_hex(&text, offset);
	buffer[text.length] = '\0';
	lz_log_fatal(&core->log, buffer);
}
