/*
 * madvise, mincore and userfaultfd on memory of which some stands on a zero window.
 *
 * On a private mapping of a file the kernel does almost everything as on anonymous memory. What it does not:
 *
 *  MADV_FREE          EINVAL: MADV_DONTNEED is what it may come to at any moment
 *  MADV_WIPEONFORK    EINVAL, right for /dev/zero as well: the range becomes anonymous
 *  MADV_REMOVE        EACCES instead of EINVAL, which is right for a mapping of /dev/zero
 *  MADV_NOHUGEPAGE    would put page tables under the window, where a write costs 4 KiB anyway: accepted only
 *  MADV_COLLAPSE      has nothing to collapse: blocks that were written become anonymous, and huge
 *  MADV_HWPOISON ...  would hit the window's own page: written first
 *  MADV_GUARD_INSTALL EINVAL before Linux 6.15: the range becomes anonymous
 *  mincore            takes the window's pages for the range's
 *  userfaultfd        never sees a fault on reading: the range becomes anonymous
 *  mremap             see remap_window.c
 */
#include "core/inside.h"

#include <errno.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/uio.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/pagemap.h"

struct contents {
	bool any, written; /* pages of the range's own */
};

static void note_contents(void *context, const struct lz_page_run *run)
{
	struct contents *contents = context;

	contents->any = true;
	contents->written |= !run->file;
}

/*
 * A whole block. One that was written becomes anonymous memory, for the kernel to collapse; one that was read
 * is huge as it is. The kernel has nothing to collapse in one that was never touched.
 */
static int collapse_block(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct contents contents = {false, false};
	int error;

	if (lz_pagemap_walk(core->os, start, end, note_contents, &contents) == 0 && !contents.written)
		return contents.any ? 0 : -EINVAL;
	error = lz_windowed_leave(core, start, end);
	return error ? error : core->os->madvise((void *)start, end - start, MADV_COLLAPSE);
}

/* As madvise_collapse in mm/khugepaged.c: every whole block is tried, and the last failure is the answer. */
static int collapse_part(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	size_t unit = lz_window_unit(core);
	int error = 0;

	for (start = lz_round_down(start + unit - 1, unit); start + unit <= end; start += unit) {
		int failed = collapse_block(core, start, start + unit);

		error = failed ? failed : error;
	}
	return error;
}

/* Advice on a range that stands on a window as a whole; /dev/zero, mapped, is a file in the kernel's eyes. */
static int advise_part(struct lz_core *core, const struct lz_window_part *part, int advice)
{
	uintptr_t start = part->start, end = part->end;
	void *address = (void *)start;
	size_t length = end - start;
	int error;

	switch (advice) {
	case MADV_FREE:
		return core->os->madvise(address, length, MADV_DONTNEED);
	case MADV_REMOVE:
		/* EINVAL for locked memory in any case; MADV_COLD refuses it as well, and does next to
		 * nothing. */
		return part->of_file && core->os->madvise(address, core->page, MADV_COLD) != -EINVAL
			       ? -EACCES
			       : -EINVAL;
	case MADV_NOHUGEPAGE:
		/* Changes nothing on any mapping that was not wiped on fork, and knows a hole. */
		return core->os->madvise(address, length, MADV_KEEPONFORK);
	case MADV_COLLAPSE:
		return collapse_part(core, start, end);
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		error = core->os->madvise(address, length, MADV_POPULATE_WRITE);
		break;
	case MADV_WIPEONFORK:
		if (part->of_file)
			return -EINVAL;
		error = lz_windowed_leave(core, start, end);
		break;
	case MADV_GUARD_INSTALL:
		error = core->os->madvise(address, length, advice);
		/* What is locked takes no guards anywhere; MADV_COLD tells. Before Linux 6.15, nor does a
		 * file. */
		if (error != -EINVAL || core->os->madvise(address, length, MADV_COLD) == -EINVAL)
			return error;
		error = lz_windowed_leave(core, start, end);
		break;
	default:
		error = 0;
	}
	return error ? error : core->os->madvise(address, length, advice);
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

/* Advice that stays with memory, and that the next who gets it would suffer from. */
static bool spoils(int advice)
{
	return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_DONTDUMP ||
	       advice == MADV_HWPOISON || advice == MADV_GUARD_INSTALL || advice == MADV_MERGEABLE;
}

/* Advice that stays with memory all the same. */
static bool stays(int advice)
{
	return advice == MADV_HUGEPAGE || advice == MADV_RANDOM || advice == MADV_SEQUENTIAL;
}

static void note_advice(struct lz_core *core, uintptr_t start, uintptr_t end, int advice)
{
	if (spoils(advice))
		lz_recycle_spoil(core, start, end);
	/* What is wiped on fork leaves the window. */
	if ((spoils(advice) && advice != MADV_WIPEONFORK) || stays(advice))
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
	note_advice(core, start, end, advice);
	if (lz_windowed_next(core, start, end, &part))
		return advise(core, start, end - start, advice);
	return core->calls->madvise(address, length, advice);
}

/* What a program has for the kernel to read; false where the kernel will say EFAULT. */
static bool fetch(struct lz_core *core, const void *from, void *to, size_t length)
{
	ssize_t got = core->os->peek(from, to, length);

	if (got >= 0 || got == -EFAULT)
		return got == (ssize_t)length;
	/* In a sandbox that denies the look, the pointer has to be believed. */
	memcpy(to, from, length);
	return true;
}

/* Advice that a window answers otherwise, as above. */
static bool needs_anonymous(int advice)
{
	return advice == MADV_FREE || advice == MADV_WIPEONFORK || advice == MADV_REMOVE ||
	       advice == MADV_NOHUGEPAGE || advice == MADV_COLLAPSE || advice == MADV_HWPOISON ||
	       advice == MADV_SOFT_OFFLINE || advice == MADV_GUARD_INSTALL;
}

void lz_core_advises(struct lz_core *core, const struct iovec *ranges, size_t count, int advice)
{
	struct iovec range;
	uintptr_t start, end;

	for (size_t i = 0; i < count && i < IOV_MAX && fetch(core, &ranges[i], &range, sizeof range); i++) {
		if (!lz_core_page_range(core, range.iov_base, range.iov_len, core->page_shift, &start, &end))
			continue;
		note_advice(core, start, end, advice);
		if (needs_anonymous(advice))
			lz_windowed_leave(core, start, end);
	}
}

void lz_core_userfault(struct lz_core *core, const struct uffdio_register *registration)
{
	struct uffdio_register asked;
	uint64_t start, end;

	if (!fetch(core, registration, &asked, sizeof asked) ||
		__builtin_add_overflow(asked.range.start, asked.range.len, &end))
		return;
	start = asked.range.start;
	lz_recycle_spoil(core, start, end);
	lz_windowed_leave(core, start, end);
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
	int error = core->calls->mincore(address, length, pages);
	uintptr_t start = (uintptr_t)address, end;
	struct lz_window_part part;

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
