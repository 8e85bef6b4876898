/*
 * Proves that the malloc family keeps its promises around and above the thresholds: zero contents, alignment,
 * usable sizes, errno; that serving a large calloc touches no memory; and, in realloc.c and
 * invalid_requests.c, what stands there.
 */
#include "blocks.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_zeroed(void)
{
	const size_t sizes[] = {1, 100, 4096, 65536, small - 4096, small - 1, small, small + 1, small + 4095,
		2 * MB - 1, 2 * MB, 2 * MB + 1, large - 1, large, large + 1, 100 * MB, GB};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		for (int round = 0; round < 2; round++) {
			size_t size = sizes[i];
			size_t usable;
			char *p;

			errno = UNTOUCHED;
			p = opaque_pointer(calloc(round ? 1 : size, round ? size : 1));
			if (!CHECK(p != NULL, "calloc(%zu) gave NULL", size))
				continue;
			check_errno("calloc", size, size >= small);
			CHECK(is_zero(p, size), "calloc(%zu) is not zero", size);
			CHECK((uintptr_t)p % 16 == 0 || size < 16, "calloc(%zu) is at %p", size, (void *)p);
			errno = UNTOUCHED;
			usable = malloc_usable_size(p);
			CHECK(errno == UNTOUCHED, "malloc_usable_size set errno to %d", errno);
			CHECK(usable >= size, "calloc(%zu) has %zu usable bytes", size, usable);
			/* The next round, or another size, may be given the same memory. */
			memset(p, 0xff, size < 4 * MB ? usable : 2 * MB);
			p[size / 2] = 1;
			p[usable - 1] = 1;
			release(p);
		}
	}
}

static void check_usable(void *block, size_t size, const char *call)
{
	char *p = opaque_pointer(block);
	size_t usable;

	if (!CHECK(p != NULL, "%s(%zu) gave NULL, errno %d", call, size, errno))
		return;
	check_errno(call, size, size >= large);
	usable = malloc_usable_size(p);
	CHECK(usable >= size, "%s(%zu) has %zu usable bytes", call, size, usable);
	for (size_t at = 0; at < usable; at += MB)
		p[at] = 1;
	p[usable - 1] = 1;
	release(p);
}

static void *by_posix_memalign(size_t alignment, size_t size)
{
	void *p = NULL;
	int error = posix_memalign(&p, alignment, size);

	return error == 0 ? p : NULL;
}

static void check_alignments(void)
{
	static const struct {
		const char *name;
		void *(*allocate)(size_t alignment, size_t size);
	} functions[] = {{"memalign", memalign}, {"aligned_alloc", aligned_alloc},
		{"posix_memalign", by_posix_memalign}};
	const size_t alignments[] = {8, 16, 64, 4096, 8192, 64 * KB, 2 * MB, 16 * MB, GB};
	const size_t sizes[] = {1, 100, small, large - 1, large, 2 * large + 4095};

	for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
		for (size_t a = 0; a < sizeof alignments / sizeof *alignments; a++)
			for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
				void *p;

				if (alignments[a] > 2 * MB && sizes[s] < large)
					continue; /* not every allocator does that */
				if (alignments[a] > 2 * MB && !served)
					continue;
				errno = UNTOUCHED;
				p = functions[f].allocate(opaque(alignments[a]), opaque(sizes[s]));
				CHECK((uintptr_t)p % alignments[a] == 0, "%s(%zu, %zu) is at %p",
					functions[f].name, alignments[a], sizes[s], p);
				check_usable(p, sizes[s], functions[f].name);
			}
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		void *p;

		errno = UNTOUCHED;
		p = valloc(opaque(sizes[s]));
		CHECK((uintptr_t)p % 4096 == 0, "valloc is at %p", p);
		check_usable(p, sizes[s], "valloc");
		errno = UNTOUCHED;
		check_usable(malloc(opaque(sizes[s])), sizes[s], "malloc");
		errno = UNTOUCHED;
		check_usable(realloc(NULL, opaque(sizes[s])), sizes[s], "realloc(NULL)");
		errno = UNTOUCHED;
		check_usable(reallocarray(NULL, 1, opaque(sizes[s])), sizes[s], "reallocarray(NULL)");
	}
}

/* Every byte of a served block up to its usable size can be written and read. */
static void check_whole_usable_size(void)
{
	const size_t sizes[] = {small, small + 1, large, large + 12345};

	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		char *p = opaque_pointer(calloc(1, sizes[s]));
		size_t usable = malloc_usable_size(p);

		memset(p, 7, usable);
		CHECK(p[usable - 1] == 7, "the last usable byte does not keep its value");
		release(p);
	}
}

