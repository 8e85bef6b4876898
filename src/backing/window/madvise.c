/*
 * madvise(2) and mincore(2) on memory that is on a zero window.
 *
 * On a private mapping of a file the kernel handles almost everything as on anonymous memory: pkey_mprotect,
 * MADV_DONTFORK, MADV_HUGEPAGE, MADV_MERGEABLE, MADV_COLD, MADV_GUARD_INSTALL (since Linux 6.15; EINVAL
 * before) and userfaultfd write protection apply to the window's own mappings. The exceptions:
 *
 * - MADV_FREE: EINVAL. MADV_DONTNEED is given instead; MADV_FREE may have the same effect at any time.
 * - MADV_WIPEONFORK: EINVAL, which is also the right answer for /dev/zero. Recorded, see
 *   accounting/wipe_table.h.
 * - MADV_REMOVE: EACCES instead of EINVAL; EACCES is right for a mapping of /dev/zero.
 * - MADV_NOHUGEPAGE: would put page tables under the window, where a write costs 4 KiB in any case. Accepted
 *   without effect.
 * - MADV_COLLAPSE: finds the window's own huge pages. 0 if nothing was written, EINVAL otherwise.
 * - MADV_HWPOISON, MADV_SOFT_OFFLINE: would hit the window's own pages. The pages are written first.
 * - mincore(2): would report the window's pages as the range's.
 * - userfaultfd(2): never sees a missing page, see userfault.c.
 * - mbind(2): would apply to everything on the window, see calls/other_calls.c.
 * - mremap(2): see mremap.c.
 *
 * Nothing here copies memory: a copy that is moved over the original loses what other threads, read(2) and
 * devices write to the original meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "backing/window/window.h"
#include "os/mman.h"
#include "os/pagemap.h"

bool lz_window_needs_advise(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK ||
	       advice == MADV_REMOVE || advice == MADV_NOHUGEPAGE || advice == MADV_HWPOISON ||
	       advice == MADV_SOFT_OFFLINE;
}

/* MADV_KEEPONFORK does not change the mapping, and fails on a hole. */
static int wipe_on_fork(struct lz_backings *backings, const struct lz_window_part *part, bool wipe)
{
	int error = backings->os->madvise((void *)part->start, part->end - part->start, MADV_KEEPONFORK);

	if (error == 0 && wipe)
		error = lz_wipe_table_prepare(
			&backings->books->windows.wipes, backings->os, backings->books->page);
	if (error != 0)
		return error;
	if (!lz_books_lock(backings->books))
		return -EAGAIN;
	if (wipe)
		error = lz_wipe_table_add(&backings->books->windows.wipes, part->start, part->end);
	else
		lz_wipe_table_remove(&backings->books->windows.wipes, part->start, part->end);
	lz_books_unlock(backings->books);
	return error;
}

/*
 * Returns -ENOMEM if part of a range is not mapped, 0 otherwise; changes nothing. Probes with
 * MADV_KEEPONFORK, which has no effect on pieces of a window, or, if a kernel or a sandbox lacks it, with
 * msync(2) and MS_ASYNC (mm/msync.c).
 */
static int check_fully_mapped(struct lz_backings *backings, void *address, size_t length)
{
	int error = backings->os->madvise(address, length, MADV_KEEPONFORK);

	if (error != -EINVAL)
		return error;
	return (int)backings->os->any_syscall(SYS_msync, (long)address, (long)length, MS_ASYNC, 0, 0, 0);
}

/* A mapping of /dev/zero is a mapping of a file to the kernel. */
int lz_window_advise(struct lz_backings *backings, const struct lz_window_part *part, int advice)
{
	void *address = (void *)part->start;
	size_t length = part->end - part->start;
	int error;

	switch (advice) {
	case MADV_FREE:
		return backings->next->madvise(address, length, MADV_DONTNEED);
	case MADV_REMOVE:
		/*
		 * Locked memory: EINVAL in any case. MADV_COLD also refuses locked memory, and has almost no
		 * other effect.
		 */
		return part->dev_zero && backings->os->madvise(address, backings->books->page, MADV_COLD) !=
						 -EINVAL
			       ? -EACCES
			       : -EINVAL;
	case MADV_NOHUGEPAGE:
		return check_fully_mapped(backings, address, length);
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		error = backings->os->madvise(address, length, MADV_POPULATE_WRITE);
		break;
	case MADV_WIPEONFORK:
		return part->dev_zero ? -EINVAL : wipe_on_fork(backings, part, true);
	case MADV_KEEPONFORK:
		return wipe_on_fork(backings, part, false);
	default:
		error = 0;
	}
	return error ? error : backings->next->madvise(address, length, advice);
}

struct residency {
	uintptr_t start;
	unsigned page_shift;
	unsigned char *pages;
};

static void note_resident(void *context, const struct lz_page_run *run)
{
	const struct residency *residency = context;

	memset(residency->pages + ((run->start - residency->start) >> residency->page_shift), 1,
		(run->end - run->start) >> residency->page_shift);
}

void lz_window_mark_resident(
	struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages)
{
	struct residency residency = {part->start, backings->books->page_shift, pages};
	size_t count = (part->end - part->start) >> backings->books->page_shift;

	memset(pages, 0, count);
	/* Before Linux 6.7 resident pages cannot be told apart; all pages are reported as resident. */
	if (lz_pagemap_walk(backings->os, part->start, part->end, note_resident, &residency) != 0)
		memset(pages, 1, count);
}
