/*
 * Calls beside the mmap family that change what memory is like: told here before they are made, and then only
 * passed on.
 */
#include "core/inside.h"

#include <stdatomic.h>
#include <sys/resource.h>

#include "base/checked.h"

void lz_core_window_altered(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;

	if (lz_windowed_next(core, start, end, &part))
		atomic_store_explicit(&core->windows.altered, true, memory_order_relaxed);
}

void lz_core_altered(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	lz_core_window_altered(core, start, end);
	lz_recycle_spoil(core, start, end);
}

/* The pages that [address, address + length) touches; false where there is no such range. */
static bool pages_of(
	const struct lz_core *core, const void *address, size_t length, uintptr_t *start, uintptr_t *end)
{
	uint64_t last;

	*start = lz_round_down((uintptr_t)address, core->page);
	if (__builtin_add_overflow((uintptr_t)address, length, &last) ||
		!lz_round_up(last, core->page, &last))
		return false;
	*end = last;
	return *start < *end;
}

void lz_core_locks(struct lz_core *core, const void *address, size_t length)
{
	uintptr_t start, end;

	if (pages_of(core, address, length, &start, &end))
		lz_core_altered(core, start, end);
}

void lz_core_locks_all(struct lz_core *core)
{
	lz_core_altered(core, 0, UINTPTR_MAX);
	lz_recycle_flush(core);
	lz_windows_retire(core);
}

/* The policy of a file's mapping is the file's: all that stands on the window would have it. */
void lz_core_binds(struct lz_core *core, const void *address, size_t length)
{
	uintptr_t start, end;

	if (!pages_of(core, address, length, &start, &end))
		return;
	lz_recycle_spoil(core, start, end);
	lz_windowed_leave(core, start, end);
}

/* What is kept could be what the next request lacks. */
void lz_core_limits(struct lz_core *core, int resource)
{
	if (resource == RLIMIT_AS || resource == RLIMIT_DATA)
		lz_recycle_limited(core);
}

bool lz_core_names(struct lz_core *core, const void *address, size_t length)
{
	struct lz_window_part part;
	uintptr_t start, end;

	if (!pages_of(core, address, length, &start, &end))
		return false;
	lz_core_altered(core, start, end);
	return lz_windowed_next(core, start, end, &part);
}

void lz_core_shares_pages(struct lz_core *core)
{
	atomic_store_explicit(&core->pages_shared_with_kernel, true, memory_order_release);
}
