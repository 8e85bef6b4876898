/* Calls made twice, and compared; see raw_comparison.h. */
#include "raw_comparison.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

static int raw_residence(void *address, size_t length, unsigned char *pages)
{
	return (int)syscall(SYS_mincore, address, length, pages);
}

static int raw_control(int fd, unsigned long request, void *argument)
{
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

static int named_control(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

static void *named_remap(void *address, size_t length, size_t new_length, int flags, void *target)
{
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return mremap(address, length, new_length, flags, target);
	return mremap(address, length, new_length, flags);
}

static const struct calls raw = {raw_map, raw_unmap, raw_remap, raw_protect, raw_advise, raw_attach,
	raw_detach, raw_residence, raw_control};
static const struct calls named = {
	mmap, munmap, named_remap, mprotect, madvise, shmat, shmdt, mincore, named_control};

bool is_named(const struct calls *c)
{
	return c == &named;
}

/* --- what a case did --- */

#define MAPS_BYTES 16384

struct record {
	size_t steps;
	struct {
		long value; /* an address becomes its place in the arena, or far away */
		int error;
		int line;
		const char *what;
	} step[STEPS];
	char maps[MAPS_BYTES]; /* the arena's lines of /proc/self/maps: place and permissions */
};

static struct record records[2];
static struct record *record;
static const char *described = "";
static bool traced, with_flags;

void describe(const char *what)
{
	described = what;
}

void trace_calls(bool on)
{
	traced = on;
}

void trace(const char *format, ...)
{
	va_list arguments;

	if (!traced)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

void compare_flags(bool on)
{
	with_flags = on;
}

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
	record->step[record->steps].what = described;
	if (traced)
		fprintf(stderr, "%s %zu: %s, line %d: %#lx, errno %d\n",
			record == records ? "plain" : "window", record->steps, described, line,
			(unsigned long)value, error);
	record->steps++;
}

void note_value(long value, int line)
{
	errno = 0;
	note(value, line);
}

void *note_pointer(void *p, int line)
{
	long place = (long)((char *)p - ARENA);

	note(p == MAP_FAILED ? -1 : place >= 0 && place < (long)ARENA_BYTES ? place : (long)1 << 62, line);
	return p;
}

/* What the kernel lists of the process's mappings. */
static char *read_maps(const char *path)
{
	static char buffer[8 << 20]; /* a line for each piece of a window */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	while (fd >= 0 && (got = read(fd, buffer + length, sizeof buffer - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	buffer[length] = '\0';
	return buffer;
}

/* A mapping of the arena. Adjacent ones of one mode may or may not have been merged: join them. */
static void note_map(unsigned long start, unsigned long end, const char *mode)
{
	static unsigned long last_end;
	static char last_mode[64];
	static size_t used;
	size_t joined = 13; /* over the end of the line before */

	if (start == 0) {
		last_end = 0;
		used = 0;
		return;
	}
	if (used > MAPS_BYTES - 128)
		return;
	if (start == last_end && strcmp(mode, last_mode) == 0)
		used -= joined;
	else
		used += (size_t)snprintf(record->maps + used, MAPS_BYTES - used, "%s %012lx-", mode, start);
	used += (size_t)snprintf(record->maps + used, MAPS_BYTES - used, "%012lx\n", end);
	last_end = end;
	strcpy(last_mode, mode);
}

/*
 * Of a line of flags, those that a program asks for: fork, dump, lock, merge, order, huge pages. Not wf: what
 * is wiped on fork is recorded by the library where the kernel has no such flag; children say whether it was.
 */
static void asked_flags(const char *line, char *mode)
{
	static const char wanted[] = " dc dd lo mg sr rr hg ";

	for (const char *at = line; at[0] != '\0' && at[1] != '\0'; at++) {
		const char flag[] = {' ', at[0], at[1], ' ', '\0'};

		if (at[-1] == ' ' && (at[2] == ' ' || at[2] == '\0') && strstr(wanted, flag) != NULL)
			strcat(strcat(mode, "+"), (const char[]){at[0], at[1], '\0'});
	}
}

/* The arena's mappings. */
static void note_maps(void)
{
	unsigned long start, end, at = 0, to = 0;
	char mode[64] = "", permissions[5];

	record->maps[0] = '\0';
	note_map(0, 0, "");
	for (char *line = strtok(read_maps(with_flags ? "/proc/self/smaps" : "/proc/self/maps"), "\n");
		line != NULL; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3) {
			at = start;
			to = end;
			strcpy(mode, permissions);
			if (with_flags)
				continue;
		} else if (strncmp(line, "VmFlags: ", 9) == 0) {
			asked_flags(line + 9, mode);
		} else {
			continue;
		}
		if (at >= (unsigned long)ARENA && at < (unsigned long)ARENA + ARENA_BYTES)
			note_map(at, to, mode);
	}
}

/*
 * Whether mremap failed on plain memory alone because the kernel did not join mappings that are alike in all
 * that a program sees (pages that were moved there keep the place they had): then what follows cannot be
 * compared.
 */
static bool is_merge_luck(size_t i)
{
	return strcmp(records[0].step[i].what, "mremap") == 0 && records[0].step[i].error == EFAULT &&
	       records[1].step[i].error != EFAULT;
}

void run_case(const char *name, void (*body)(const struct calls *))
{
	for (int way = 0; way < 2; way++) {
		const struct calls *c = way ? &named : &raw;

		record = &records[way];
		record->steps = 0;
		described = "";
		body(c);
		note_maps();
		c->unmap(ARENA, ARENA_BYTES);
	}
	for (size_t i = 0; i < records[0].steps && i < records[1].steps; i++) {
		if (is_merge_luck(i))
			return;
		if (!CHECK(records[0].step[i].value == records[1].step[i].value &&
				    records[0].step[i].error == records[1].step[i].error,
			    "%s, step %zu at line %d%s%s: gave %#lx with errno %d, expected %#lx with errno "
			    "%d",
			    name, i, records[1].step[i].line, *records[1].step[i].what ? ", " : "",
			    records[1].step[i].what, records[1].step[i].value, records[1].step[i].error,
			    records[0].step[i].value, records[0].step[i].error) &&
			with_flags)
			break; /* what follows, follows from it */
	}
	CHECK(records[0].steps == records[1].steps, "%s: %zu steps, expected %zu", name, records[1].steps,
		records[0].steps);
	if (!CHECK(strcmp(records[0].maps, records[1].maps) == 0, "%s: the mappings differ", name))
		fprintf(stderr, "%sexpected\n%s", records[1].maps, records[0].maps);
}
