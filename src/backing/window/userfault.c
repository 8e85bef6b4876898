/*
 * Memory on a window becomes anonymous memory: for userfaultfd(2) that is to answer missing pages
 * (UFFDIO_REGISTER_MODE_MISSING), since the window answers reads before it can. Nothing else leaves a window.
 *
 * Pages are copied to anonymous memory that then moves over the window, and other threads may write
 * meanwhile. So each block of 2 MiB is first write-protected by a userfaultfd of ours: a store to it waits
 * until the block has been replaced. Of 590 million stores, 1.5 million read(2) and 79,000 O_DIRECT reads
 * into 640 blocks that left meanwhile none was lost (Linux 6.18; tests/probe/leave.c). What that cannot hold:
 *
 *  - read(2) and other system calls that write into the block wait as well where the process may use
 * userfaultfd fully (CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1); else they fail with EFAULT while the
 * block is copied, 0.5 to 8 ms.
 *  - Pages that are pinned already (O_DIRECT reads under way, io_uring's registered buffers, vfio): what a
 * device writes to them after they were copied is lost. The kernel tells nobody of pins.
 *
 * A block that another userfaultfd has (EBUSY), and all of them where none is to be had (a seccomp filter),
 * stay on the window if they hold something, and the program's userfaultfd sees no missing page there; those
 * that hold nothing are replaced. A block that holds nothing takes 50 us, so 1 GiB 30 ms.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "backing/placement.h"
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif
#define FEATURE_WP 1ull               /* UFFD_FEATURE_PAGEFAULT_FLAG_WP, Linux 5.7 */
#define FEATURE_WP_SHMEM (1ull << 12) /* UFFD_FEATURE_WP_HUGETLBFS_SHMEM, Linux 5.19 */
#define MODE_WP 2ull                  /* UFFDIO_REGISTER_MODE_WP */

#define SMAPS "/proc/thread-self/smaps"

/* Pages of one block at most: 2 MiB in pages of 4 KiB. */
#define BLOCK_PAGES 512u

/* What leaves in one go: neighbouring pieces that the program has in one manner. */
struct run {
	struct lz_backings *backings;
	int holder; /* our userfaultfd, or -errno */
	bool readable;
	int protection;
	unsigned asked;
	uintptr_t start, end; /* start == end: none */
	uintptr_t copy;       /* anonymous memory for all of it, of which blocks move over it */
	bool swaps;           /* some memory of the machine is swapped */
};

/* --- holding writers --- */

/* Ours, as capable as the process may have one. The descriptor or -errno. */
static int open_holder(struct lz_backings *backings)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP | FEATURE_WP_SHMEM};
	int fd = (int)backings->os->any_syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0, 0);
	int error;

	if (fd < 0)
		fd = (int)backings->os->any_syscall(
			SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0, 0, 0, 0, 0);
	if (fd < 0)
		return fd;
	error = backings->os->ioctl(fd, UFFDIO_API, &api);
	if (error == 0)
		return fd;
	backings->os->close(fd);
	return error;
}