/* The deallocation functions of C23, which the C library may lack. */
static void check_sized_free(void)
{
	void (*sized)(void *, size_t);
	void (*aligned_sized)(void *, size_t, size_t);

	*(void **)&sized = dlsym(RTLD_DEFAULT, "free_sized");
	*(void **)&aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
	if (served && CHECK(sized != NULL && aligned_sized != NULL, "free_sized is not exported")) {
		sized(NULL, 0);
		sized(opaque_pointer(malloc(100)), 100);
		sized(opaque_pointer(calloc(1, large)), large);
		aligned_sized(NULL, 64, 64);
		aligned_sized(opaque_pointer(aligned_alloc(64, 128)), 64, 128);
		aligned_sized(opaque_pointer(aligned_alloc(4096, large)), 4096, large);
	}
}

static size_t resident_pages(void *p, size_t length)
{
	static unsigned char vector[64 * MB / 4096];
	size_t pages = length / (size_t)sysconf(_SC_PAGESIZE), count = 0;

	if (pages > sizeof vector || mincore(p, length, vector) != 0)
		return SIZE_MAX;
	for (size_t i = 0; i < pages; i++)
		count += vector[i] & 1;
	return count;
}

/* Without what VmRSS counts of a zero window (RssShmem). */
static size_t resident_set(void)
{
	return probe_status("VmRSS:") - probe_status("RssShmem:");
}

/* Serving touches nothing, and freeing gives the addresses back, unless freed regions are kept. */
static void check_laziness(void)
{
	const size_t huge = 512 * GB;
	size_t resident, tables, space;
	char *p;

	if (!served)
		return;
	p = opaque_pointer(calloc(1, 64 * MB));
	CHECK_EQUAL(resident_pages(p, 64 * MB), 0);
	release(p);
	p = opaque_pointer(malloc(64 * MB));
	CHECK_EQUAL(resident_pages(p, 64 * MB), 0);
	release(p);

	resident = resident_set();
	tables = probe_status("VmPTE:");
	space = probe_status("VmSize:");
	errno = UNTOUCHED;
	p = opaque_pointer(calloc(1, huge));
	if (!CHECK(p != NULL, "calloc(1, 512 GiB) gave NULL"))
		return;
	CHECK(errno == UNTOUCHED, "calloc(1, 512 GiB) set errno to %d", errno);
	CHECK(resident_set() < resident + MB, "resident set grew from %zu to %zu", resident, resident_set());
	CHECK(probe_status("VmPTE:") < tables + 64 * KB, "page tables grew from %zu to %zu", tables,
		probe_status("VmPTE:"));
	CHECK_EQUAL(resident_pages(p + huge / 2, 64 * MB), 0);
	CHECK(is_zero(p, huge), "calloc(1, 512 GiB) is not zero");
	p[huge - 1] = 1;
	CHECK(malloc_usable_size(p) >= huge, "calloc(1, 512 GiB) has %zu usable bytes",
		malloc_usable_size(p));
	release(p);
	if (probe_keeps_freed())
		return;
	/* A zero window that was made for it stays. */
	CHECK(probe_status("VmSize:") < space + (probe_status("RssShmem:") != 0 ? 64 * MB : 2 * MB),
		"address space was %zu and is %zu after free", space, probe_status("VmSize:"));
	p = opaque_pointer(calloc(1, 64 * MB));
	release(p);
	CHECK(mincore(p, 4096, (unsigned char *)&tables) != 0 && errno == ENOMEM,
		"a freed block is still mapped");
}

/* Many at once, freed in another order: each keeps what is its own. */
static void check_many(void)
{
	enum { COUNT = 300 };
	static char *blocks[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		blocks[i] = opaque_pointer(calloc(1, small + i * 4096));
		if (!CHECK(blocks[i] != NULL, "calloc %zu of many gave NULL", i))
			return;
		blocks[i][0] = (char)i;
		blocks[i][small - 1] = (char)~i;
	}
	for (size_t n = 0; n < COUNT; n++) {
		size_t i = n * 7 % COUNT;

		CHECK(blocks[i][0] == (char)i && blocks[i][small - 1] == (char)~i &&
				blocks[i][small / 2] == 0,
			"block %zu of many was damaged", i);
		release(blocks[i]);
	}
}

int probe_main(void)
{
	served = probe_preloaded();
	strict = getenv("PROBE_ALLOCATOR") == NULL;
	small = probe_threshold();
	large = probe_malloc_threshold();
	/* Another allocator alone is only asked for its answers: the rest costs mimalloc 1.5 million faults.
	 */
	if (!served && !strict) {
		check_odd_requests();
		fflush(stdout);
		return probe_status_of_checks();
	}
	check_zeroed();
	check_alignments();
	check_whole_usable_size();
	check_reallocs();
	check_odd_requests();
	check_sized_free();
	check_many();
	check_laziness();
	fflush(stdout);
	return probe_status_of_checks();
}
