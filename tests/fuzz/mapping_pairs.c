/*
 * Mappings that stand twice: what is done to one through the C library's names is done to the other by raw
 * system calls, and whatever can be seen of both must be equal: results, errno, contents, which addresses can
 * be read, and the modes the kernel lists. The kernel is so its own model, whatever its version.
 *
 * Where plain memory has no certain answer (whether two mappings were merged; a huge page that was to be had
 * or not) both are thrown away and begun anew; how often is counted.
 */
#include "mapping_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Far from anything the C library or the kernel chooses by itself; twins lie alike in all their tables. */
#define FIRST UINT64_C(0x200000000000)
#define PER_THREAD ((uint64_t)1 << 40)
#define TWIN ((uint64_t)1 << 39)
#define APART ((uint64_t)1 << 36)

static struct pairs all[THREADS_MAX];

long raw_map(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

long raw_remap(void *address, size_t length, size_t new_length, int flags, void *target)
{
	return syscall(SYS_mremap, address, length, new_length, flags, target);
}

/* A file for each side: what is written to a shared mapping must not be seen in the other. */
static int new_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char page[64] = "what the file holds";

	if (fd < 0 || ftruncate(fd, 8 * MB + 5000) != 0)
		return -1;
	for (off_t at = 0; at < 8 << 20; at += 64 << 10)
		if (pwrite(fd, page, sizeof page, at) < 0)
			return -1;
	return fd;
}

struct pairs *pairs_new(unsigned thread)
{
	static const struct {
		size_t span, grain;
	} kinds[FIXED] = {{24 * MB, 2 * MB}, {512 * MB, 64 * MB}, {16 * GB, 512 * MB}};
	struct pairs *pairs = &all[thread];
	bool again = pairs->state != 0;

	pairs->thread = thread;
	pairs->state = 0x9e3779b97f4a7c15 + thread;
	if (!again) {
		pairs->file[0] = new_file();
		pairs->file[1] = new_file();
	}
	memset(pairs->area, 0, sizeof pairs->area);
	for (unsigned i = 0; i < FIXED; i++) {
		struct area *area = &pairs->area[i];

		area->span = kinds[i].span;
		area->grain = kinds[i].grain;
		area->a = (char *)(FIRST + thread * PER_THREAD + i * APART);
		area->b = area->a + TWIN;
	}
	return pairs;
}

/* --- comparing --- */

void remember(struct area *area, size_t offset)
{
	if (offset + 8 > area->span)
		return;
	area->place[area->next++ % PLACES] = offset & ~(size_t)7;
	if (area->places < PLACES)
		area->places++;
}

void forget_places(struct area *area)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < area->places; i++)
		if (area->place[i] + 8 <= area->span)
			area->place[kept++] = area->place[i];
	area->places = area->next = kept;
}

void compare_at(struct worker *worker, const struct area *area, size_t offset)
{
	uint64_t a, b;
	int a_signal, b_signal;

	if (area->a == NULL || offset > area->span - 8)
		return;
	offset &= ~(size_t)7;
	b_signal = load(area->b + offset, &b);
	a_signal = load(area->a + offset, &a);
	if (a_signal != b_signal || a != b)
		fail(worker, "area %d, at %#zx (%p): %#lx, signal %d; expected %#lx, signal %d",
			(int)(area - worker->pairs->area), offset, (void *)(area->a + offset), a, a_signal, b,
			b_signal);
}

/* The edges of what was called for, their neighbours, and a few places. */
void compare_part(struct worker *worker, const struct part *part)
{
	struct area *area = part->area;
	size_t end = part->offset + part->length;

	if (area->a == NULL)
		return;
	compare_at(worker, area, part->offset);
	if (part->offset >= 8)
		compare_at(worker, area, part->offset - 8);
	if (end >= 8)
		compare_at(worker, area, end - 8);
	compare_at(worker, area, end);
	for (int i = 0; i < 3 && area->places != 0; i++)
		compare_at(worker, area, area->place[draw(&worker->pairs->state, area->places)]);
}