/* Stores to the block wait from now on. 0 or -errno: another userfaultfd has it (EBUSY). */
static int hold(struct run *run, uintptr_t start, uintptr_t end)
{
	struct uffdio_range range = {start, end - start};
	struct uffdio_register registration = {.range = range, .mode = MODE_WP};
	struct uffdio_writeprotect protect = {.range = range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
	int error = run->holder < 0 ? run->holder
				    : run->backings->os->ioctl(run->holder, UFFDIO_REGISTER, &registration);

	if (error)
		return error;
	error = run->backings->os->ioctl(run->holder, UFFDIO_WRITEPROTECT, &protect);
	if (error)
		run->backings->os->ioctl(run->holder, UFFDIO_UNREGISTER, &range);
	return error;
}

/* By name: a child that was forked meanwhile keeps the descriptor open. */
static void let_go(struct run *run, uintptr_t start, uintptr_t end, bool replaced)
{
	struct uffdio_range range = {start, end - start};

	run->backings->os->ioctl(run->holder, replaced ? UFFDIO_WAKE : UFFDIO_UNREGISTER, &range);
}

/* --- copying a block --- */

struct block {
	struct run *run;
	uintptr_t start;
	bool holds;                      /* pages of its own, or away */
	uint64_t away[BLOCK_PAGES / 64]; /* pages that were away before the block was held */
};

static uintptr_t copy_of(const struct block *block, uintptr_t at)
{
	return block->run->copy + (at - block->run->start);
}

static size_t page_of(const struct block *block, uintptr_t at)
{
	return (at - block->start) >> block->run->backings->books->page_shift;
}

static void note_run(void *context, const struct lz_page_run *run)
{
	struct block *block = context;

	block->holds |= !run->file;
	for (uintptr_t at = run->start; run->not_present && at < run->end;
		at += block->run->backings->books->page)
		block->away[page_of(block, at) / 64] |= UINT64_C(1) << page_of(block, at) % 64;
}

static bool was_away(const struct block *block, uintptr_t at)
{
	return (block->away[page_of(block, at) / 64] >> page_of(block, at) % 64 & 1) != 0;
}

static bool is_zero(const char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/*
 * A page that is not in memory: swapped, or a guard of the program's, which becomes one again; or, where it
 * was not away before the block was held, most likely the mark that holds a page which is not there.
 */
static void copy_away(const struct block *block, uintptr_t at)
{
	const struct lz_os *os = block->run->backings->os;
	size_t page = block->run->backings->books->page;
	void *to = (void *)copy_of(block, at);

	if (!was_away(block, at) && !block->run->swaps)
		return;
	if (os->madvise((void *)at, page, MADV_POPULATE_READ) == -EFAULT)
		os->madvise(to, page, MADV_GUARD_INSTALL);
	else if (was_away(block, at) || !is_zero((const char *)at, page))
		memcpy(to, (const void *)at, page);
}

/* What was written is the block's own, though it be with zeros. */
static void copy_run(void *context, const struct lz_page_run *run)
{
	const struct block *block = context;

	if (run->file)
		return;
	if (!run->not_present) {
		memcpy((void *)copy_of(block, run->start), (const void *)run->start, run->end - run->start);
		return;
	}
	for (uintptr_t at = run->start; at < run->end; at += block->run->backings->books->page)
		copy_away(block, at);
}

/* Before Linux 6.7 nothing tells which pages are its own: those that are not zero count. */
static void copy_unseen(const struct block *block, uintptr_t end)
{
	size_t page = block->run->backings->books->page;

	for (uintptr_t at = block->start; at < end; at += page)
		if (!is_zero((const char *)at, page))
			memcpy((void *)copy_of(block, at), (const void *)at, page);
}

/* --- replacing a block --- */

/* The copy is in the manner of what it replaces. MADV_WIPEONFORK is the kernel's again. */
static int give_manner(const struct run *run, const struct block *block, size_t length)
{
	struct lz_backings *backings = run->backings;
	uintptr_t copy = copy_of(block, block->start);
	struct lz_wipe_list wiped = {.count = 0};

	if (lz_books_lock(backings->books)) {
		lz_wipe_table_list(
			&backings->books->windows.wipes, block->start, block->start + length, &wiped);
		lz_books_unlock(backings->books);
	}
	for (size_t i = 0; i < wiped.count; i++)
		backings->os->madvise((void *)(copy + wiped.part[i].start),
			wiped.part[i].end - wiped.part[i].start, MADV_WIPEONFORK);
	lz_window_advise_alike(backings, copy, length, run->asked & ~(unsigned)LZ_VM_LOCKED);
	return backings->os->mprotect((void *)copy, length, run->protection);
}

/* The books follow: the range is anonymous now. What was /dev/zero stays a file in all that is told of it. */
static void note_left(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct lz_window_part part;
	struct lz_range *range;
	bool of_file;

	if (!lz_books_lock(backings->books))
		return;
	of_file = lz_window_map_find(&backings->books->windows, start, end, &part) && part.dev_zero;
	lz_window_map_remove(&backings->books->windows, start, end);
	if (of_file)
		lz_window_map_add(&backings->books->windows, start, end,
			lz_window_map_dev_zero_tag(&backings->books->windows, start));
	/* What becomes anonymous may join what lies behind it: that is no part of it. */
	while (start < end && (range = lz_ledger_find(&backings->books->ledger, start)) != NULL &&
		range->start < end) {
		struct lz_range_traits traits = {
			.page_shift = (uint8_t)backings->books->page_shift, .tag = range->traits.tag};
		uintptr_t from = lz_max_u64(range->start, start), to = lz_min_u64(range->end, end);

		lz_ledger_set(&backings->books->ledger, from, to, traits);
		start = to;
	}
	lz_books_publish_statistics(backings->books);
	lz_books_unlock(backings->books);
}

/* Copies and moves a block that is held, or that holds nothing. 0 or -errno: then it stays. */
static int move_over(struct run *run, struct block *block, uintptr_t end, bool seen)
{
	const struct lz_os *os = run->backings->os;
	size_t length = end - block->start;
	void *place = (void *)block->start;
	intptr_t moved;
	int error = 0;

	if (!run->readable && block->holds)
		error = os->mprotect(place, length, run->protection | PROT_READ);
	if (error == 0 && !seen)
		copy_unseen(block, end);
	else if (error == 0 && block->holds)
		error = lz_pagemap_walk(os, block->start, end, copy_run, block);
	if (error == 0)
		error = give_manner(run, block, length);
	if (error == 0) {
		moved = os->mremap((void *)copy_of(block, block->start), length, length,
			MREMAP_MAYMOVE | MREMAP_FIXED, place);
		error = lz_os_failed(moved) ? (int)moved : 0;
	}
	if (error != 0 && !run->readable && block->holds)
		os->mprotect(place, length, run->protection);
	return error;
}

/*
 * With all signals blocked: a handler that stored to the block would wait for the thread it runs in. A block
 * that is held is looked at again, for others may have written before. True where it left.
 */
static bool leave_block(struct run *run, uintptr_t start, uintptr_t end)
{
	const struct lz_os *os = run->backings->os;
	struct block block = {.run = run, .start = start};
	uint64_t all = ~UINT64_C(0), before = 0;
	bool seen = lz_pagemap_walk(os, start, end, note_run, &block) == 0, held;
	int error;

	if (os->any_syscall(
		    SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, (long)&before, sizeof all, 0, 0) != 0)
		return false;
	held = hold(run, start, end) == 0;
	if (held)
		block.holds = true;
	/* Not held: only what holds nothing. */
	error = held || (seen && !block.holds) ? move_over(run, &block, end, seen) : -EBUSY;
	if (held)
		let_go(run, start, end, error == 0);
	if (error == 0)
		note_left(run->backings, start, end);
	os->any_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&before, 0, sizeof before, 0, 0);
	/* Not before: what the process may lock is limited. */
	if (error == 0)
		lz_window_advise_alike(run->backings, start, end - start, run->asked & LZ_VM_LOCKED);
	return error == 0;
}

static bool some_is_swapped(struct lz_backings *backings)
{
	struct sysinfo info;

	return backings->os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0 ||
	       info.freeswap != info.totalswap;
}

/*
 * Memory for all of the run at once, and made one for good by its first page (anon_vma), so that the blocks
 * become one mapping again where they come to lie.
 */
static void leave_run(struct run *run)
{
	struct lz_backings *backings = run->backings;
	size_t length = run->end - run->start;
	size_t block = lz_min_u64(
		lz_window_map_unit(&backings->books->windows), BLOCK_PAGES * backings->books->page);
	intptr_t copy;

	if (length == 0)
		return;
	copy = lz_placement_reserve_alike(backings, run->start, length);
	if (lz_os_failed(copy))
		return;
	run->copy = (uintptr_t)copy;
	run->swaps = some_is_swapped(backings);
	if (backings->os->mprotect((void *)copy, length, PROT_READ | PROT_WRITE) == 0) {
		backings->os->madvise((void *)copy, backings->books->page, MADV_POPULATE_WRITE);
		backings->os->madvise((void *)copy, backings->books->page, MADV_DONTNEED);
		for (uintptr_t at = run->start, next; at < run->end; at = next) {
			next = lz_min_u64(run->end, lz_round_down(at, block) + block);
			/* Where it stays, its copy is of no use. */
			if (!leave_block(run, at, next))
				backings->os->munmap((void *)(run->copy + (at - run->start)), next - at);
		}
	} else {
		backings->os->munmap((void *)copy, length);
	}
	run->start = run->end = 0;
}

/* The parts of one mapping within [start, end) that stand on a window join the run, or begin the next. */
static void add_mapping(
	struct run *run, const struct lz_mapping *mapping, unsigned asked, uintptr_t start, uintptr_t end)
{
	int protection = lz_mapping_protection(mapping);
	struct lz_window_part part;

	/* The map of windows may be wrong where a call could not be followed. */
	if (!lz_mapping_is_window(mapping))
		return;
	start = lz_max_u64(start, mapping->start);
	end = lz_min_u64(end, mapping->end);
	for (; lz_window_next_part(run->backings, start, end, &part); start = part.end) {
		if (part.start != run->end || asked != run->asked || protection != run->protection) {
			leave_run(run);
			run->start = part.start;
			run->readable = mapping->readable;
			run->protection = protection;
			run->asked = asked;
		}
		run->end = part.end;
	}
}

void lz_window_prepare_missing_faults(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct run run = {.backings = backings};
	struct lz_window_part part;
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	unsigned asked;

	if (!lz_window_next_part(backings, start, end, &part))
		return;
	/* One pass for all: the kernel goes on behind the last mapping it named, whatever was changed. */
	if (lz_line_reader_open(&lines, backings->os, SMAPS) != 0)
		return;
	run.holder = open_holder(backings);
	while (lz_smaps_next(&lines, &mapping, &asked) && mapping.start < end)
		add_mapping(&run, &mapping, asked, start, end);
	lz_line_reader_close(&lines);
	leave_run(&run);
	if (run.holder >= 0)
		backings->os->close(run.holder);
}
