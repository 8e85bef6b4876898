/*
 * What a registration cache (UCX, libfabric) needs. It registers a block with a device, which then uses its
 * pages, and watches for calls that unmap, move or drop them (syscall_wrapper.c). It must see a call no later
 * than when the pages of a freed block go; until then, a block at the same address has the same pages.
 *
 *   registration_cache drop|trim|grow|shrink|reuse
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syscall_wrapper.h"

#define MIB ((size_t)1 << 20)
#define LENGTH (64 * MIB)

static int fail(const char *what)
{
	printf("FAILED: %s\n", what);
	return 1;
}

/*
 * The physical page behind an address; 0 if there is none, or it cannot be read (/proc/self/pagemap, root).
 */
static uint64_t page_at(const void *address)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)address / 4096 * 8)) != sizeof entry)
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & ((UINT64_C(1) << 55) - 1) : 0;
}

static int reuse(char *p)
{
	uint64_t pages[16];
	unsigned stayed = 0;
	char *q;

	memset(p, 1, LENGTH);
	for (size_t i = 0; i < 16; i++)
		pages[i] = page_at(p + i * 4 * MIB);
	if (pages[0] == 0) {
		printf("skipped: /proc/self/pagemap does not give page numbers\n");
		return 77;
	}
	wrapper_register(p, LENGTH);
	for (int round = 0; round < 10; round++) {
		free(p);
		q = calloc(1, LENGTH);
		if (q == NULL || q[0] + q[LENGTH - 1] != 0)
			return fail("calloc is not zero");
		q[0] = 1;
		if (wrapper_registered())
			for (size_t i = 0; q == p && i < 16; i++, stayed++)
				if (page_at(q + i * 4 * MIB) != pages[i])
					return fail("a registration is left, and the pages are other ones");
		/*
		 * If the block is elsewhere, the first one is cached or unmapped; a cached one may stay
		 * registered.
		 */
		p = q;
		if (!wrapper_registered()) {
			memset(p, 1, LENGTH);
			for (size_t i = 0; i < 16; i++)
				pages[i] = page_at(p + i * 4 * MIB);
			wrapper_register(p, LENGTH);
		}
	}
	printf("pages seen to stay: %u\n", stayed);
	free(p);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char *p = calloc(1, LENGTH), *q = NULL;

	if (wrapper_register == NULL || p == NULL)
		return fail("syscall_wrapper.so is not preloaded");
	if (strcmp(what, "reuse") == 0)
		return reuse(p);
	p[MIB] = p[LENGTH - 1] = 1;
	wrapper_register(p, LENGTH);
	if (strcmp(what, "drop") == 0 || strcmp(what, "trim") == 0) {
		free(p);
		if (strcmp(what, "trim") == 0)
			malloc_trim(0);
	} else if (strcmp(what, "grow") == 0) {
		q = realloc(p, 4 * LENGTH);
		/* If it grew in place, nothing moved. */
		if (q == p)
			wrapper_register(NULL, 0);
		if (q == NULL || q[MIB] != 1 || q[2 * LENGTH] != 0)
			return fail("contents after growth");
	} else {
		q = realloc(p, LENGTH / 2);
		if (q == NULL || q[MIB] != 1)
			return fail("contents after shrinking");
	}
	if (q != p && wrapper_registered())
		return fail("the pages were dropped without a call that the wrapper saw");
	if (strcmp(what, "shrink") == 0 && wrapper_registered())
		return fail("the tail was dropped without a call that the wrapper saw");
	free(q);
	printf("heard\n");
	return 0;
}
