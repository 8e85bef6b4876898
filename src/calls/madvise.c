/*
 * madvise, process_madvise and mincore on memory of which some stands on a zero window.
 *
 * On a private mapping of a file the kernel does almost everything as on anonymous memory: pkey_mprotect,
 * MADV_DONTFORK, MADV_HUGEPAGE, MADV_MERGEABLE, MADV_COLD, MADV_GUARD_INSTALL (from Linux 6.15 on; EINVAL before)
 * and userfaultfd's write-protection are applied to the window's own mappings. What it does not:
 *
 *  MADV_FREE          EINVAL: MADV_DONTNEED is what it may come to at any moment
 *  MADV_WIPEONFORK    EINVAL, right for /dev/zero as well: recorded, see wipe.h
 *  MADV_REMOVE        EACCES instead of EINVAL, which is right for a mapping of /dev/zero
 *  MADV_NOHUGEPAGE    would put page tables under the window, where a write costs 4 KiB anyway: accepted only
 *  MADV_COLLAPSE      finds the window's own huge pages: 0 where nothing was written, EINVAL where something was
 *  MADV_HWPOISON ...  would hit the window's own page: written first
 *  mincore            takes the window's pages for the range's
 *  userfaultfd        never sees a page that is missing: see leave.c
 *  mbind              would be for all that stands on the window: see alter.c
 *  mremap             see remap_window.c
 *
 * Nothing here copies memory: no copy that is then moved over the original keeps what other threads, read(2) and
 * devices write meanwhile.
 */
#include "core/inside.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

/* Whether a window answers that advice otherwise than the kernel would, as above. */
static bool answers_otherwise(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK ||
	       advice == MADV_REMOVE || advice == MADV_NOHUGEPAGE || advice == MADV_HWPOISON ||
	       advice == MADV_SOFT_OFFLINE;
}

/* MADV_KEEPONFORK changes nothing in the kernel's mapping, and knows a hole. */
static int wipe_on_fork(struct lz_core *core, const struct lz_window_part *part, bool wipe)
{
	int error = core->os->madvise((void *)part->start, part->end - part->start, MADV_KEEPONFORK);

	if (error == 0 && wipe)
		error = lz_wipe_prepare(core);
	if (error != 0)
		return error;
	if (!lz_core_enter(core))
		return -EAGAIN;
	if (wipe)
		error = lz_wipe_add(core, part->start, part->end);
	else
		lz_wipe_remove(core, part->start, part->end);
	lz_core_leave(core);
	return error;
}

/* Advice on a range that stands on a window as a whole; /dev/zero, mapped, is a file in the kernel's eyes. */
static int advise_part(struct lz_core *core, const struct lz_window_part *part, int advice)
{
	void *address = (void *)part->start;
	size_t length = part->end - part->start;
	int error;

	switch (advice) {
	case MADV_FREE:
		return core->calls->madvise(address, length, MADV_DONTNEED);
	case MADV_REMOVE:
		/* EINVAL for locked memory in any case; MADV_COLD refuses it as well, and does next to
		 * nothing. */
		return part->of_file && core->os->madvise(address, core->page, MADV_COLD) != -EINVAL
			       ? -EACCES
			       : -EINVAL;
	case MADV_NOHUGEPAGE:
		/* MADV_KEEPONFORK changes nothing here, and knows a hole. */
		return core->os->madvise(address, length, MADV_KEEPONFORK);
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		error = core->os->madvise(address, length, MADV_POPULATE_WRITE);
		break;
	case MADV_WIPEONFORK:
		return part->of_file ? -EINVAL : wipe_on_fork(core, part, true);
	case MADV_KEEPONFORK:
		return wipe_on_fork(core, part, false);
	default:
		error = 0;
	}
	return error ? error : core->calls->madvise(address, length, advice);
}

/*
 * The kernel goes from mapping to mapping: it stops at the first that fails, passes by holes, and answers
 * ENOMEM for them in the end (madvise_walk_vmas in mm/madvise.c); only when it fills pages it stops there,
 * too.
 */
