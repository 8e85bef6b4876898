/* Operations of the mmap family, made in both ways. */
#include "mapping_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
static bool is_fixed_area(const struct worker *worker, const struct area *area)
{
	return area < &worker->pairs->area[FIXED];
}

/* --- mmap --- */

struct kind {
	int flags, protection, source; /* source: 0 none, 1 the file, 2 /dev/zero */
	off_t offset;
};

static struct kind kind_of(const struct record *record, size_t *length)
{
	static const int protections[] = {RW, RW, RW, RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC,
		PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC};
	struct kind kind = {MAP_PRIVATE | MAP_ANONYMOUS, protections[record->y % 11], 0, 0};

	switch (record->b & 15) {
	case 0:
		kind.flags = MAP_SHARED | MAP_ANONYMOUS;
		break;
	case 1:
	case 2:
		kind.flags = record->b & 1 ? MAP_SHARED : MAP_PRIVATE;
		kind.source = 1;
		kind.offset = (off_t)((record->y >> 8 & 2047) * PAGE);
		break;
	case 3:
	case 4:
		kind.flags = record->b & 1 ? MAP_PRIVATE : MAP_SHARED;
		kind.source = 2;
		break;
	case 5:
		kind.flags |= MAP_NORESERVE;
		break;
	case 6:
		kind.flags |= MAP_POPULATE;
		break;
	case 7:
		kind.flags |= MAP_STACK;
		break;
	case 8:
		kind.flags |= record->y >> 8 & 1 ? MAP_GROWSDOWN : 0;
		break;
	case 9:
		kind.flags |= record->y >> 8 & 1 ? MAP_LOCKED : 0;
		break;
	case 10:
		kind.flags |= record->y >> 8 & 3 ? 0 : MAP_HUGETLB;
		break;
	default:
		break;
	}
	if (kind.flags & (MAP_POPULATE | MAP_LOCKED) && *length > 2 * MB)
		*length = 2 * MB;
	return kind;
}

static int source_of(const struct worker *worker, const struct kind *kind, int side, int zero)
{
	return kind->source == 0 ? -1 : kind->source == 1 ? worker->pairs->file[side] : zero;
}

/* Lets the kernel choose the address. */
static void map_anywhere(struct worker *worker, const struct record *record, struct area *area)
{
	size_t length = size_of(record->s, record->x);
	struct kind kind = kind_of(record, &length);
	int zero = kind.source == 2 ? open("/dev/zero", O_RDWR | O_CLOEXEC) : -1;
	struct part part = {area, 0, length};
	void *at;
	int error;
	long twin;

	forget_area(worker, area);
	errno = UNTOUCHED;
	at = mmap(NULL, length, kind.protection, kind.flags, source_of(worker, &kind, 0, zero), kind.offset);
	error = errno;
	trace(worker, "mmap(NULL, %#zx, %d, %#x, %d) = %p, errno %d", length, kind.protection, kind.flags,
		kind.source, at, error);
	if (was_refused(length, (long)at, error)) {
		close(zero);
		return;
	}
	errno = UNTOUCHED;
	twin = raw_map(
		NULL, length, kind.protection, kind.flags, source_of(worker, &kind, 1, zero), kind.offset);
	if (zero >= 0)
		syscall(SYS_close, zero);
	if (kind.flags & MAP_HUGETLB && (at == MAP_FAILED) != (twin == -1)) {
		syscall(SYS_munmap, at == MAP_FAILED ? (void *)twin : at, length);
		return;
	}
	if ((at == MAP_FAILED) != (twin == -1) || error != (twin == -1 ? errno : UNTOUCHED))
		fail(worker, "mmap of %#zx gave %p with errno %d, expected %#lx with errno %d", length, at,
			error, twin, errno);
	if (at == MAP_FAILED)
		return;
	area->a = at;
	area->b = (char *)twin;
	area->span = (length + PAGE - 1) & ~(PAGE - 1);
	area->grain = 2 * MB;
	compare_part(worker, &part);
}

