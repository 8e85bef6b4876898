/*
 * realloc and reallocarray in every direction: between regions and small blocks, in place, moved, and of
 * regions that consist of several mappings.
 */
#include "blocks.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
		/* From malloc, and from calloc, whose blocks above the lower threshold are regions. */
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

/* Mappings on both sides, so that growth has to move. */
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

/* Programs advise, lock and protect parts of their blocks; a block is then several mappings. */
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
			/* glibc itself leaves the EFAULT of its mremap in errno. */
			CHECK(errno == UNTOUCHED || !served,
				"realloc of a block in several mappings: errno %d", errno);
			CHECK(is_marked(moved, after < size ? after : size),
				"a block in several mappings lost contents");
			mark(moved, 0, after);
			release(moved);
		}
	}
}

void check_reallocs(void)
{
	check_realloc();
	check_realloc_moves();
	check_realloc_of_parts();
}
