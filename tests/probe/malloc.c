/*
 * Proves that the malloc family keeps its promises around and above the thresholds: zero contents, alignment,
 * usable sizes, realloc in every direction, errno, bad sizes and alignments, pointers that are not ours; and
 * that serving a large calloc touches no memory.
 */
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t small, large; /* the two thresholds */
static bool served;         /* lazyzero is there */
static bool strict;         /* glibc's malloc is below, whose errno is as the manual says */

/* errno before every call that must not change it. */
#define UNTOUCHED 77

static bool is_zero(const char *p, size_t size)
{
	if (size <= 4 * MB) {
		for (size_t i = 0; i < size; i++)
			if (p[i] != 0)
				return false;
		return true;
	}
	for (size_t i = 0; i < 4096; i++)
		if (p[i] != 0 || p[size - 1 - i] != 0)
			return false;
	for (int i = 0; i < 64; i++)
		if (p[probe_random() % size] != 0)
			return false;
	return true;
}

/* Where marks are: every 512 bytes at first, then every 512 KiB, so that large blocks stay cheap. */
static size_t next_mark(size_t at)
{
	return at + (at < 2 * MB ? 512 : 512 * KB);
}

/* Writes marks that tell their place, and the last byte. */
static void mark(char *p, size_t from, size_t size)
{
	for (size_t at = 0; at < size; at = next_mark(at))
		if (at >= from)
			p[at] = (char)(at >> 9 ^ at >> 17 ^ 0x5a);
	p[size - 1] = (char)0xa5;
}

static bool is_marked(const char *p, size_t size)
{
	for (size_t at = 0; at + 1 < size; at = next_mark(at))
		if (p[at] != (char)(at >> 9 ^ at >> 17 ^ 0x5a))
			return false;
	return true;
}

/* A call that succeeded left errno alone. The allocator below may have its own mind about what it serves
 * itself. */
static void check_errno(const char *call, size_t size, bool ours)
{
	if (ours)
		CHECK(!served || errno == UNTOUCHED, "%s(%zu) succeeded and set errno to %d", call, size,
			errno);
	else if (strict)
		CHECK(errno == UNTOUCHED, "%s(%zu) succeeded and set errno to %d", call, size, errno);
}

static void release(void *p)
{
	errno = UNTOUCHED;
	free(opaque_pointer(p));
	CHECK(errno == UNTOUCHED, "free set errno to %d", errno);
}

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

static char *resize(char *p, size_t before, size_t after, bool as_array)
{
	size_t keep = before < after ? before : after;
	char *moved;

	mark(p, 0, before);
	errno = UNTOUCHED;
	moved = opaque_pointer(as_array ? reallocarray(p, after, 1) : realloc(p, after));
	if (!CHECK(moved != NULL, "realloc from %zu to %zu gave NULL, errno %d", before, after, errno))
		return p;
	check_errno("realloc", after, after >= large);
	CHECK(is_marked(moved, keep), "realloc from %zu to %zu lost contents", before, after);
	CHECK(malloc_usable_size(moved) >= after, "realloc from %zu to %zu gave %zu usable bytes", before,
		after, malloc_usable_size(moved));
	mark(moved, keep, after);
	return moved;
}

static void check_realloc(void)
{
	const size_t path[] = {100, 4000, 64 * KB, small - 1, small, small + 1, large - 1, large, large + 1,
		2 * large, 2 * large + 1, 6 * large, 6 * large, 3 * large - 5, large, large - 1, small,
		small - 1, 1000, 3 * large, 10, large, 64 * KB, 5 * large + 4097, small};
	const size_t steps = sizeof path / sizeof *path;

	for (int as_array = 0; as_array < 2; as_array++) {
		/* From malloc, and from calloc whose blocks above the lower threshold are served. */
		for (int from_calloc = 0; from_calloc < 2; from_calloc++) {
			char *p = from_calloc ? calloc(1, path[0]) : malloc(path[0]);

			for (size_t i = 1; i < steps; i++)
				p = resize(p, path[i - 1], path[i], as_array);
			release(p);
		}
		for (size_t i = 0; i < steps; i++) {
			char *p = resize(opaque_pointer(calloc(1, small)), small, path[i], as_array);

			release(p);
		}
	}
}

/* Neighbours on both sides, so that growth has to move. */
static void check_realloc_moves(void)
{
	char *row[16];
	size_t sizes[16];

	for (size_t i = 0; i < 16; i++) {
		sizes[i] = large;
		row[i] = opaque_pointer(calloc(1, large));
		mark(row[i], 0, large);
	}
	for (size_t i = 0; i < 16; i += 2) {
		char *moved;

		errno = UNTOUCHED;
		moved = opaque_pointer(realloc(row[i], sizes[i] * 3));
		if (!CHECK(moved != NULL, "no growth among neighbours: errno %d", errno))
			continue;
		check_errno("realloc", sizes[i] * 3, true);
		row[i] = moved;
		sizes[i] *= 3;
		CHECK(is_marked(row[i], large), "a block that moved lost contents");
		row[i][sizes[i] - 1] = 1;
		row[i][large] = 1;
	}
	for (size_t i = 0; i < 16; i++) {
		CHECK(is_marked(row[i], large), "block %zu was damaged by its neighbours", i);
		release(row[i]);
	}
}

