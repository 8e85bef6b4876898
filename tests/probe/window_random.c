/*
 * Random calls of every kind on random ranges of a region on a window; see window.h. A series is determined
 * by its seed. After each call all places that were ever written are checked, and at the end of a series
 * samples of the whole region.
 */
#include "window.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPAN (24 * MB)   /* range of the calls */
#define REGION (16 * MB) /* bytes mapped at first */
#define CALLS 60
#define PLACES 256

/* One series. */
struct series {
	const struct calls *c;
	uint64_t state;
	size_t places;
	char *place[PLACES]; /* addresses that were written */
	int file;
};

static uint64_t seed;

static uint64_t draw(struct series *s, uint64_t below)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return (s->state >> 11) % below;
}

/* Length of a range: in pages, blocks of 64 KiB or of 2 MiB, sometimes not aligned. */
static size_t draw_length(struct series *s, size_t most)
{
	static const size_t grain[] = {4 * KB, 4 * KB, 64 * KB, 2 * MB};
	size_t unit = grain[draw(s, 4)];
	size_t length = (draw(s, most / unit < 12 ? most / unit + 1 : 12) + (draw(s, 8) != 0)) * unit;

	length = length < most ? length : most;
	return draw(s, 24) == 0 && length > 5 ? length - 5 : length;
}

static char *draw_address(struct series *s)
{
	static const size_t grain[] = {4 * KB, 64 * KB, 2 * MB};
	size_t unit = grain[draw(s, 3)];

	return AT(draw(s, SPAN / unit) * unit + (draw(s, 40) == 0 ? 8 : 0));
}

static void remember(struct series *s, char *at)
{
	at = AT((size_t)(at - ARENA) / 8 * 8);
	if (s->places < PLACES && at < AT(2 * SPAN))
		s->place[s->places++] = at;
}

/* Mostly returns a word of a page that was written: calls on untouched memory prove little. */
static char *draw_word(struct series *s)
{
	if (s->places != 0 && draw(s, 3) != 0)
		return s->place[draw(s, s->places)];
	return AT(draw(s, SPAN / PAGE) * PAGE + draw(s, PAGE / 8) * 8);
}

static void check_place(const struct series *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->places; i++)
		sum = sum * 31 + peek(s->place[i]);
	VALUE(sum);
}

static void check_all_places(void)
{
	uint64_t sum = 0;

	for (size_t at = 24; at < 2 * SPAN; at += 37 * PAGE)
		sum = sum * 31 + peek(AT(at));
	VALUE(sum);
}

/* --- the calls --- */

static void do_store(struct series *s)
{
	char *at = AT(draw(s, SPAN / PAGE) * PAGE + draw(s, PAGE / 8) * 8);
	size_t count = 1 + draw(s, 4);

	for (size_t i = 0; i < count; i++) {
		INT(store(at, s->state | 1));
		remember(s, at);
		at += PAGE;
	}
}

static void do_load(struct series *s)
{
	uint64_t value = 0;

	INT(load(draw_word(s), &value));
	VALUE(value);
}

static void do_unmap(struct series *s)
{
	char *at = draw_address(s);

	size_t length = draw_length(s, 2 * MB);

	trace("munmap(%p, %#zx)\n", (void *)at, length);
	INT(s->c->unmap(at, length));
}

static void do_map(struct series *s)
{
	static const int kinds[] = {MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_FIXED | MAP_NORESERVE};
	static const int protections[] = {RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC};
	char *at = draw_address(s);
	size_t length = draw_length(s, 4 * MB);
	int protection = protections[draw(s, 5)], kind = kinds[draw(s, 4)];

	trace("mmap(%p, %#zx, %d, %#x)\n", (void *)at, length, protection, kind);
	POINTER(s->c->map(at, length, protection, ANON | kind, -1, 0));
}

static void do_protect(struct series *s)
{
	static const int protections[] = {RW, RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC, PROT_WRITE};
	char *at = draw_address(s);
	size_t length = draw_length(s, REGION);

	int protection = protections[draw(s, 7)];

	trace("mprotect(%p, %#zx, %d)\n", (void *)at, length, protection);
	INT(s->c->protect(at, length, protection));
}

