/* mremap and System V shared memory, made in both ways; and what the kernel lists of both. */
#include "mapping_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void *named_remap(void *address, size_t length, size_t new_length, int flags, void *target)
{
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return mremap(address, length, new_length, flags, target);
	return mremap(address, length, new_length, flags);
}

/* A mapping that the kernel placed, as a whole, to wherever the kernel likes. */
static void remap_anywhere(struct worker *worker, const struct record *record, struct area *area)
{
	size_t length = size_of(record->t, record->y);
	struct part part = {area, 0, area->span < length ? area->span : length};
	char *moved;
	long twin;
	int error;

	syscall(SYS_munlock, area->a, area->span);
	syscall(SYS_munlock, area->b, area->span);
	errno = UNTOUCHED;
	moved = named_remap(area->a, area->span, length, MREMAP_MAYMOVE, NULL);
	error = errno;
	trace(worker, "mremap(%p, %#zx, %#zx, MAYMOVE) = %p, errno %d", (void *)area->a, area->span, length,
		(void *)moved, error);
	if (was_refused(length, moved == MAP_FAILED ? -1 : 0, error)) {
		pairs_check(worker);
		return;
	}
	errno = UNTOUCHED;
	twin = raw_remap(area->b, area->span, length, MREMAP_MAYMOVE, NULL);
	if ((moved == MAP_FAILED && error == EFAULT) != (twin == -1 && errno == EFAULT)) {
		/* Several mappings in the one place, which in the other were merged. */
		if (moved != MAP_FAILED)
			munmap(moved, length);
		else
			munmap(area->a, area->span);
		syscall(SYS_munmap, twin != -1 ? (void *)twin : area->b, twin != -1 ? length : area->span);
		area->a = area->b = NULL;
		area->places = area->next = 0;
		pairs_count_incomparable(worker);
		return;
	}
	if ((moved == MAP_FAILED) != (twin == -1) || error != (twin == -1 ? errno : UNTOUCHED))
		fail(worker, "mremap from %#zx to %#zx gave %p with errno %d, expected %#lx with errno %d",
			area->span, length, (void *)moved, error, twin, errno);
	if (moved == MAP_FAILED)
		return;
	area->a = moved;
	area->b = (char *)twin;
	area->span = (length + PAGE - 1) & ~(PAGE - 1);
	forget_places(area);
	compare_part(worker, &part);
	for (unsigned i = 0; i < area->places; i++)
		compare_at(worker, area, area->place[i]);
}

void do_remap(struct worker *worker, const struct record *record)
{
	static const int kinds[] = {0, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_DONTUNMAP, 8, 0,
		MREMAP_MAYMOVE | MREMAP_FIXED, 0};
	const struct record other = {.a = record->a, .s = record->t, .x = record->y};
	struct part part = part_of(worker, record, 8 * GB), to = part_of(worker, &other, 8 * GB);
	struct area *area = part.area;
	int flags = kinds[record->b % 10], error;
	size_t new_length = record->b & 64 ? part.length : to.length;
	char *result;
	long twin;

	if (area->a == NULL)
		return;
	if (area >= &worker->pairs->area[FIXED]) {
		remap_anywhere(worker, record, area);
		return;
	}
	if (record->b >> 4 == 0)
		part.length = 0;
	if (flags & MREMAP_FIXED ? to.offset + new_length > area->span
				 : part.offset + new_length > area->span)
		new_length = 0;
	/* What is locked is filled as it grows; what was locked and stays behind, the kernel unlocks without
	 * merging it with its neighbours. */
	if (flags & MREMAP_DONTUNMAP || new_length > MB) {
		syscall(SYS_munlock, area->a + part.offset, part.length);
		syscall(SYS_munlock, area->b + part.offset, part.length);
	}
	errno = UNTOUCHED;
	result = named_remap(area->a + part.offset, part.length, new_length, flags, area->a + to.offset);
	error = errno;
	trace(worker, "mremap(%p, %#zx, %#zx, %d, %p) = %p, errno %d", (void *)(area->a + part.offset),
		part.length, new_length, flags, (void *)(area->a + to.offset), (void *)result, error);
	if (was_refused(new_length, result == MAP_FAILED ? -1 : 0, error)) {
		/* Room for it, or none: then perhaps what lay at the target has gone. */
		compare_part(worker, &part);
		if (flags & MREMAP_FIXED)
			incomparable(worker, area);
		return;
	}
	errno = UNTOUCHED;
	twin = raw_remap(area->b + part.offset, part.length, new_length, flags, area->b + to.offset);
	if (twin == -1 && errno == EFAULT && error != EFAULT) {
		incomparable(worker, area);
		return;
	}
	to.length = new_length;
	if (!compare_results(worker, &part, result == MAP_FAILED ? -1 : result - area->a, error,
		    twin == -1 ? -1 : (char *)twin - area->b, errno))
		return;
	compare_part(worker, &to);
	for (unsigned i = 0, places = area->places; i < places; i++)
		if (area->place[i] >= part.offset && area->place[i] < part.offset + part.length) {
			remember(area, area->place[i] - part.offset + (size_t)(result - area->a));
			compare_at(worker, area, area->place[i] - part.offset + (size_t)(result - area->a));
		}
}

