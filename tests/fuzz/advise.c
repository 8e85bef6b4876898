/* Advice, locks and msync, made in both ways. */
#include "pairs.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13 */
#define GUARD_REMOVE 103

void do_advise(struct worker *worker, const struct record *record)
{
	static const struct {
		int advice;
		bool costly; /* memory for every page */
	} advices[] = {{MADV_DONTNEED, false}, {MADV_DONTNEED, false}, {MADV_DONTNEED, false},
		{MADV_WIPEONFORK, false}, {MADV_KEEPONFORK, false}, {MADV_REMOVE, false},
		{MADV_HUGEPAGE, true}, {MADV_NOHUGEPAGE, false}, {MADV_POPULATE_READ, true},
		{MADV_POPULATE_WRITE, true}, {MADV_DONTFORK, false}, {MADV_DOFORK, false},
		{MADV_MERGEABLE, false}, {MADV_UNMERGEABLE, false}, {MADV_DONTDUMP, false},
		{MADV_DODUMP, false}, {MADV_NORMAL, false}, {MADV_RANDOM, false}, {MADV_SEQUENTIAL, false},
		{MADV_WILLNEED, false}, {MADV_COLD, false}, {MADV_PAGEOUT, false},
		{MADV_DONTNEED_LOCKED, false}, {GUARD_INSTALL, false}, {GUARD_REMOVE, false}, {12345, false},
		{MADV_DONTNEED, false}, {MADV_COLLAPSE, true}};
	unsigned which = record->b % (sizeof advices / sizeof *advices);
	struct part part = part_of(worker, record, advices[which].costly ? 4 * MB : 64 * MB);
	int advice = advices[which].advice;

	if (part.area->a == NULL)
		return;
	/* In the child, what the kernel placed would leave a hole, where other memory could come to lie. */
	if (advice == MADV_DONTFORK && part.area >= &worker->pairs->area[FIXED])
		advice = MADV_DOFORK;
	BOTH(madvise(part.area->a + part.offset, part.length, advice),
		syscall(SYS_madvise, part.area->b + part.offset, part.length, advice));
	trace(worker, "madvise(%p, %#zx, %d) = %ld, errno %d; expected %ld, %d",
		(void *)(part.area->a + part.offset), part.length, advice, a, a_error, b, b_error);
	/*
	 * Whether a huge page could be had is the moment's luck, and a window has none to make; how many ranges on
	 * a window can be wiped on fork is limited, and what came before the one too many is wiped.
	 */
	if (advice == MADV_COLLAPSE)
		compare_part(worker, &part);
	else if (advice == MADV_WIPEONFORK && a == -1 && a_error == EAGAIN && b == 0)
		incomparable(worker, part.area);
	else
		compare_results(worker, &part, a, a_error, b, b_error);
}

/* When the kernel frees is its own choice: what is left is then made certain. */
void do_advise_free(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, 64 * MB);

	if (part.area->a == NULL)
		return;
	{
		BOTH(madvise(part.area->a + part.offset, part.length, MADV_FREE),
			syscall(SYS_madvise, part.area->b + part.offset, part.length, MADV_FREE));
		trace(worker, "madvise(%p, %#zx, MADV_FREE) = %ld, errno %d",
			(void *)(part.area->a + part.offset), part.length, a, a_error);
		syscall(SYS_madvise, part.area->b + part.offset, part.length, MADV_DONTNEED);
		madvise(part.area->a + part.offset, part.length, MADV_DONTNEED);
		compare_results(worker, &part, a, a_error, b, b_error);
	}
}

void do_lock(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, record->b % 4 ? 32 * PAGE : 64 * MB);
	char *p = part.area->a + part.offset, *q = part.area->b + part.offset;
	unsigned flags = record->b % 4 == 1 ? MLOCK_ONFAULT : 0;

	/* Whose memory may not be locked without limit, may lock the one and not the other. */
	if (part.area->a == NULL || geteuid() != 0)
		return;
	/* AddressSanitizer makes mlock and munlock nothing; mlock2 it leaves. */
	BOTH(record->b % 4 == 0 ? syscall(SYS_munlock, p, part.length) : mlock2(p, part.length, flags),
		record->b % 4 == 0 ? syscall(SYS_munlock, q, part.length)
				   : syscall(SYS_mlock2, q, part.length, flags));
	trace(worker, "lock %d (%p, %#zx) = %ld, errno %d", record->b % 4, (void *)p, part.length, a,
		a_error);
	compare_results(worker, &part, a, a_error, b, b_error);
}

void do_sync(struct worker *worker, const struct record *record)
{
	static const int flags[] = {MS_ASYNC, MS_SYNC, MS_ASYNC | MS_INVALIDATE, MS_SYNC | MS_ASYNC, 64};
	struct part part = part_of(worker, record, 64 * MB);
	char *p = part.area->a + part.offset, *q = part.area->b + part.offset;
	int flag = flags[record->b % 5];

	if (part.area->a == NULL)
		return;
	BOTH(msync(p, part.length, flag), syscall(SYS_msync, q, part.length, flag));
	trace(worker, "msync(%p, %#zx, %d) = %ld, errno %d", (void *)p, part.length, flag, a, a_error);
	compare_results(worker, &part, a, a_error, b, b_error);
}