static int advise(struct lz_core *core, uintptr_t start, size_t length, int advice)
{
	uintptr_t end = start + length;
	bool passes_holes = advice != MADV_POPULATE_READ && advice != MADV_POPULATE_WRITE;
	struct lz_window_part part;
	bool holes = false;

	while (start < end) {
		bool found = lz_windowed_next(core, start, end, &part);
		int error = 0;

		if (!found)
			part.start = part.end = end;
		if (start < part.start)
			error = core->calls->madvise((void *)start, part.start - start, advice);
		holes |= error == -ENOMEM;
		if (found && (error == 0 || (error == -ENOMEM && passes_holes))) {
			error = advise_part(core, &part, advice);
			holes |= error == -ENOMEM;
		}
		if (error != 0 && !(error == -ENOMEM && passes_holes))
			return error;
		start = part.end;
	}
	return holes ? -ENOMEM : 0;
}

/* MADV_HUGEPAGE is ignored on regions that LAZYZERO_THP keeps sparse. */
static bool is_ignored(struct lz_core *core, const void *address, size_t length, int advice)
{
	struct lz_served *region = NULL;
	struct lz_range *range;
	bool ignored;

	if (advice != MADV_HUGEPAGE || core->options.thp == LZ_THP_INHERIT || !lz_core_enter(core))
		return false;
	range = lz_ledger_find(&core->ledger, (uintptr_t)address);
	if (range != NULL && range->start <= (uintptr_t)address && range->traits.tag != 0)
		region = lz_regions_find(&core->regions, range->traits.tag);
	ignored = region != NULL && region->huge_pages_refused &&
		  ((uintptr_t)address & (core->page - 1)) == 0 && length <= range->end - (uintptr_t)address;
	lz_core_leave(core);
	return ignored;
}

/*
 * Advice that stays with memory. A region that was given any is not used again: no advice takes MADV_HUGEPAGE or
 * MADV_NOHUGEPAGE back (each only turns one into the other), and of the others nobody counts who gave them.
 */
static bool stays(int advice)
{
	return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_DONTDUMP ||
	       advice == MADV_HWPOISON || advice == MADV_GUARD_INSTALL || advice == MADV_MERGEABLE ||
	       advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE || advice == MADV_RANDOM ||
	       advice == MADV_SEQUENTIAL;
}

static void note_advice(struct lz_core *core, uintptr_t start, uintptr_t end, int advice)
{
	if (!stays(advice))
		return;
	lz_recycle_spoil(core, start, end);
	/* What is wiped on fork is recorded. */
	if (advice != MADV_WIPEONFORK)
		lz_core_window_altered(core, start, end);
}

int lz_core_madvise(struct lz_core *core, void *address, size_t length, int advice)
{
	struct lz_window_part part;
	uintptr_t start, end;

	if (is_ignored(core, address, length, advice))
		return 0;
	if (!lz_core_page_range(core, address, length, core->page_shift, &start, &end))
		return core->calls->madvise(address, length, advice);
	lz_recycle_give_way(core, start, end);
	note_advice(core, start, end, advice);
	if (lz_windowed_next(core, start, end, &part))
		return advise(core, start, end - start, advice);
	return core->calls->madvise(address, length, advice);
}

/* --- process_madvise --- */

bool lz_core_fetch(struct lz_core *core, const void *from, void *to, size_t length)
{
	ssize_t got = core->os->peek(from, to, length);

	if (got >= 0 || got == -EFAULT)
		return got == (ssize_t)length;
	/* In a sandbox that denies the look, the pointer has to be believed. */
	memcpy(to, from, length);
	return true;
}

/* PIDFD_SELF_THREAD and PIDFD_SELF_THREAD_GROUP of linux/pidfd.h, Linux 6.15. */
#define SELF_THREAD (-10000)
#define SELF_THREAD_GROUP (-10001)

/* Whether a pidfd is of this process, by its line in /proc; false where that cannot be read. */
static bool is_self(struct lz_core *core, int pidfd)
{
	char path[64];
	struct lz_text text = lz_text_in(path, sizeof path);
	uint64_t pid = 0;

	if (pidfd == SELF_THREAD || pidfd == SELF_THREAD_GROUP)
		return true;
	if (pidfd < 0)
		return false;
	lz_text_string(&text, "/proc/thread-self/fdinfo/");
	lz_text_u64(&text, (uint64_t)pidfd);
	return lz_proc_value(core->os, path, "Pid:", &pid) == 0 && pid == (uint64_t)core->os->getpid();
}