/* Moved contents are also checked at their new place. */
static void remember_moved(struct series *s, const char *from, size_t length, char *to)
{
	size_t places = s->places;

	for (size_t i = 0; i < places; i++)
		if (s->place[i] >= from && s->place[i] < from + length)
			remember(s, to + (s->place[i] - from));
}

static void do_remap(struct series *s)
{
	static const int kinds[] = {0, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_DONTUNMAP, 8};
	char *from = draw_address(s), *to = draw_address(s) + (draw(s, 2) ? SPAN : 0);
	int flags = kinds[draw(s, 7)];
	size_t old_length = draw(s, 16) == 0 ? 0 : draw_length(s, 6 * MB);
	size_t new_length = draw(s, 2) ? old_length : draw_length(s, 8 * MB);
	char *result;

	/*
	 * The kernel unlocks what MREMAP_DONTUNMAP leaves behind without merging it with its neighbours;
	 * whether they can be grown together would depend on the number of mappings.
	 */
	if (flags & MREMAP_DONTUNMAP)
		INT(munlock(from, old_length));
	trace("mremap(%p, %#zx, %#zx, %d, %p)\n", (void *)from, old_length, new_length, flags, (void *)to);
	result = POINTER(s->c->remap(from, old_length, new_length, flags, to));

	if (result != MAP_FAILED)
		remember_moved(s, from, old_length, result);
}

static void do_advise(struct series *s)
{
	static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_WIPEONFORK,
		MADV_KEEPONFORK, MADV_REMOVE, MADV_HUGEPAGE, MADV_POPULATE_READ, MADV_DONTFORK, MADV_DOFORK,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTDUMP, MADV_DODUMP, MADV_NORMAL, MADV_RANDOM,
		MADV_SEQUENTIAL, MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED_LOCKED, 12345};
	char *at = draw_address(s);
	size_t length = draw_length(s, REGION);

	int advice = advices[draw(s, sizeof advices / sizeof *advices)];

	trace("madvise(%p, %#zx, %d)\n", (void *)at, length, advice);
	INT(s->c->advise(at, length, advice));
}

/* The kernel decides when to free; the rest is dropped explicitly. */
static void do_free(struct series *s)
{
	char *at = draw_address(s);
	size_t length = draw_length(s, 4 * MB);

	INT(s->c->advise(at, length, MADV_FREE));
	INT(s->c->advise(at, length, MADV_DONTNEED));
}

/* Calls that populate memory, on few pages. */
static void do_fill(struct series *s)
{
	char *at = draw_address(s);
	size_t length = draw_length(s, 32 * PAGE);

	switch (draw(s, 6)) {
	case 0:
		INT(s->c->advise(at, length, MADV_POPULATE_WRITE));
		break;
	case 1:
	case 2:
		INT(mlock(at, length));
		break;
	case 3:
		INT(mlock2(at, length, MLOCK_ONFAULT));
		break;
	default:
		INT(munlock(at, draw(s, 2) ? length : draw_length(s, REGION)));
	}
}

static void do_sync(struct series *s)
{
	static const int flags[] = {MS_ASYNC, MS_SYNC, MS_ASYNC | MS_INVALIDATE, MS_SYNC | MS_ASYNC, 64};
	char *at = draw_address(s);
	size_t length = draw_length(s, REGION);

	INT(msync(at, length, flags[draw(s, 5)]));
}

static void do_read(struct series *s)
{
	char *at = draw_word(s);

	INT(pread(s->file, at, 1 + draw(s, 3 * PAGE), (off_t)draw(s, 64 * KB)));
	remember(s, at);
	remember(s, at + PAGE);
}

static void do_write(struct series *s)
{
	char *at = draw_word(s);
	uint64_t back[2] = {0, 0};
	off_t place = (off_t)(128 * KB);

	INT(pwrite(s->file, at, 16 + draw(s, 2 * PAGE), place));
	INT(pread(s->file, back, sizeof back, place));
	VALUE(back[0]);
	VALUE(back[1]);
}

