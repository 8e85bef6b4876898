/*
 * Invalid requests, and pointers of other allocators. The results must be those of the allocator below; they
 * are printed and compared with a run without lazyzero.
 */
#include "blocks.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void print_result(const char *call, size_t a, size_t b, void *p)
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
		print_result("calloc", a, b, opaque_pointer(calloc(a, b)));
		CHECK(errno == ENOMEM || !strict, "calloc(%zu, %zu) set errno to %d", a, b, errno);
		errno = UNTOUCHED;
		print_result("reallocarray(NULL)", a, b, opaque_pointer(reallocarray(NULL, a, b)));
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
		print_result("malloc", 0, size, opaque_pointer(malloc(size)));
		errno = UNTOUCHED;
		print_result("calloc", 1, size, opaque_pointer(calloc(1, size)));
		errno = UNTOUCHED;
		print_result("memalign", 64, size, opaque_pointer(memalign(64, size)));
		errno = UNTOUCHED;
		print_result("aligned_alloc", 4096, size, opaque_pointer(aligned_alloc(4096, size)));
		errno = UNTOUCHED;
		print_result("valloc", 0, size, opaque_pointer(valloc(size)));
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
			print_result("memalign", alignment, size, opaque_pointer(memalign(alignment, size)));
			errno = UNTOUCHED;
			print_result("aligned_alloc", alignment, size,
				opaque_pointer(aligned_alloc(alignment, size)));
			errno = UNTOUCHED;
			error = posix_memalign(&p, alignment, size);
			printf("posix_memalign(%zu, %zu): %d, errno %d\n", alignment, size, error,
				strict ? errno : 0);
			if (error == 0)
				release(p);
		}
}

/* Page-aligned pointers from the allocator below. */
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
		CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 4096 == 0,
			"block %zu of the next allocator is at %p", i, blocks[i]);
		CHECK(malloc_usable_size(blocks[i]) >= 1, "block %zu of the next allocator has no size", i);
	}
	memset(blocks[5], 3, 100);
	blocks[5] = opaque_pointer(realloc(blocks[5], large + 7));
	CHECK(blocks[5] != NULL && ((char *)blocks[5])[99] == 3,
		"a block of the next allocator that grew lost contents");
	memset(blocks[6], 4, 4096);
	blocks[6] = opaque_pointer(realloc(blocks[6], 64));
	CHECK(blocks[6] != NULL && ((char *)blocks[6])[63] == 4,
		"a block of the next allocator that shrank lost contents");
	for (size_t i = 0; i < 8; i++)
		release(blocks[i]);
}

void check_odd_requests(void)
{
	check_realloc_to_nothing();
	check_overflow();
	check_odd_sizes();
	check_odd_alignments();
	check_foreign_pointers();
}
