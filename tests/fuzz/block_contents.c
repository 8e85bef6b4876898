/* What a program does with its blocks: write, protect and advise them, fork. */
#include "blocks.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes a word or a few pages at a random place. */
void do_write(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t length = record->b % 4 == 0 ? record->t % (16 * PAGE) + 8 : 8, at;

	if (block->p == NULL || block->size < 8)
		return;
	at = ((uint64_t)record->y * (block->size / 8) >> 32) * 8;
	block_write(worker, block, at, at + length < block->size ? at + length : block->size);
}

/* Writes all of a block, or its beginning or end. */
void do_fill(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t most = record->y % 256 == 0 ? 16 * MB : record->y % 8 == 0 ? 2 * MB : 256 * KB, length;

	if (block->p == NULL)
		return;
	length = block->size < most ? block->size : most;
	if (record->b % 2)
		block_write(worker, block, 0, length);
	else
		block_write(worker, block, block->size - length, block->size);
}

/* Clears a random range, mostly of 2 MiB at most, because a block may have gigabytes. */
void do_block_clear(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t from, to, page, most = record->y % 16 == 0 ? 16 * MB : 2 * MB;

	if (block->p == NULL || block->size < 64 || block->extents == EXTENTS)
		return;
	from = record->b % 4 == 0 ? 0 : (uint64_t)record->y * block->size >> 32;
	to = record->b % 8 == 0 ? block->size : from + ((uint64_t)record->x * (block->size - from) >> 32);
	if (to - from > most)
		to = from + most - record->x % 5000;
	/* The model has words: those at the ends keep their contents. */
	from = (from + 7) & ~(size_t)7;
	to &= ~(size_t)7;
	if (from >= to)
		return;
	trace(worker, "clear %p+%#zx to %#zx", (void *)block->p, from, to);
	errno = UNTOUCHED;
	if (clear(record->b / 8 % CLEAR_NAMES, block->p + from, to - from, &page) != 0)
		fail(worker, "clearing a block at %p faulted in page %zu", (void *)(block->p + from), page);
	if (errno != UNTOUCHED)
		fail(worker, "clearing set errno to %d", errno);
	block_add(block, from, to, ZEROS);
	block_check(worker, block, record->t % 16 == 0);
}

void do_check(struct worker *worker, const struct record *record)
{
	block_check(worker, block_of(worker, record), true);
}

/* Writes the whole usable size, also beyond the requested size. */
void do_usable(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t usable = malloc_usable_size(block->p), at;

	trace(worker, "malloc_usable_size(%p) = %#zx", (void *)block->p, usable);
	if (block->p == NULL ? usable != 0 : usable < block->size)
		fail(worker, "block %p of %#zx bytes has %#zx", (void *)block->p, block->size, usable);
	if (block->p == NULL)
		return;
	for (at = (block->size + 7) & ~(size_t)7; at + 8 <= usable && at < block->size + 64 * KB; at += 8)
		*(volatile uint64_t *)(block->p + at) = ~(uint64_t)at;
	note_dirty(block->p + block->size, block->p + at);
	if (usable >= block->size + 8 && usable >= 8) {
		at = (usable - 8) & ~(size_t)7;
		if (at >= block->size) {
			*(volatile uint64_t *)(block->p + at) = ~(uint64_t)at;
			note_dirty(block->p + at, block->p + at + 8);
		}
	}
	block_check(worker, block, false);
}

/* Chooses whole pages of a block. */
static bool pages_of(const struct block *block, const struct record *record, char **from, size_t *length)
{
	uintptr_t start, end;
	size_t pages, first;

	if (block->p == NULL)
		return false;
	start = ((uintptr_t)block->p + PAGE - 1) & ~(PAGE - 1);
	end = ((uintptr_t)block->p + block->size) & ~(PAGE - 1);
	if (start >= end)
		return false;
	pages = (end - start) / PAGE;
	first = (uint64_t)record->x * pages >> 32;
	*from = (char *)start + first * PAGE;
	*length = (1 + ((uint64_t)record->y * (pages - first) >> 32)) * PAGE;
	if (*from + *length > (char *)end)
		*length = (size_t)((char *)end - *from);
	return true;
}

/* Contents stay while pages are protected; then the protection is reset. */
void do_block_protect(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	uint64_t value, before;
	char *from;
	size_t length;
	int got;

	if (!pages_of(block, record, &from, &length))
		return;
	if (load(from, &before) != 0)
		fail(worker, "%p of a block cannot be read", (void *)from);
	got = mprotect(from, length, record->b & 1 ? PROT_NONE : PROT_READ);
	trace(worker, "mprotect(%p, %#zx) of a block = %d", (void *)from, length, got);
	if (got != 0)
		return; /* vm.max_map_count, or refused */
	if (store(from, 1) == 0 || (load(from, &value) == 0) == (record->b & 1))
		fail(worker, "mprotect of a block has no effect at %p", (void *)from);
	if (!(record->b & 1) && value != before)
		fail(worker, "%p held %#lx and under mprotect %#lx", (void *)from, before, value);
	/* Inaccessible memory is not charged, so making it accessible may be refused. */
	if (mprotect(from, length, PROT_READ | PROT_WRITE) != 0 &&
		(!was_refused(length, -1, errno) ||
			syscall(SYS_mprotect, from, length, PROT_READ | PROT_WRITE) != 0))
		fail(worker, "protected memory cannot be made writable: %d", errno);
}