/* Programs advise, lock and protect parts of their blocks: then the kernel has several mappings for one
 * block. */
static void check_realloc_of_parts(void)
{
	for (int kind = 0; kind < 4; kind++) {
		for (int shrink = 0; shrink < 2; shrink++) {
			size_t size = large + 16 * MB, after = shrink ? large + MB : 2 * size;
			char *p = opaque_pointer(kind & 1 ? calloc(1, size) : malloc(size));
			char *moved;
			char *inside = p + ((uintptr_t) - (uintptr_t)p & 4095) + 4096;

			mark(p, 0, size);
			if (kind < 2)
				madvise(inside, 8 * MB, MADV_HUGEPAGE);
			else
				madvise(inside + MB, 64 * KB, MADV_DONTFORK);
			errno = UNTOUCHED;
			moved = realloc(opaque_pointer(p), after);
			if (!CHECK(moved != NULL, "realloc to %zu of a block in several mappings: errno %d",
				    after, errno))
				continue;
			/* glibc itself leaves its mremap's EFAULT there. */
			CHECK(errno == UNTOUCHED || !served,
				"realloc of a block in several mappings: errno %d", errno);
			CHECK(is_marked(moved, after < size ? after : size),
				"a block in several mappings lost contents");
			mark(moved, 0, after);
			release(moved);
		}
	}
}

static void check_realloc_to_nothing(void)
{
	void *p;

	errno = UNTOUCHED;
	p = opaque_pointer(realloc(opaque_pointer(malloc(100)), opaque(0)));
	printf("realloc(small, 0): %s, errno %d\n", p != NULL ? "a block" : "NULL", strict ? errno : 0);
	free(p);
	errno = UNTOUCHED;
	p = opaque_pointer(realloc(opaque_pointer(calloc(1, large + 1)), opaque(0)));
	printf("realloc(large, 0): %s, errno %d\n", p != NULL ? "a block" : "NULL", strict ? errno : 0);
	free(p);
	errno = UNTOUCHED;
	p = opaque_pointer(reallocarray(opaque_pointer(calloc(1, large + 1)), opaque(0), 8));
	printf("reallocarray(large, 0, 8): %s, errno %d\n", p != NULL ? "a block" : "NULL",
		strict ? errno : 0);
	free(p);
	p = opaque_pointer(realloc(NULL, opaque(0)));
	printf("realloc(NULL, 0): %s\n", p != NULL ? "a block" : "NULL");
	free(p);
}

static void answer(const char *call, size_t a, size_t b, void *p)
{
	printf("%s(%#zx, %#zx): %s, errno %d\n", call, a, b, p != NULL ? "a block" : "NULL",
		p != NULL || !strict ? 0 : errno);
	if (p != NULL)
		release(p);
}

static void check_overflow(void)
{
	const size_t pairs[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {(size_t)1 << 33, (size_t)1 << 33},
		{2, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		size_t a = opaque(pairs[i][0]), b = opaque(pairs[i][1]);
		char *kept = opaque_pointer(calloc(1, large));

		errno = UNTOUCHED;
		answer("calloc", a, b, opaque_pointer(calloc(a, b)));
		CHECK(errno == ENOMEM || !strict, "calloc(%zu, %zu) set errno to %d", a, b, errno);
		errno = UNTOUCHED;
		answer("reallocarray(NULL)", a, b, opaque_pointer(reallocarray(NULL, a, b)));
		mark(kept, 0, large);
		errno = UNTOUCHED;
		CHECK(reallocarray(opaque_pointer(kept), a, b) == NULL,
			"reallocarray(p, %zu, %zu) gave a block", a, b);
		CHECK(errno == ENOMEM || !strict, "reallocarray(p, %zu, %zu) set errno to %d", a, b, errno);
		CHECK(is_marked(kept, large), "a reallocarray that failed lost contents");
		release(kept);
	}
}

static void check_odd_sizes(void)
{
	const size_t sizes[] = {0, SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2, SIZE_MAX / 2 + 1,
		SIZE_MAX / 2 - 4096, (size_t)1 << 62};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size = opaque(sizes[i]);
		void *p = NULL;
		char *kept = opaque_pointer(calloc(1, large));
		int error;

		errno = UNTOUCHED;
		answer("malloc", 0, size, opaque_pointer(malloc(size)));
		errno = UNTOUCHED;
		answer("calloc", 1, size, opaque_pointer(calloc(1, size)));
		errno = UNTOUCHED;
		answer("memalign", 64, size, opaque_pointer(memalign(64, size)));
		errno = UNTOUCHED;
		answer("aligned_alloc", 4096, size, opaque_pointer(aligned_alloc(4096, size)));
		errno = UNTOUCHED;
		answer("valloc", 0, size, opaque_pointer(valloc(size)));
		errno = UNTOUCHED;
		error = posix_memalign(&p, 64, size);
		printf("posix_memalign(64, %#zx): %d, errno %d\n", size, error, strict ? errno : 0);
		if (error == 0)
			release(p);
		if (size == 0) {
			release(kept);
			continue;
		}
		errno = UNTOUCHED;
		p = realloc(opaque_pointer(kept), size);
		CHECK(p == NULL && (errno == ENOMEM || !strict), "realloc(p, %#zx) gave %p, errno %d", size,
			p, errno);
		if (p == NULL)
			release(kept);
	}
}

