/*
 * Turns memory on a window into anonymous memory, for a userfaultfd(2) of the program that handles missing
 * pages (UFFDIO_REGISTER_MODE_MISSING): the window would answer reads before the userfaultfd sees them.
 * Nothing else makes memory leave a window.
 *
 * Pages are copied to anonymous memory, which is then moved over the window, while other threads may write.
 * So each block of 2 MiB is first write-protected by lazyzero's own userfaultfd: a store to the block waits
 * until the block has been replaced. In a test of 590 million stores, 1.5 million read(2) and 79,000 O_DIRECT
 * reads into 640 blocks that were replaced meanwhile, none was lost (Linux 6.18;
 * tests/probe/concurrent_writes.c). Limits:
 *
 * - read(2) and other system calls that write into the block wait as well if the process may use userfaultfd
 *   without restriction (CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1). Otherwise they fail with EFAULT
 *   while the block is copied, for 0.5 to 8 ms.
 * - Pages that are already pinned (O_DIRECT reads in progress, registered buffers of io_uring, vfio): what a
 *   device writes to them after they were copied is lost. The kernel does not report pins.
 *
 * A block that is registered with another userfaultfd (EBUSY) stays on the window if it has contents, and the
 * program's userfaultfd sees no missing pages there; the same holds for all blocks if no userfaultfd can be
 * opened (a seccomp filter). Blocks without contents are replaced in any case. An empty block takes 50 us, so
 * 1 GiB takes 30 ms.
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

/* Pages of the largest block: 2 MiB in pages of 4 KiB. */
#define BLOCK_PAGES 512u

/* Neighbouring pieces with the same attributes, which are replaced together. */
struct run {
	struct lz_backings *backings;
	int userfaultfd; /* lazyzero's own, or -errno */
	bool readable;
	int protection;
	unsigned advice;
	uintptr_t start, end; /* start == end: empty */
	uintptr_t copy;       /* anonymous memory for the whole run; its blocks are moved over the window */
	bool swap_in_use;     /* some memory of the machine is swapped out */
};

/* --- write-protecting a block --- */

/* Opens a userfaultfd with as many rights as the process can get. Returns the descriptor or -errno. */
static int open_userfaultfd(struct lz_backings *backings)
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