void do_block_advise(struct worker *worker, const struct record *record)
{
	static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_WILLNEED, MADV_COLD, MADV_DONTNEED};
	struct block *block = block_of(worker, record);
	int advice = advices[record->b % 8], got;
	char *from;
	size_t length;

	if (!pages_of(block, record, &from, &length) || block->extents == EXTENTS)
		return;
	got = madvise(from, length, advice);
	if (advice == MADV_FREE && got == 0) {
		/* The kernel decides when to free, so the pages are dropped explicitly. */
		advice = MADV_DONTNEED;
		got = madvise(from, length, advice);
	}
	trace(worker, "madvise(%p, %#zx, %d) of a block = %d", (void *)from, length, advice, got);
	if (got != 0 && advice == MADV_DONTNEED)
		fail(worker, "madvise(%p, %#zx, %d) of a block failed: %d", (void *)from, length, advice,
			errno);
	if (advice == MADV_DONTNEED)
		block_add(block, (size_t)(from - block->p), (size_t)(from - block->p) + length, ZEROS);
	block_check(worker, block, false);
}

/* Parent and child write, and do not see each other's writes; the child allocates as well. */
void do_fork(struct worker *worker, const struct record *record)
{
	struct record again = *record;
	int status = 0;
	pid_t child = record->t % 8 == 0 ? fork() : -1; /* as expensive as a hundred other calls */

	if (child < 0)
		return;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		note_forked();
		blocks_check(worker);
		blocks_write_all(worker, record->x);
		do_calloc(worker, &again);
		do_write(worker, &again);
		do_realloc(worker, &again);
		do_calloc(worker, &again);
		pairs_check(worker);
		pairs_store_all(worker, record->y | 1);
		blocks_check(worker);
		pairs_check(worker);
		_exit(0);
	}
	trace(worker, "fork");
	blocks_write_all(worker, record->y);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		fail(worker, "a forked child ended with %#x", (unsigned)status);
	blocks_check(worker);
	pairs_check(worker);
}

/* --- children that live on, and memory that they do not inherit --- */

/* A child ends after this many operations. */
#define LIVES 48u

/*
 * Excluded in a child: calls that need a lock which another thread may have held, and memory that is shared
 * with the parent.
 */
static bool is_for_child(const struct operation *operation)
{
	return !operation->maps && operation->make != do_fork && operation->make != do_fork_on &&
	       operation->make != do_block_dontfork && operation->make != do_exchange;
}

static void live_on(struct worker *worker)
{
	unsigned made = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	note_forked();
	worker->blocks->child = 0;
	blocks_check(worker);
	for (size_t i = worker->at + 1; i < worker->count && made < LIVES; i++) {
		const struct record *record = &worker->records[i];

		if (record->thread % worker->threads != worker->number || !is_for_child(operation_of(record)))
			continue;
		worker->at = i;
		worker->record = record;
		operation_of(record)->make(worker, record);
		made++;
	}
	blocks_check(worker);
	_exit(0);
}

void wait_for_child(struct worker *worker)
{
	int status = 0;

	if (worker->blocks->child == 0)
		return;
	while (waitpid(worker->blocks->child, &status, 0) < 0 && errno == EINTR)
		;
	worker->blocks->child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == UNFOLLOWED)
		_exit(UNFOLLOWED);
	if (status != 0)
		fail(worker, "a child that lived on ended with %#x", (unsigned)status);
}

/* The child makes the next calls concurrently with its parent; an earlier child is waited for first. */
void do_fork_on(struct worker *worker, const struct record *record)
{
	pid_t child;

	wait_for_child(worker);
	if (record->t % 8 != 0)
		return;
	child = fork();
	if (child == 0)
		live_on(worker);
	trace(worker, "fork: the child lives on");
	worker->blocks->child = child > 0 ? child : 0;
}

/* A child does not inherit memory under MADV_DONTFORK, and does after MADV_DOFORK. */
void do_block_dontfork(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	uint64_t value = 0, before = 0;
	size_t length, offset;
	int status = 0;
	char *from;
	pid_t child;

	if (record->t % 4 != 0 || !pages_of(block, record, &from, &length))
		return;
	offset = (size_t)(from - block->p);
	block_write(worker, block, offset, offset + 8);
	if (load(from, &before) != 0)
		fail(worker, "%p of a block cannot be read", (void *)from);
	if (madvise(from, length, MADV_DONTFORK) != 0)
		return; /* vm.max_map_count */
	child = fork();
	if (child == 0)
		/* Something else may be mapped there. */
		_exit(before != 0 && load(from, &value) == 0 && value == before);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	trace(worker, "MADV_DONTFORK of %p, %#zx, and a fork: %#x", (void *)from, length, (unsigned)status);
	if (status != 0)
		fail(worker, "a child inherited memory under MADV_DONTFORK at %p", (void *)from);
	if (madvise(from, length, MADV_DOFORK) != 0)
		fail(worker, "MADV_DOFORK of %p failed: %d", (void *)from, errno);
	block_check(worker, block, false);
}