void do_map(struct worker *worker, const struct record *record)
{
	static const int hows[] = {MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE};
	struct part part = part_of(worker, record, 8 * GB);
	struct area *area = part.area;
	int how = hows[record->t & 3], zero = -1;
	struct kind kind = kind_of(record, &part.length);

	if (!is_fixed_area(worker, area) && (area->a == NULL || record->t & 4)) {
		map_anywhere(worker, record, area);
		return;
	}
	/* Whether huge pages fit would depend on the address. */
	if (!is_fixed_area(worker, area))
		kind.flags &= ~MAP_HUGETLB;
	/* Without MAP_FIXED a free address is a hint, which both calls follow or neither. */
	if (kind.source == 2)
		zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	errno = UNTOUCHED;
	char *first = mmap(area->a + part.offset, part.length, kind.protection, kind.flags | how,
		source_of(worker, &kind, 0, zero), kind.offset);
	int error = errno;
	trace(worker, "mmap(%p, %#zx, %d, %#x, %d) = %p, errno %d", (void *)(area->a + part.offset),
		part.length, kind.protection, kind.flags | how, kind.source, (void *)first, error);
	if (!was_refused(part.length, first == MAP_FAILED ? -1 : 0, error)) {
		errno = UNTOUCHED;
		long twin = raw_map(area->b + part.offset, part.length, kind.protection, kind.flags | how,
			source_of(worker, &kind, 1, zero), kind.offset);
		int twin_error = errno;
		if (kind.flags & MAP_HUGETLB && (first == MAP_FAILED) != (twin == -1))
			incomparable(worker, area);
		else
			compare_results(worker, &part, first == MAP_FAILED ? -1 : first - area->a, error,
				twin == -1 ? -1 : (char *)twin - area->b, twin_error);
	} else if (kind.flags & MAP_HUGETLB) {
		/* The kernel's own failure unmaps what was there. */
		incomparable(worker, area);
	} else {
		compare_part(worker, &part);
	}
	if (zero >= 0)
		syscall(SYS_close, zero);
}

void do_unmap(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, 16 * GB);

	/*
	 * Mappings at addresses that the kernel chose are unmapped as a whole: another thread could get the
	 * hole.
	 */
	if (!is_fixed_area(worker, part.area)) {
		forget_area(worker, part.area);
		return;
	}
	BOTH(munmap(part.area->a + part.offset, part.length),
		syscall(SYS_munmap, part.area->b + part.offset, part.length));
	trace(worker, "munmap(%p, %#zx) = %ld, errno %d", (void *)(part.area->a + part.offset), part.length,
		a, a_error);
	compare_results(worker, &part, a, a_error, b, b_error);
}

void do_protect(struct worker *worker, const struct record *record)
{
	static const int protections[] = {
		RW, RW, RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC, PROT_WRITE, 0x100};
	struct part part = part_of(worker, record, 16 * GB);
	int protection = protections[record->b % 9], error;
	long result;

	if (part.area->a == NULL)
		return;
	errno = UNTOUCHED;
	result = mprotect(part.area->a + part.offset, part.length, protection);
	error = errno;
	trace(worker, "mprotect(%p, %#zx, %d) = %ld, errno %d", (void *)(part.area->a + part.offset),
		part.length, protection, result, error);
	if (was_refused(part.length, result, error)) {
		/* At a hole the call stops half way. */
		if (has_hole(&part))
			incomparable(worker, part.area);
		else
			compare_part(worker, &part);
		return;
	}
	errno = UNTOUCHED;
	long twin = syscall(SYS_mprotect, part.area->b + part.offset, part.length, protection);
	compare_results(worker, &part, result, error, twin, errno);
}

/* --- contents --- */

void do_store(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, PAGE);
	unsigned count = 1 + record->b % 4;
	size_t at = (part.offset & ~(PAGE - 1)) + record->y % PAGE / 8 * 8;

	if (part.area->a == NULL)
		return;
	for (unsigned i = 0; i < count && at + 8 <= part.area->span; i++, at += PAGE) {
		uint64_t value = (uint64_t)record->y << 32 | record->x | 1;
		int b = store(part.area->b + at, value), a = store(part.area->a + at, value);

		trace(worker, "store at %p: signal %d", (void *)(part.area->a + at), a);
		if (a != b)
			fail(worker, "a store to %p got signal %d, expected %d", (void *)(part.area->a + at),
				a, b);
		if (a == 0)
			remember(part.area, at);
		compare_at(worker, part.area, at);
	}
}

/* Both must fault at the same page, and be equal up to there and beyond. */
void do_clear(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, MB);
	char *a = part.area->a + part.offset, *b = part.area->b + part.offset;
	size_t a_page, b_page;
	int a_signal, b_signal;

	if (part.area->a == NULL || part.length == 0)
		return;
	b_signal = clear(CLEAR_BY_STORES, b, part.length, &b_page);
	a_signal = clear(record->b % CLEAR_NAMES, a, part.length, &a_page);
	trace(worker, "clear %p, %#zx: signal %d in page %zu", (void *)a, part.length, a_signal, a_page);
	if (a_signal != b_signal || a_page != b_page)
		fail(worker, "clearing %p, %#zx got signal %d in page %zu, expected %d in page %zu",
			(void *)a, part.length, a_signal, a_page, b_signal, b_page);
	compare_part(worker, &part);
	/* Whole pages that are readable on both sides. */
	for (size_t at = part.offset & ~(size_t)7; at < part.offset + part.length; at += 512 + 8)
		compare_at(worker, part.area, at);
}

void do_load(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, PAGE);

	if (part.area->a != NULL)
		compare_at(worker, part.area, (part.offset & ~(PAGE - 1)) + record->y % PAGE);
	compare_part(worker, &part);
}