void pairs_check(struct worker *worker)
{
	for (unsigned i = 0; i < AREAS; i++) {
		struct area *area = &worker->pairs->area[i];

		for (unsigned k = 0; k < area->places && area->a != NULL; k++)
			compare_at(worker, area, area->place[k]);
	}
}

void pairs_store_all(struct worker *worker, uint64_t value)
{
	for (unsigned i = 0; i < AREAS; i++) {
		struct area *area = &worker->pairs->area[i];
		size_t at;

		if (area->places == 0 || area->a == NULL)
			continue;
		at = area->place[value % area->places];
		if (store(area->a + at, value) != store(area->b + at, value))
			fail(worker, "area %u can be stored to at %#zx in one way only", i, at);
	}
}

void forget_area(struct worker *worker, struct area *area)
{
	if (area->a == NULL)
		return;
	if (munmap(area->a, area->span) != 0 || syscall(SYS_munmap, area->b, area->span) != 0)
		fail(worker, "area at %p of %#zx cannot be unmapped: %d", (void *)area->a, area->span, errno);
	area->places = area->next = 0;
	if (area >= &worker->pairs->area[FIXED])
		area->a = area->b = NULL;
}

void incomparable(struct worker *worker, struct area *area)
{
	trace(worker, "no certain answer: begun anew");
	pairs_count_incomparable(worker);
	forget_area(worker, area);
}

void pairs_end(struct worker *worker)
{
	for (unsigned i = 0; i < AREAS; i++)
		forget_area(worker, &worker->pairs->area[i]);
}

bool was_refused(size_t bytes, long result, int error)
{
	return result == -1 && error == ENOMEM && may_be_refused(bytes);
}

bool has_hole(const struct part *part)
{
	static __thread unsigned char pages[2 * MB / PAGE];

	for (size_t at = 0; at < part->length; at += sizeof pages * PAGE) {
		size_t length =
			part->length - at < sizeof pages * PAGE ? part->length - at : sizeof pages * PAGE;

		if (syscall(SYS_mincore, part->area->b + part->offset + at, length, pages) != 0)
			return true;
	}
	return false;
}

bool compare_results(struct worker *worker, const struct part *part, long a, int a_error, long b, int b_error)
{
	if (a != b || a_error != b_error)
		fail(worker,
			"area %d, [%#zx, +%#zx) at %p: gave %#lx with errno %d, expected %#lx with errno %d",
			(int)(part->area - worker->pairs->area), part->offset, part->length,
			(void *)(part->area->a + part->offset), a, a_error, b, b_error);
	compare_part(worker, part);
	return a != -1;
}

/* --- which part --- */

/*
 * Addresses and lengths of pages, blocks of 64 KiB, of 2 MiB or the area's grain; now and then crooked.
 * record->x tells the place, record->s the length.
 */
struct part part_of(struct worker *worker, const struct record *record, size_t most)
{
	struct area *area = &worker->pairs->area[record->a % AREAS];
	size_t grains[] = {PAGE, 64 * KB, 2 * MB, area->grain}, unit = grains[record->x & 3];
	struct part part = {.area = area};

	if (area->a == NULL)
		return part;
	if (area->span < unit)
		unit = PAGE;
	part.offset = (record->x >> 8) % (area->span / unit + 1) * unit;
	unit = grains[record->s & 3];
	part.length = (record->s >> 2 & 15) * unit + (record->s >> 6 & 7) * PAGE;
	if (record->s >> 9 == 0)
		part.offset += 8;
	if (record->s >> 9 == 1 && part.length > 8)
		part.length -= 5;
	if (part.offset > area->span)
		part.offset = area->span & ~(PAGE - 1);
	if (part.length > most)
		part.length = most & ~(PAGE - 1);
	if (part.length > area->span - part.offset)
		part.length = area->span - part.offset;
	return part;
}
