/*
 * Calls outside the mmap family that change properties of memory. They are announced here before the shim
 * passes them on; mbind(2) is made here. See calls.h.
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "backing/backings.h"
#include "backing/shared.h"
#include "calls/internal.h"
#include "os/copy_from_program.h"
#include "os/mman.h"

/* Rounds [address, address + length) outwards to pages; false if the range is empty or overflows. */
static bool page_range(
	const struct lz_calls *calls, const void *address, size_t length, uintptr_t *start, uintptr_t *end)
{
	uint64_t last;

	*start = lz_round_down((uintptr_t)address, calls->books->page);
	if (__builtin_add_overflow((uintptr_t)address, length, &last) ||
		!lz_round_up(last, calls->books->page, &last))
		return false;
	*end = last;
	return *start < *end;
}

void lz_calls_stop_zeroing(struct lz_calls *calls)
{
	lz_zeroing_stop(calls->zeroing);
}

void lz_calls_before_mlock(struct lz_calls *calls, const void *address, size_t length)
{
	uintptr_t start, end;

	if (!page_range(calls, address, length, &start, &end))
		return;
	lz_shared_restrict(calls->backings, start, end, true);
	lz_calls_note_attributes_changed(calls, start, end);
}

void lz_calls_before_mlockall(struct lz_calls *calls)
{
	lz_zeroing_stop(calls->zeroing);
	lz_cache_stop(calls->cache);
	lz_shared_restrict(calls->backings, 0, UINTPTR_MAX, true);
	lz_calls_note_attributes_changed(calls, 0, UINTPTR_MAX);
	lz_backings_retire_all(calls->backings);
}

/* The arguments of mbind(2) without the range. */
struct policy {
	int mode;
	const unsigned long *nodes;
	unsigned long nodes_max;
	unsigned flags;
};

static long bind(const struct lz_os *os, uintptr_t start, uintptr_t end, const struct policy *policy)
{
	return os->any_syscall(SYS_mbind, (long)start, (long)(end - start), policy->mode, (long)policy->nodes,
		(long)policy->nodes_max, (long)policy->flags);
}

/* Lets the kernel check the arguments, on a page that nobody uses. */
static long try_policy(struct lz_calls *calls, const struct policy *policy)
{
	intptr_t at = calls->os->mmap(
		NULL, calls->books->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long error;

	if (lz_os_failed(at))
		return (long)at;
	error = bind(calls->os, (uintptr_t)at, (uintptr_t)at + calls->books->page, policy);
	calls->os->munmap((void *)at, calls->books->page);
	return error;
}

/*
 * The kernel stores the policy of a memfd's pages with the file (shmem's shared policy). A policy on one
 * piece would therefore apply to everything on the window. So memory on a window has the policy of the
 * process: the arguments of mbind are checked there, and the call has no effect. Leaving the window instead
 * would copy memory under other threads' writes, and cost the page tables that the window saves.
 */
long lz_calls_mbind(struct lz_calls *calls, void *address, size_t length, int mode,
	const unsigned long *nodes, unsigned long nodes_max, unsigned flags)
{
	const struct policy policy = {mode, nodes, nodes_max, flags};
	struct lz_backed_part part;
	uintptr_t start, end;
	long error = 0;

	if (page_range(calls, address, length, &start, &end)) {
		lz_shared_restrict(calls->backings, start, end, true);
		lz_calls_note_attributes_changed(calls, start, end);
	}
	if (!lz_books_page_range(calls->books, address, length, calls->books->page_shift, &start, &end) ||
		!lz_backings_next_part(calls->backings, start, end, &part))
		return calls->next->any_syscall(
			SYS_mbind, (long)address, (long)length, mode, (long)nodes, (long)nodes_max, flags);
	while (error == 0 && start < end) {
		if (!lz_backings_next_part(calls->backings, start, end, &part))
			part.where.start = part.where.end = end;
		if (start < part.where.start)
			error = bind(calls->next, start, part.where.start, &policy);
		/*
		 * Setting the default policy skips holes, unless the range is nothing but a hole
		 * (mm/mempolicy.c).
		 */
		if (error == -EFAULT && mode == 0 /* MPOL_DEFAULT */)
			error = 0;
		if (error == 0 && part.where.start < part.where.end)
			error = try_policy(calls, &policy);
		start = part.where.end;
	}
	return error;
}

void lz_calls_before_seccomp(struct lz_calls *calls)
{
	if (atomic_load(&calls->books->disabled))
		return;
	lz_cache_stop(calls->cache);
	atomic_store(&calls->books->disabled, true);
}

/* Under the new limit, cached regions could make the next request fail. */
void lz_calls_after_setrlimit(struct lz_calls *calls, int resource)
{
	if (resource == RLIMIT_AS || resource == RLIMIT_DATA)
		lz_cache_limits_changed(calls->cache);
}

bool lz_calls_before_naming(struct lz_calls *calls, const void *address, size_t length)
{
	struct lz_backed_part part;
	uintptr_t start, end;

	if (!page_range(calls, address, length, &start, &end))
		return false;
	lz_calls_note_attributes_changed(calls, start, end);
	return lz_backings_next_part(calls->backings, start, end, &part);
}

void lz_calls_before_kernel_keeps_pages(struct lz_calls *calls)
{
	lz_cache_stop(calls->cache);
}

void lz_calls_before_userfault(struct lz_calls *calls, const struct uffdio_register *registration)
{
	struct uffdio_register asked;
	struct lz_backed_part part;
	uint64_t start, end;

	if (!lz_copy_from_program(calls->os, registration, &asked, sizeof asked) ||
		__builtin_add_overflow(asked.range.start, asked.range.len, &end))
		return;
	start = asked.range.start;
	lz_shared_restrict(calls->backings, start, end, true);
	lz_calls_note_attributes_changed(calls, start, end);
	if ((asked.mode & UFFDIO_REGISTER_MODE_MISSING) &&
		lz_backings_next_part(calls->backings, start, end, &part))
		part.backing->prepare_missing_faults(calls->backings, start, end);
}