/* Makes stores to the block wait. 0 or -errno; EBUSY: another userfaultfd has the block. */
static int write_protect(struct run *run, uintptr_t start, uintptr_t end)
{
	struct uffdio_range range = {start, end - start};
	struct uffdio_register registration = {.range = range, .mode = MODE_WP};
	struct uffdio_writeprotect protect = {.range = range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
	int error = run->userfaultfd < 0
			    ? run->userfaultfd
			    : run->backings->os->ioctl(run->userfaultfd, UFFDIO_REGISTER, &registration);

	if (error)
		return error;
	error = run->backings->os->ioctl(run->userfaultfd, UFFDIO_WRITEPROTECT, &protect);
	if (error)
		run->backings->os->ioctl(run->userfaultfd, UFFDIO_UNREGISTER, &range);
	return error;
}

/* Unregisters the range instead of closing the descriptor, because a forked child may keep that open. */
static void unregister_or_wake(struct run *run, uintptr_t start, uintptr_t end, bool replaced)
{
	struct uffdio_range range = {start, end - start};

	run->backings->os->ioctl(run->userfaultfd, replaced ? UFFDIO_WAKE : UFFDIO_UNREGISTER, &range);
}

/* --- copying a block --- */

struct block {
	struct run *run;
	uintptr_t start;
	bool has_contents; /* some pages were written or are not resident */
	uint64_t nonresident[BLOCK_PAGES /
			     64]; /* pages that were not resident before the block was write-protected */
};

static uintptr_t copy_of(const struct block *block, uintptr_t at)
{
	return block->run->copy + (at - block->run->start);
}

static size_t page_of(const struct block *block, uintptr_t at)
{
	return (at - block->start) >> block->run->backings->books->page_shift;
}

static void note_page_run(void *context, const struct lz_page_run *run)
{
	struct block *block = context;

	block->has_contents |= !run->file;
	for (uintptr_t at = run->start; run->not_present && at < run->end;
		at += block->run->backings->books->page)
		block->nonresident[page_of(block, at) / 64] |= UINT64_C(1) << page_of(block, at) % 64;
}

static bool was_nonresident(const struct block *block, uintptr_t at)
{
	return (block->nonresident[page_of(block, at) / 64] >> page_of(block, at) % 64 & 1) != 0;
}

static bool is_zero(const char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/*
 * Copies a page that is not resident. It is swapped out, or a guard page, which becomes a guard page in the
 * copy. If it was resident before the block was write-protected, it is most likely the marker of the write
 * protection on a page that does not exist.
 */
static void copy_nonresident_page(const struct block *block, uintptr_t at)
{
	const struct lz_os *os = block->run->backings->os;
	size_t page = block->run->backings->books->page;
	void *to = (void *)copy_of(block, at);

	if (!was_nonresident(block, at) && !block->run->swap_in_use)
		return;
	if (os->madvise((void *)at, page, MADV_POPULATE_READ) == -EFAULT)
		os->madvise(to, page, MADV_GUARD_INSTALL);
	else if (was_nonresident(block, at) || !is_zero((const char *)at, page))
		memcpy(to, (const void *)at, page);
}

/* Written pages belong to the block, even if they contain zeros. */
static void copy_page_run(void *context, const struct lz_page_run *run)
{
	const struct block *block = context;

	if (run->file)
		return;
	if (!run->not_present) {
		memcpy((void *)copy_of(block, run->start), (const void *)run->start, run->end - run->start);
		return;
	}
	for (uintptr_t at = run->start; at < run->end; at += block->run->backings->books->page)
		copy_nonresident_page(block, at);
}

/* Before Linux 6.7 written pages cannot be told apart; pages that are not zero are copied. */
static void copy_nonzero_pages(const struct block *block, uintptr_t end)
{
	size_t page = block->run->backings->books->page;

	for (uintptr_t at = block->start; at < end; at += page)
		if (!is_zero((const char *)at, page))
			memcpy((void *)copy_of(block, at), (const void *)at, page);
}

/* --- replacing a block --- */

/* Gives the copy the attributes of the block it replaces. MADV_WIPEONFORK is left to the kernel again. */
static int copy_attributes(const struct run *run, const struct block *block, size_t length)
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
	lz_window_apply_attributes(backings, copy, length, run->advice & ~(unsigned)LZ_VM_LOCKED);
	return backings->os->mprotect((void *)copy, length, run->protection);
}

/*
 * Updates the books: the range is anonymous memory now. Memory that was /dev/zero still behaves as a mapping
 * of a file.
 */
static void record_replaced(struct lz_backings *backings, uintptr_t start, uintptr_t end)
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
	/*
	 * The anonymous memory may be merged in the ledger with what follows it; only the range itself is
	 * changed.
	 */
	while (start < end && (range = lz_ledger_find_at_or_above(&backings->books->ledger, start)) != NULL &&
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

/*
 * Copies a block and moves the copy over it. The block must be write-protected or empty. 0 or -errno; on
 * failure the block stays.
 */
static int replace_with_copy(struct run *run, struct block *block, uintptr_t end, bool walked)
{
	const struct lz_os *os = run->backings->os;
	size_t length = end - block->start;
	void *place = (void *)block->start;
	intptr_t moved;
	int error = 0;

	if (!run->readable && block->has_contents)
		error = os->mprotect(place, length, run->protection | PROT_READ);
	if (error == 0 && !walked)
		copy_nonzero_pages(block, end);
	else if (error == 0 && block->has_contents)
		error = lz_pagemap_walk(os, block->start, end, copy_page_run, block);
	if (error == 0)
		error = copy_attributes(run, block, length);
	if (error == 0) {
		moved = os->mremap((void *)copy_of(block, block->start), length, length,
			MREMAP_MAYMOVE | MREMAP_FIXED, place);
		error = lz_os_failed(moved) ? (int)moved : 0;
	}
	if (error != 0 && !run->readable && block->has_contents)
		os->mprotect(place, length, run->protection);
	return error;
}

/*
 * Replaces one block, with all signals blocked: a handler that stores to the block would wait for the thread
 * that it interrupted. A write-protected block is walked again, because other threads may have written to it
 * before. Returns true if it was replaced.
 */
static bool replace_block(struct run *run, uintptr_t start, uintptr_t end)
{
	const struct lz_os *os = run->backings->os;
	struct block block = {.run = run, .start = start};
	uint64_t all = ~UINT64_C(0), before = 0;
	bool walked = lz_pagemap_walk(os, start, end, note_page_run, &block) == 0, protected;
	int error;

	if (os->any_syscall(
		    SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, (long)&before, sizeof all, 0, 0) != 0)
		return false;
	protected = write_protect(run, start, end) == 0;
	if (protected)
		block.has_contents = true;
	/* Without write protection, only an empty block can be replaced. */
	error = protected || (walked && !block.has_contents) ? replace_with_copy(run, &block, end, walked)
							     : -EBUSY;
	if (protected)
		unregister_or_wake(run, start, end, error == 0);
	if (error == 0)
		record_replaced(run->backings, start, end);
	os->any_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&before, 0, sizeof before, 0, 0);
	/* Locked only now, because RLIMIT_MEMLOCK may not suffice for both copies. */
	if (error == 0)
		lz_window_apply_attributes(run->backings, start, end - start, run->advice & LZ_VM_LOCKED);
	return error == 0;
}

static bool is_swap_in_use(struct lz_backings *backings)
{
	struct sysinfo info;

	return backings->os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0 ||
	       info.freeswap != info.totalswap;
}

/*
 * Maps memory for the whole run at once. Writing its first page gives the mapping its anon_vma, so that the
 * blocks become one mapping again when they have been moved.
 */
static void replace_run(struct run *run)
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
	run->swap_in_use = is_swap_in_use(backings);
	if (backings->os->mprotect((void *)copy, length, PROT_READ | PROT_WRITE) == 0) {
		backings->os->madvise((void *)copy, backings->books->page, MADV_POPULATE_WRITE);
		backings->os->madvise((void *)copy, backings->books->page, MADV_DONTNEED);
		for (uintptr_t at = run->start, next; at < run->end; at = next) {
			next = lz_min_u64(run->end, lz_round_down(at, block) + block);
			/* The block stays; its copy is not needed. */
			if (!replace_block(run, at, next))
				backings->os->munmap((void *)(run->copy + (at - run->start)), next - at);
		}
	} else {
		backings->os->munmap((void *)copy, length);
	}
	run->start = run->end = 0;
}

