/*
 * madvise(2), process_madvise(2) and mincore(2) of the program. Ranges on another backing than plain memory
 * are handled by that backing.
 *
 * Nothing here copies memory: a copy that is moved over the original loses what other threads, read(2) and
 * devices write to the original meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "backing/backings.h"
#include "backing/shared.h"
#include "base/text.h"
#include "calls/internal.h"
#include "os/copy_from_program.h"
#include "os/mman.h"
#include "os/procfs.h"

/*
 * Like the kernel, goes from mapping to mapping, stops at the first failure, skips holes, and returns ENOMEM
 * for holes at the end (madvise_walk_vmas in mm/madvise.c). When it populates pages, the kernel stops at a
 * hole.
 */
static int advise(struct lz_calls *calls, uintptr_t start, size_t length, int advice)
{
	uintptr_t end = start + length;
	bool passes_holes = advice != MADV_POPULATE_READ && advice != MADV_POPULATE_WRITE;
	struct lz_backed_part part;
	bool holes = false;

	while (start < end) {
		bool found = lz_backings_next_part(calls->backings, start, end, &part);
		int error = 0;

		if (!found)
			part.where.start = part.where.end = end;
		if (start < part.where.start)
			error = calls->next->madvise((void *)start, part.where.start - start, advice);
		holes |= error == -ENOMEM;
		if (found && (error == 0 || (error == -ENOMEM && passes_holes))) {
			error = part.backing->advise(calls->backings, &part.where, advice);
			holes |= error == -ENOMEM;
		}
		if (error != 0 && !(error == -ENOMEM && passes_holes))
			return error;
		start = part.where.end;
	}
	return holes ? -ENOMEM : 0;
}

/* MADV_HUGEPAGE is ignored on regions for which LAZYZERO_THP refuses huge pages. */
static bool is_ignored(struct lz_calls *calls, const void *address, size_t length, int advice)
{
	struct lz_region_record *region = NULL;
	struct lz_range *range;
	bool ignored;

	if (advice != MADV_HUGEPAGE || calls->options->thp == LZ_THP_INHERIT || !lz_books_lock(calls->books))
		return false;
	range = lz_ledger_find_at_or_above(&calls->books->ledger, (uintptr_t)address);
	if (range != NULL && range->start <= (uintptr_t)address && range->traits.tag != 0)
		region = lz_regions_find(&calls->books->regions, range->traits.tag);
	ignored = region != NULL && region->huge_pages_refused &&
		  ((uintptr_t)address & (calls->books->page - 1)) == 0 &&
		  length <= range->end - (uintptr_t)address;
	lz_books_unlock(calls->books);
	return ignored;
}

/*
 * Whether advice changes the memory permanently. A region with such advice is not cached: MADV_HUGEPAGE and
 * MADV_NOHUGEPAGE cannot be reset (each only turns into the other), and for other advice it is not recorded
 * which part had it.
 */
static bool persists(int advice)
{
	return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_DONTDUMP ||
	       advice == MADV_HWPOISON || advice == MADV_GUARD_INSTALL || advice == MADV_MERGEABLE ||
	       advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE || advice == MADV_RANDOM ||
	       advice == MADV_SEQUENTIAL;
}

static bool drops_contents(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED || advice == MADV_FREE ||
	       advice == MADV_REMOVE;
}

static void note_advice(struct lz_calls *calls, uintptr_t start, uintptr_t end, int advice)
{
	if (drops_contents(advice))
		lz_zeroing_forget(calls->zeroing, start, end, false);
	if (!persists(advice))
		return;
	lz_books_mark_regions_altered(calls->books, start, end);
	/* MADV_WIPEONFORK is recorded in the wipe table instead. */
	if (advice != MADV_WIPEONFORK)
		lz_backings_note_attributes_changed(calls->backings, start, end, false);
}

int lz_calls_madvise(struct lz_calls *calls, void *address, size_t length, int advice)
{
	struct lz_backed_part part;
	uintptr_t start, end;

	if (is_ignored(calls, address, length, advice))
		return 0;
	if (!lz_books_page_range(calls->books, address, length, calls->books->page_shift, &start, &end))
		return calls->next->madvise(address, length, advice);
	lz_cache_evict_range(calls->cache, start, end);
	if (advice == MADV_REMOVE || advice == MADV_NOHUGEPAGE)
		lz_shared_restrict(calls->backings, start, end, advice == MADV_NOHUGEPAGE);
	note_advice(calls, start, end, advice);
	if (lz_backings_any_handles_advice(advice) &&
		lz_backings_next_part(calls->backings, start, end, &part))
		return advise(calls, start, end - start, advice);
	return calls->next->madvise(address, length, advice);
}

/* --- process_madvise --- */

/* PIDFD_SELF_THREAD and PIDFD_SELF_THREAD_GROUP of linux/pidfd.h (Linux 6.15). */
#define SELF_THREAD (-10000)
#define SELF_THREAD_GROUP (-10001)

/*
 * Whether a pidfd refers to this process or one of its threads (PIDFD_THREAD, Linux 6.9); false if that
 * cannot be read. Both numbers are of the PID namespace of /proc, which getpid(2) need not be.
 */
