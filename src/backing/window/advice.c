/*
 * madvise(2) and mincore(2) on memory that stands on a zero window.
 *
 * On a private mapping of a file the kernel does almost everything as on anonymous memory: pkey_mprotect,
 * MADV_DONTFORK, MADV_HUGEPAGE, MADV_MERGEABLE, MADV_COLD, MADV_GUARD_INSTALL (from Linux 6.15 on; EINVAL
 * before) and userfaultfd's write-protection are applied to the window's own mappings. What it does not:
 *
 *  MADV_FREE          EINVAL: MADV_DONTNEED is what it may come to at any moment
 *  MADV_WIPEONFORK    EINVAL, right for /dev/zero as well: recorded, see accounting/wipe_table.h
 *  MADV_REMOVE        EACCES instead of EINVAL, which is right for a mapping of /dev/zero
 *  MADV_NOHUGEPAGE    would put page tables under the window, where a write costs 4 KiB anyway: accepted only
 *  MADV_COLLAPSE      finds the window's own huge pages: 0 where nothing was written, EINVAL where something
 * was MADV_HWPOISON ...  would hit the window's own page: written first mincore            takes the window's
 * pages for the range's userfaultfd        never sees a page that is missing: see userfault.c mbind would be
 * for all that stands on the window: see calls/other_calls.c mremap             see mremap.c
 *
 * Nothing here copies memory: no copy that is then moved over the original keeps what other threads, read(2)
 * and devices write meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "backing/window/window.h"
#include "os/mman.h"
#include "os/pagemap.h"

/* Whether a window answers that advice otherwise than the kernel would, as above. */
bool lz_window_has_own_answer(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK ||
	       advice == MADV_REMOVE || advice == MADV_NOHUGEPAGE || advice == MADV_HWPOISON ||
	       advice == MADV_SOFT_OFFLINE;
}

/* MADV_KEEPONFORK changes nothing in the kernel's mapping, and knows a hole. */
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
 * -ENOMEM where something of a range is not mapped; nothing changes. A kernel or sandbox that lacks
 * MADV_KEEPONFORK is asked by msync(2), which with MS_ASYNC does no more (mm/msync.c).
 */
static int find_holes(struct lz_backings *backings, void *address, size_t length)
{
	int error = backings->os->madvise(address, length, MADV_KEEPONFORK);

	if (error != -EINVAL)
		return error;
	return (int)backings->os->pass(SYS_msync, (long)address, (long)length, MS_ASYNC, 0, 0, 0);
}

/* Advice on a range that stands on a window as a whole; /dev/zero, mapped, is a file in the kernel's eyes. */
int lz_window_advise(struct lz_backings *backings, const struct lz_window_part *part, int advice)
{
	void *address = (void *)part->start;
	size_t length = part->end - part->start;
	int error;

	switch (advice) {
	case MADV_FREE:
		return backings->next->madvise(address, length, MADV_DONTNEED);
	case MADV_REMOVE:
		/* EINVAL for locked memory in any case; MADV_COLD refuses it as well, and does next to
		 * nothing. */
		return part->of_file && backings->os->madvise(address, backings->books->page, MADV_COLD) !=
						-EINVAL
			       ? -EACCES
			       : -EINVAL;
	case MADV_NOHUGEPAGE:
		return find_holes(backings, address, length);
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		error = backings->os->madvise(address, length, MADV_POPULATE_WRITE);
		break;
	case MADV_WIPEONFORK:
		return part->of_file ? -EINVAL : wipe_on_fork(backings, part, true);
	case MADV_KEEPONFORK:
		return wipe_on_fork(backings, part, false);
	default:
		error = 0;
	}
	return error ? error : backings->next->madvise(address, length, advice);
}

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

void lz_window_mark_resident(
	struct lz_backings *backings, const struct lz_window_part *part, unsigned char *pages)
{
	struct residence residence = {part->start, backings->books->page_shift, pages};
	size_t count = (part->end - part->start) >> backings->books->page_shift;

	memset(pages, 0, count);
	/* Before Linux 6.7 nothing tells: all of it is said to be there. */
	if (lz_pagemap_walk(backings->os, part->start, part->end, note_resident, &residence) != 0)
		memset(pages, 1, count);
}
