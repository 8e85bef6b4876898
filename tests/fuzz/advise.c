/* Advice, locks and msync, made in both ways. */
#include "mapping_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
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
	 * Whether a huge page could be had is the moment's luck, and a window has none to make; how many
	 * ranges on a window can be wiped on fork is limited, and what came before the one too many is wiped.
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

/* Advice on two ranges by process_madvise(2), on this process; plain memory's are the same of the twin. */
void do_advise_process(struct worker *worker, const struct record *record)
{
	static const int advices[] = {MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_NOHUGEPAGE, MADV_REMOVE,
		MADV_COLD, MADV_DONTNEED, MADV_DONTDUMP, MADV_DODUMP, MADV_DONTNEED, 12345};
	/* By name; older C libraries lack it. */
	extern __attribute__((weak)) ssize_t process_madvise(
		int, const struct iovec *, size_t, int, unsigned);
	struct part part = part_of(worker, record, 64 * MB);
	char *p = part.area->a + part.offset, *q = part.area->b + part.offset;
	size_t half = part.length / 2 & ~(PAGE - 1);
	struct iovec first[] = {{p, half}, {p + half, part.length - half}};
	struct iovec second[] = {{q, half}, {q + half, part.length - half}};
	int advice = advices[record->b % 10], self;

	if (part.area->a == NULL || process_madvise == NULL)
		return;
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	{
		BOTH(process_madvise(self, first, 2, advice, 0),
			syscall(SYS_process_madvise, self, second, 2L, advice, 0));
		close(self);
		trace(worker, "process_madvise(%p, %#zx and %#zx, %d) = %ld, errno %d; expected %ld, %d",
			(void *)p, half, part.length - half, advice, a, a_error, b, b_error);
		if (advice == MADV_WIPEONFORK && a != b && (a_error == EAGAIN || a >= 0))
			incomparable(worker, part.area);
		else
			compare_results(worker, &part, a, a_error, b, b_error);
	}
}

/*
 * A policy has no effect on a window: results are the same, and contents. (By the names of libnuma, which the
 * library has.)
 */
void do_bind(struct worker *worker, const struct record *record)
{
	extern __attribute__((weak)) long mbind(
		void *, unsigned long, int, const unsigned long *, unsigned long, unsigned);
	struct part part = part_of(worker, record, 64 * MB);
	unsigned long node = record->b & 8 ? 1ul << 40 : 1;
	int mode = record->b & 7;

	if (part.area->a == NULL || mbind == NULL)
		return;
	BOTH(mbind(part.area->a + part.offset, part.length, mode, mode == 0 ? NULL : &node,
		     mode == 0 ? 0 : 64, 0),
		syscall(SYS_mbind, part.area->b + part.offset, part.length, mode, mode == 0 ? NULL : &node,
			mode == 0 ? 0ul : 64ul, 0));
	trace(worker, "mbind(%p, %#zx, %d, %#lx) = %ld, errno %d; expected %ld, %d",
		(void *)(part.area->a + part.offset), part.length, mode, node, a, a_error, b, b_error);
	if (a != b || a_error != b_error)
		compare_results(worker, &part, a, a_error, b, b_error);
	/* What has a policy is a mapping of its own on plain memory alone. */
	mbind(part.area->a + part.offset, part.length, 0, NULL, 0, 0);
	syscall(SYS_mbind, part.area->b + part.offset, part.length, 0, NULL, 0ul, 0);
	compare_part(worker, &part);
}

/* Registered with a userfaultfd and at once no more, so that no fault is to be answered: contents stay. */
void do_userfault(struct worker *worker, const struct record *record)
{
	static const unsigned modes[] = {UFFDIO_REGISTER_MODE_MISSING, 2 /* _WP */, 3, 0, 64};
	struct part part = part_of(worker, record, 16 * MB);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register first = {
		.range = {(uintptr_t)part.area->a + part.offset, part.length}, .mode = modes[record->b % 5]};
	struct uffdio_register second = first;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0 || part.area->a == NULL || ioctl(fd, UFFDIO_API, &api) != 0) {
		syscall(SYS_close, fd);
		return;
	}
	second.range.start = (uintptr_t)part.area->b + part.offset;
	{
		BOTH(ioctl(fd, UFFDIO_REGISTER, &first), syscall(SYS_ioctl, fd, UFFDIO_REGISTER, &second));
		if (a == 0)
			ioctl(fd, UFFDIO_UNREGISTER, &first.range);
		if (b == 0)
			syscall(SYS_ioctl, fd, UFFDIO_UNREGISTER, &second.range);
		syscall(SYS_close, fd);
		trace(worker, "UFFDIO_REGISTER(%p, %#zx, %d) = %ld, errno %d; expected %ld, %d",
			(void *)(part.area->a + part.offset), part.length, (int)first.mode, a, a_error, b,
			b_error);
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