/* Segments are marked to go with their last user at once. */
void do_attach(struct worker *worker, const struct record *record)
{
	static const int flags[] = {
		0, SHM_RDONLY, SHM_REMAP, SHM_REMAP, SHM_RND | SHM_REMAP, SHM_REMAP | SHM_EXEC};
	struct part part = part_of(worker, record, 4 * MB);
	int flag = flags[record->b % 6], error, ids[2];
	void *result;
	long twin;

	if (part.area >= &worker->pairs->area[FIXED] || part.length == 0)
		return;
	for (int i = 0; i < 2; i++)
		ids[i] = shmget(IPC_PRIVATE, part.length, IPC_CREAT | 0600);
	if (ids[0] < 0 || ids[1] < 0)
		goto out;
	errno = UNTOUCHED;
	result = shmat(ids[0], part.area->a + part.offset, flag);
	error = errno;
	trace(worker, "shmat(%p of %#zx, %#x) = %p, errno %d", (void *)(part.area->a + part.offset),
		part.length, flag, result, error);
	if (was_refused(part.length, (long)result, error))
		goto out;
	errno = UNTOUCHED;
	twin = syscall(SYS_shmat, ids[1], part.area->b + part.offset, flag);
	compare_results(worker, &part, result == (void *)-1 ? -1 : (char *)result - part.area->a, error,
		twin == -1 ? -1 : (char *)twin - part.area->b, errno);
	remember(part.area, part.offset);
out:
	for (int i = 0; i < 2; i++)
		if (ids[i] >= 0)
			shmctl(ids[i], IPC_RMID, NULL);
}

void do_detach(struct worker *worker, const struct record *record)
{
	struct part part = part_of(worker, record, 4 * MB);
	int error;
	long result, twin;

	if (part.area >= &worker->pairs->area[FIXED])
		return;
	if (part.area->places != 0 && record->b & 1)
		part.offset = part.area->place[record->y % part.area->places] & ~(PAGE - 1);
	errno = UNTOUCHED;
	result = shmdt(part.area->a + part.offset);
	error = errno;
	errno = UNTOUCHED;
	twin = syscall(SYS_shmdt, part.area->b + part.offset);
	trace(worker, "shmdt(%p) = %ld, errno %d", (void *)(part.area->a + part.offset), result, error);
	compare_results(worker, &part, result, error, twin, errno);
}

/* --- what the kernel lists --- */

/* Mappings of [start, +span): where each mode begins and ends; adjacent ones of one mode are joined. */
static void list_modes(char *maps, uint64_t start, size_t span, char *text, size_t size)
{
	uint64_t last = 0, from, to;
	char mode[5], last_mode[5] = "";
	size_t used = 0;

	text[0] = '\0';
	for (char *line = maps; line != NULL && *line != '\0' && used + 64 < size;
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || from < start ||
			from >= start + span)
			continue;
		if (from == last && strcmp(mode, last_mode) == 0)
			used -= 12;
		else
			used += (size_t)snprintf(text + used, size - used, "%s %011lx-", mode, from - start);
		used += (size_t)snprintf(text + used, size - used, "%011lx\n", to - start);
		last = to;
		strcpy(last_mode, mode);
	}
}

void do_compare_maps(struct worker *worker, const struct record *record)
{
	static __thread char maps[4 * MB], a[16 * KB], b[16 * KB];
	struct area *area = &worker->pairs->area[record->a % FIXED];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	while (fd >= 0 && length < sizeof maps - 1 &&
		(got = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
		length += (size_t)got;
	syscall(SYS_close, fd);
	maps[length] = '\0';
	if (length == sizeof maps - 1)
		return;
	list_modes(maps, (uint64_t)area->a, area->span, a, sizeof a);
	list_modes(maps, (uint64_t)area->b, area->span, b, sizeof b);
	if (strcmp(a, b) != 0)
		fail(worker, "the mappings of area %d differ:\n%sexpected\n%s", record->a % FIXED, a, b);
}