/*
 * Adds the parts of one mapping within [start, end) that are on a window to the run, or replaces the run and
 * begins a new one.
 */
static void add_mapping(
	struct run *run, const struct lz_mapping *mapping, unsigned advice, uintptr_t start, uintptr_t end)
{
	int protection = lz_mapping_protection(mapping);
	struct lz_window_part part;

	/* The map of windows may be wrong if a call could not be followed. */
	if (!lz_mapping_is_window(mapping))
		return;
	start = lz_max_u64(start, mapping->start);
	end = lz_min_u64(end, mapping->end);
	for (; lz_window_next_part(run->backings, start, end, &part); start = part.end) {
		if (part.start != run->end || advice != run->advice || protection != run->protection) {
			replace_run(run);
			run->start = part.start;
			run->readable = mapping->readable;
			run->protection = protection;
			run->advice = advice;
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
	unsigned advice;

	if (!lz_window_next_part(backings, start, end, &part))
		return;
	/*
	 * One pass over smaps suffices: reading continues after the last mapping it returned, whatever was
	 * changed.
	 */
	if (lz_line_reader_open(&lines, backings->os, SMAPS) != 0)
		return;
	run.userfaultfd = open_userfaultfd(backings);
	while (lz_smaps_next(&lines, &mapping, &advice) && mapping.start < end)
		add_mapping(&run, &mapping, advice, start, end);
	lz_line_reader_close(&lines);
	replace_run(&run);
	if (run.userfaultfd >= 0)
		backings->os->close(run.userfaultfd);
}