struct request {
	int pidfd;
	const struct iovec *ranges;
	size_t count;
	int advice;
	unsigned flags;
};

static long pass(struct lz_core *core, const struct request *request)
{
	return core->calls->pass(SYS_process_madvise, request->pidfd, (long)request->ranges,
		(long)request->count, request->advice, (long)request->flags, 0);
}

/* Notes what is advised; true where some of it stands on a window, which answers otherwise. */
static bool note_all(struct lz_core *core, const struct request *request)
{
	struct lz_window_part part;
	struct iovec range;
	uintptr_t start, end;
	bool otherwise = false;

	for (size_t i = 0; i < request->count && i < IOV_MAX &&
			   lz_core_fetch(core, &request->ranges[i], &range, sizeof range);
		i++) {
		if (!lz_core_page_range(core, range.iov_base, range.iov_len, core->page_shift, &start, &end))
			continue;
		note_advice(core, start, end, request->advice);
		otherwise |= answers_otherwise(request->advice) && lz_windowed_next(core, start, end, &part);
	}
	return otherwise;
}

/* One range of several: its length, or -errno. */
static long advise_range(struct lz_core *core, const struct request *request, const struct iovec *range)
{
	struct request one = *request;
	struct lz_window_part part;
	uintptr_t start, end;
	int error;

	if (lz_core_page_range(core, range->iov_base, range->iov_len, core->page_shift, &start, &end) &&
		lz_windowed_next(core, start, end, &part)) {
		error = advise(core, start, end - start, request->advice);
		return error ? error : (long)range->iov_len;
	}
	one.ranges = range;
	one.count = 1;
	return pass(core, &one);
}

/* As vector_madvise in mm/madvise.c: the bytes of the ranges before the first that fails, or its error. */
static long advise_each(struct lz_core *core, const struct request *request)
{
	struct request none = *request;
	struct iovec range;
	long total = 0, result;

	/* Whether the kernel takes such advice in this way at all (before Linux 6.13 hardly any). */
	none.ranges = NULL;
	none.count = 0;
	result = request->count > IOV_MAX ? -EINVAL : pass(core, &none);
	for (size_t i = 0; i < request->count && result >= 0; i++) {
		result = lz_core_fetch(core, &request->ranges[i], &range, sizeof range)
				 ? advise_range(core, request, &range)
				 : -EFAULT;
		total += result > 0 ? result : 0;
	}
	return total != 0 ? total : result;
}

long lz_core_process_madvise(struct lz_core *core, int pidfd, const struct iovec *ranges, size_t count,
	int advice, unsigned flags)
{
	const struct request request = {pidfd, ranges, count, advice, flags};

	if ((stays(advice) || answers_otherwise(advice)) && flags == 0 &&
		is_self(core, pidfd) && note_all(core, &request))
		return advise_each(core, &request);
	return pass(core, &request);
}

/* --- mincore --- */

struct residence {
	uintptr_t start;
	unsigned page_shift;
	unsigned char *pages;
};

static void note_resident(void *context, const struct lz_page_run *run)
{
	const struct residence *residence = context;

	memset(residence->pages + ((run->start - residence->start) >> residence->page_shift), 1,
		(run->end - run->start) >> residence->page_shift);
}

int lz_core_mincore(struct lz_core *core, void *address, size_t length, unsigned char *pages)
{
	uintptr_t start = (uintptr_t)address, end;
	struct lz_window_part part;
	int error;

	if (lz_core_page_range(core, address, length, core->page_shift, &start, &end))
		lz_recycle_give_way(core, start, end);
	error = core->calls->mincore(address, length, pages);
	if (error != 0 || !lz_core_page_range(core, address, length, core->page_shift, &start, &end))
		return error;
	for (uintptr_t at = start; lz_windowed_next(core, at, end, &part); at = part.end) {
		struct residence residence = {
			part.start, core->page_shift, pages + ((part.start - start) >> core->page_shift)};
		unsigned char *first = residence.pages;

		memset(first, 0, (part.end - part.start) >> core->page_shift);
		/* Before Linux 6.7 nothing tells: all of it is said to be there. */
		if (lz_pagemap_walk(core->os, part.start, part.end, note_resident, &residence) != 0)
			memset(first, 1, (part.end - part.start) >> core->page_shift);
	}
	return error;
}
