/* What the probes of shared memory have in common. A failure to set up a test ends the program with status 1.
 */
#ifndef LZ_PROBE_SHARED_H
#define LZ_PROBE_SHARED_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
#define BLOCK (2 * MIB)
#define PAGE ((size_t)4096)

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void pause_ms(unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&time, &time) != 0)
		;
}

static inline char *map_shared(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

/* A value of the process, or of the mapping at an address, in KiB. */
static inline long value_of(const char *path, uintptr_t at, const char *name)
{
	FILE *file = fopen(path, "r");
	bool found = at == 0;
	uintptr_t start, end;
	char line[512];
	long value = -1;

	if (file == NULL)
		die(path);
	while (fgets(line, sizeof line, file) != NULL) {
		if (at != 0 && sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			found = at >= start && at < end;
		if (found && strncmp(line, name, strlen(name)) == 0) {
			value = atol(line + strlen(name));
			break;
		}
	}
	fclose(file);
	return value;
}

/* MiB of [at, at + bytes) that are mapped by PMD entries, once every page of it was read. */
static inline long huge_mib(char *at, size_t bytes)
{
	volatile char sum = 0;

	for (size_t i = 0; i < bytes; i += PAGE)
		sum = (char)(sum + at[i]);
	return value_of("/proc/self/smaps", (uintptr_t)at, "ShmemPmdMapped:") / 1024;
}

/* Writes another value in each page. */
static inline void fill(char *at, size_t bytes, size_t step)
{
	for (size_t i = 0; i < bytes; i += step)
		at[i] = (char)(1 + i / PAGE % 100);
}

/* Ends the program if a page has another value than fill gave it. */
static inline void check(char *at, size_t bytes, size_t step)
{
	for (size_t i = 0; i < bytes; i += step)
		if (at[i] != (char)(1 + i / PAGE % 100)) {
			printf("page %zu has %d\n", i / PAGE, at[i]);
			exit(1);
		}
}

static inline const char *outcome(bool failed)
{
	return failed ? strerrorname_np(errno) : "done";
}

#endif