static void check_odd_alignments(void)
{
	const size_t alignments[] = {0, 1, 2, 3, 4, 5, 7, 12, 24, 48, 100, 4095, 4097, 12288};
	const size_t sizes[] = {100, large, large + 1};

	for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
			size_t alignment = opaque(alignments[i]), size = opaque(sizes[s]);
			void *p = NULL;
			int error;

			errno = UNTOUCHED;
			answer("memalign", alignment, size, opaque_pointer(memalign(alignment, size)));
			errno = UNTOUCHED;
			answer("aligned_alloc", alignment, size,
				opaque_pointer(aligned_alloc(alignment, size)));
			errno = UNTOUCHED;
			error = posix_memalign(&p, alignment, size);
			printf("posix_memalign(%zu, %zu): %d, errno %d\n", alignment, size, error,
				strict ? errno : 0);
			if (error == 0)
				release(p);
		}
}

/* Page-aligned pointers that the allocator below gave. */
static void check_foreign_pointers(void)
{
	void *blocks[8] = {NULL};

	free(opaque_pointer(NULL));
	CHECK_EQUAL(malloc_usable_size(opaque_pointer(NULL)), 0);
	blocks[0] = memalign(4096, 100);
	if (posix_memalign(&blocks[1], 4096, 5000) != 0)
		blocks[1] = NULL;
	blocks[2] = aligned_alloc(65536, 65536 / 2);
	blocks[3] = valloc(1);
	blocks[4] = memalign(2 * MB, 100);
	blocks[5] = memalign(4096, 100);
	blocks[6] = memalign(4096, 4096);
	blocks[7] = memalign(4096, 3000);
	for (size_t i = 0; i < 8; i++) {
		CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 4096 == 0, "foreign block %zu is at %p", i,
			blocks[i]);
		CHECK(malloc_usable_size(blocks[i]) >= 1, "foreign block %zu has no size", i);
	}
	memset(blocks[5], 3, 100);
	blocks[5] = opaque_pointer(realloc(blocks[5], large + 7));
	CHECK(blocks[5] != NULL && ((char *)blocks[5])[99] == 3, "a foreign block that grew lost contents");
	memset(blocks[6], 4, 4096);
	blocks[6] = opaque_pointer(realloc(blocks[6], 64));
	CHECK(blocks[6] != NULL && ((char *)blocks[6])[63] == 4, "a foreign block that shrank lost contents");
	for (size_t i = 0; i < 8; i++)
		release(blocks[i]);
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

/* Serving touches nothing, and freeing gives the addresses back. */
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

	resident = probe_status("VmRSS:");
	tables = probe_status("VmPTE:");
	space = probe_status("VmSize:");
	errno = UNTOUCHED;
	p = opaque_pointer(calloc(1, huge));
	if (!CHECK(p != NULL, "calloc(1, 512 GiB) gave NULL"))
		return;
	CHECK(errno == UNTOUCHED, "calloc(1, 512 GiB) set errno to %d", errno);
	CHECK(probe_status("VmRSS:") < resident + MB, "resident set grew from %zu to %zu", resident,
		probe_status("VmRSS:"));
	CHECK(probe_status("VmPTE:") < tables + 64 * KB, "page tables grew from %zu to %zu", tables,
		probe_status("VmPTE:"));
	CHECK_EQUAL(resident_pages(p + huge / 2, 64 * MB), 0);
	CHECK(is_zero(p, huge), "calloc(1, 512 GiB) is not zero");
	p[huge - 1] = 1;
	CHECK(malloc_usable_size(p) >= huge, "calloc(1, 512 GiB) has %zu usable bytes",
		malloc_usable_size(p));
	release(p);
	CHECK(probe_status("VmSize:") < space + 2 * MB, "address space was %zu and is %zu after free", space,
		probe_status("VmSize:"));
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
	check_zeroed();
	check_alignments();
	check_whole_usable_size();
	check_realloc();
	check_realloc_moves();
	check_realloc_of_parts();
	check_realloc_to_nothing();
	check_overflow();
	check_odd_sizes();
	check_odd_alignments();
	check_foreign_pointers();
	check_sized_free();
	check_many();
	check_laziness();
	fflush(stdout);
	return probe_status_of_checks();
}
