/*
 * Calls beside the mmap family that change what memory is like: told here before they are made, and then only
 * passed on; but for mbind, which is made here.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

	if (!pages_of(core, address, length, &start, &end))
		return;
	lz_recycle_give_way(core, start, end);
	lz_core_altered(core, start, end);
}

void lz_core_locks_all(struct lz_core *core)
{
	atomic_store_explicit(&core->recycle.locked_memory, true, memory_order_relaxed);
	lz_core_altered(core, 0, UINTPTR_MAX);
	lz_recycle_flush(core);
	lz_windows_retire(core);
}

/* The arguments of mbind(2) but for the range. */
struct policy {
	int mode;
	const unsigned long *nodes;
	unsigned long nodes_max;
	unsigned flags;
};

static long bind(const struct lz_os *os, uintptr_t start, uintptr_t end, const struct policy *policy)
{
	return os->pass(SYS_mbind, (long)start, (long)(end - start), policy->mode, (long)policy->nodes,
		(long)policy->nodes_max, (long)policy->flags);
}

/* What the kernel says of the arguments, on a page that nobody uses. */
static long try_policy(struct lz_core *core, const struct policy *policy)
{
	intptr_t at =
		core->os->mmap(NULL, core->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long error;

	if (lz_os_failed(at))
		return (long)at;
	error = bind(core->os, (uintptr_t)at, (uintptr_t)at + core->page, policy);
	core->os->munmap((void *)at, core->page);
	return error;
}

/*
 * The kernel keeps the policy of a memfd's pages with the file (shmem's shared policy), so that of one piece would
 * be that of everything on the window, and of the window itself. What stands on a window therefore has the
 * process's policy: mbind there is checked, and then without effect. Leaving the window for it would copy under
 * other threads' writes, and cost the page tables that the window saves.
 */
long lz_core_mbind(struct lz_core *core, void *address, size_t length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags)
{
	const struct policy policy = {mode, nodes, nodes_max, flags};
	struct lz_window_part part;
	uintptr_t start, end;
	long error = 0;

	if (pages_of(core, address, length, &start, &end))
		lz_core_altered(core, start, end);
	if (!lz_core_page_range(core, address, length, core->page_shift, &start, &end) ||
		!lz_windowed_next(core, start, end, &part))
		return core->calls->pass(
			SYS_mbind, (long)address, (long)length, mode, (long)nodes, (long)nodes_max, flags);
	while (error == 0 && start < end) {
		if (!lz_windowed_next(core, start, end, &part))
			part.start = part.end = end;
		if (start < part.start)
			error = bind(core->calls, start, part.start, &policy);
		/* Back to the default, holes are passed by, but for a range that is nothing else (mm/mempolicy.c). */
		if (error == -EFAULT && mode == 0 /* MPOL_DEFAULT */)
			error = 0;
		if (error == 0 && part.start < part.end)
			error = try_policy(core, &policy);
		start = part.end;
	}
	return error;
}

void lz_core_be_passive(struct lz_core *core)
{
	if (atomic_load(&core->passive))
		return;
	lz_recycle_flush(core);
	atomic_store(&core->passive, true);
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
