/* Calls made twice, and compared; see twice.h. */
#include "twice.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- the two ways of calling --- */

static void *raw_map(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

static int raw_unmap(void *address, size_t length)
{
	return (int)syscall(SYS_munmap, address, length);
}

static void *raw_remap(void *address, size_t length, size_t new_length, int flags, void *target)
{
	return (void *)syscall(SYS_mremap, address, length, new_length, flags, target);
}

static int raw_protect(void *address, size_t length, int protection)
{
	return (int)syscall(SYS_mprotect, address, length, protection);
}

static int raw_advise(void *address, size_t length, int advice)
{
	return (int)syscall(SYS_madvise, address, length, advice);
}

static void *raw_attach(int id, const void *address, int flags)
{
	return (void *)syscall(SYS_shmat, id, address, flags);
}

static int raw_detach(const void *address)
{
	return (int)syscall(SYS_shmdt, address);
}

static void *named_remap(void *address, size_t length, size_t new_length, int flags, void *target)
{
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return mremap(address, length, new_length, flags, target);
	return mremap(address, length, new_length, flags);
}

static const struct calls raw = {
	raw_map, raw_unmap, raw_remap, raw_protect, raw_advise, raw_attach, raw_detach};
static const struct calls named = {mmap, munmap, named_remap, mprotect, madvise, shmat, shmdt};

/* --- what a case did --- */

#define MAPS_BYTES 16384

struct record {
	size_t steps;
	struct {
		long value; /* an address becomes its place in the arena, or far away */
		int error;
		int line;
	} step[STEPS];
	char maps[MAPS_BYTES]; /* the arena's lines of /proc/self/maps: place and permissions */
};

static struct record records[2];
static struct record *record;

void note(long value, int line)
{
	int error = errno;

	if (record->steps == STEPS) {
		CHECK(false, "too many steps in a case");
		return;
	}
	record->step[record->steps].value = value;
	record->step[record->steps].error = error;
	record->step[record->steps].line = line;
	record->steps++;
}

void *note_pointer(void *p, int line)
{
	long place = (long)((char *)p - ARENA);

	note(p == MAP_FAILED ? -1 : place >= 0 && place < (long)ARENA_BYTES ? place : (long)1 << 62, line);
	return p;
}

/* The arena's mappings as the kernel lists them. Adjacent ones may or may not have been merged: join them. */
static void note_maps(void)
{
	static char buffer[4 << 20]; /* a line for each piece of a window */
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0, used = 0;
	unsigned long last_end = 0;
	char last_mode[5] = "";
	ssize_t got;

	while (fd >= 0 && (got = read(fd, buffer + length, sizeof buffer - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	buffer[length] = '\0';
	record->maps[0] = '\0';
	for (char *line = strtok(buffer, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		unsigned long start, end;
		char mode[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || start < (unsigned long)ARENA ||
			start >= (unsigned long)ARENA + ARENA_BYTES)
			continue;
		if (start == last_end && strcmp(mode, last_mode) == 0 && used >= 13)
			used -= 13; /* over the end of the line before */
		else
			used += (size_t)snprintf(
				record->maps + used, MAPS_BYTES - used, "%s %012lx-", mode, start);
		used += (size_t)snprintf(record->maps + used, MAPS_BYTES - used, "%012lx\n", end);
		last_end = end;
		strcpy(last_mode, mode);
		if (used > MAPS_BYTES - 64)
			break;
	}
}

void run_case(const char *name, void (*body)(const struct calls *))
{
	for (int way = 0; way < 2; way++) {
		record = &records[way];
		record->steps = 0;
		body(way ? &named : &raw);
		note_maps();
		raw_unmap(ARENA, ARENA_BYTES);
	}
	CHECK(records[0].steps == records[1].steps, "%s: %zu steps, expected %zu", name, records[1].steps,
		records[0].steps);
	for (size_t i = 0; i < records[0].steps && i < records[1].steps; i++) {
		CHECK(records[0].step[i].value == records[1].step[i].value &&
				records[0].step[i].error == records[1].step[i].error,
			"%s, step %zu at line %d: gave %#lx with errno %d, expected %#lx with errno %d", name,
			i, records[1].step[i].line, records[1].step[i].value, records[1].step[i].error,
			records[0].step[i].value, records[0].step[i].error);
	}
	CHECK(strcmp(records[0].maps, records[1].maps) == 0, "%s: mappings are\n%sexpected\n%s", name,
		records[1].maps, records[0].maps);
}