static void do_vm(struct series *s)
{
	uint64_t words[2] = {draw(s, ~UINT64_C(0)), 7};
	struct iovec here = {words, sizeof words}, there = {draw_word(s), sizeof words};

	if (draw(s, 2)) {
		INT(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
		remember(s, there.iov_base);
		remember(s, (char *)there.iov_base + 8);
	} else {
		INT(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
		VALUE(words[0]);
	}
}

/* Waits with a value that does not match and wakes nobody: the result shows the word's value. */
static void do_futex(struct series *s)
{
	static const struct timespec soon = {0, 1000};
	char *at = draw_word(s);
	int private = draw(s, 2) ? FUTEX_PRIVATE_FLAG : 0;

	/* On a page that cannot be written, a shared futex distinguishes the zero page from a file's page. */
	if (store(at, 0x7777777777777777) != 0)
		return;
	remember(s, at);
	INT(syscall(SYS_futex, at, FUTEX_WAIT | private, 0x77777777, &soon, NULL, 0));
	INT(syscall(SYS_futex, at, FUTEX_WAIT | private, 1, &soon, NULL, 0));
	INT(syscall(SYS_futex, at, FUTEX_WAKE | private, 1, NULL, NULL, 0));
}

/* Parent and child write, and do not see each other's stores. */
static void do_fork(struct series *s)
{
	char *at = draw_word(s);
	struct {
		uint64_t sum;
		int stored;
	} seen = {0, 0};
	int ends[2], status;
	pid_t child;

	if (pipe(ends) != 0)
		return;
	child = fork();
	if (child == 0) {
		seen.stored = store(at, 99);
		for (size_t i = 0; i < s->places; i++)
			seen.sum = seen.sum * 31 + peek(s->place[i]);
		for (size_t i = 24; i < 2 * SPAN; i += 97 * PAGE)
			seen.sum = seen.sum * 31 + peek(AT(i));
		_exit(write(ends[1], &seen, sizeof seen) != sizeof seen);
	}
	INT(store(at + 8, 98));
	remember(s, at);
	remember(s, at + 8);
	CHECK(read(ends[0], &seen, sizeof seen) == sizeof seen, "seed %lu: no report from the child", seed);
	close(ends[0]);
	close(ends[1]);
	CHECK(waitpid(child, &status, 0) == child && status == 0, "seed %lu: the child died: %#x", seed,
		status);
	VALUE(seen.sum);
	VALUE(seen.stored);
}

static const struct {
	const char *name;
	void (*make)(struct series *);
	unsigned weight;
} table[] = {
	{"store", do_store, 12},
	{"load", do_load, 6},
	{"munmap", do_unmap, 2},
	{"mmap", do_map, 2},
	{"mprotect", do_protect, 6},
	{"mremap", do_remap, 6},
	{"madvise", do_advise, 14},
	{"MADV_FREE", do_free, 2},
	{"fill", do_fill, 4},
	{"msync", do_sync, 2},
	{"read", do_read, 2},
	{"write", do_write, 2},
	{"process_vm", do_vm, 3},
	{"futex", do_futex, 2},
	{"fork", do_fork, 1},
};

static void make_call(struct series *s)
{
	unsigned sum = 0;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		sum += table[i].weight;
	sum = (unsigned)draw(s, sum);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (sum < table[i].weight) {
			describe(table[i].name);
			table[i].make(s);
			return;
		}
		sum -= table[i].weight;
	}
}

static void series(const struct calls *c)
{
	struct series s = {.c = c, .state = (seed + 1) * 2654435761u + 88172645463325252u};

	s.file = make_file(256 * KB, 0);
	fresh(c, AT(0), REGION);
	for (int i = 0; i < CALLS; i++) {
		make_call(&s);
		check_place(&s);
	}
	check_all_places();
	munlock(AT(0), 2 * SPAN);
	close(s.file);
}

void random_cases(uint64_t first, uint64_t count)
{
	char name[80];

	trace_calls(count == 1);
	for (seed = first; seed < first + count; seed++) {
		snprintf(name, sizeof name, "random calls (replay: window %lu 1)", seed);
		run_case(name, series);
	}
	trace_calls(false);
}