static bool is_self(struct lz_calls *calls, int pidfd)
{
	char path[64];
	struct lz_text text = lz_text_init(path, sizeof path);
	uint64_t pid = 0;
	int fd;

	if (pidfd == SELF_THREAD || pidfd == SELF_THREAD_GROUP)
		return true;
	if (pidfd < 0)
		return false;
	lz_text_string(&text, "/proc/thread-self/fdinfo/");
	lz_text_u64(&text, (uint64_t)pidfd);
	if (lz_proc_value(calls->os, path, "Pid:", &pid) != 0)
		return false;
	text = lz_text_init(path, sizeof path);
	lz_text_string(&text, "/proc/self/task/");
	lz_text_u64(&text, pid);
	lz_text_string(&text, "/comm");
	fd = calls->os->open(path, O_RDONLY, 0);
	if (fd >= 0)
		calls->os->close(fd);
	return fd >= 0;
}

struct request {
	int pidfd;
	const struct iovec *ranges;
	size_t count;
	int advice;
	unsigned flags;
};

static long pass(struct lz_calls *calls, const struct request *request)
{
	return calls->next->any_syscall(SYS_process_madvise, request->pidfd, (long)request->ranges,
		(long)request->count, request->advice, (long)request->flags, 0);
}

/*
 * Records the advice on each range. Returns true if some range is on a window that must handle the advice
 * itself.
 */
static bool note_ranges(struct lz_calls *calls, const struct request *request)
{
	struct lz_backed_part part;
	struct iovec range;
	uintptr_t start, end;
	bool needs_advise_call = false;

	for (size_t i = 0; i < request->count && i < IOV_MAX &&
			   lz_copy_from_program(calls->os, &request->ranges[i], &range, sizeof range);
		i++) {
		if (!lz_books_page_range(calls->books, range.iov_base, range.iov_len,
			    calls->books->page_shift, &start, &end))
			continue;
		lz_cache_evict_range(calls->cache, start, end);
		note_advice(calls, start, end, request->advice);
		needs_advise_call |= lz_backings_next_part(calls->backings, start, end, &part) &&
				     part.backing->needs_advise(request->advice);
	}
	return needs_advise_call;
}

/* Advises one of several ranges. Returns its length or -errno. */
static long advise_range(struct lz_calls *calls, const struct request *request, const struct iovec *range)
{
	struct request one = *request;
	struct lz_backed_part part;
	uintptr_t start, end;
	int error;

	if (lz_books_page_range(
		    calls->books, range->iov_base, range->iov_len, calls->books->page_shift, &start, &end) &&
		lz_backings_next_part(calls->backings, start, end, &part)) {
		error = advise(calls, start, end - start, request->advice);
		return error ? error : (long)range->iov_len;
	}
	one.ranges = range;
	one.count = 1;
	return pass(calls, &one);
}

/*
 * Like vector_madvise in mm/madvise.c: returns the bytes of the ranges before the first failure, or its error
 * if there are none.
 */
static long advise_each(struct lz_calls *calls, const struct request *request)
{
	struct request none = *request;
	struct iovec range;
	long total = 0, result;

	/*
	 * Asks whether the kernel accepts this advice through process_madvise at all (before Linux 6.13 it
	 * accepts few kinds).
	 */
	none.ranges = NULL;
	none.count = 0;
	result = request->count > IOV_MAX ? -EINVAL : pass(calls, &none);
	for (size_t i = 0; i < request->count && result >= 0; i++) {
		result = lz_copy_from_program(calls->os, &request->ranges[i], &range, sizeof range)
				 ? advise_range(calls, request, &range)
				 : -EFAULT;
		total += result > 0 ? result : 0;
	}
	return total != 0 ? total : result;
}

long lz_calls_process_madvise(struct lz_calls *calls, int pidfd, const struct iovec *ranges, size_t count,
	int advice, unsigned flags)
{
	const struct request request = {pidfd, ranges, count, advice, flags};

	if ((persists(advice) || lz_backings_any_handles_advice(advice)) && flags == 0 &&
		is_self(calls, pidfd) && note_ranges(calls, &request))
		return advise_each(calls, &request);
	return pass(calls, &request);
}

/* --- mincore --- */

int lz_calls_mincore(struct lz_calls *calls, void *address, size_t length, unsigned char *pages)
{
	const struct lz_books *books = calls->books;
	struct lz_backed_part part;
	uintptr_t start, end;
	int error;

	if (lz_books_page_range(books, address, length, books->page_shift, &start, &end))
		lz_cache_evict_range(calls->cache, start, end);
	error = calls->next->mincore(address, length, pages);
	if (error != 0 || !lz_books_page_range(books, address, length, books->page_shift, &start, &end))
		return error;
	for (uintptr_t at = start; lz_backings_next_part(calls->backings, at, end, &part);
		at = part.where.end)
		part.backing->mark_resident(calls->backings, &part.where,
			pages + ((part.where.start - start) >> books->page_shift));
	return error;
}
