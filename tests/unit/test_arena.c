/* shim/arena.c: blocks of the bootstrap arena, their alignment, and exhaustion. */
#include <criterion/criterion.h>
#include <stdint.h>

#include "shim/arena.h"

Test(arena, blocks_are_zeroed_aligned_and_recorded)
{
	char *a = lz_arena_allocate(1, 1);
	char *b = lz_arena_allocate(5000, 16);
	char *c = lz_arena_allocate(0, 16384);

	cr_assert(a != NULL && b != NULL && c != NULL);
	cr_expect_eq((uintptr_t)a % 4096, 0);
	cr_expect_eq((uintptr_t)b % 4096, 0);
	cr_expect_eq((uintptr_t)c % 16384, 0);
	cr_expect_eq(lz_arena_usable_size(a), 4096);
	cr_expect_eq(lz_arena_usable_size(b), 8192);
	cr_expect_eq(lz_arena_usable_size(b + 4096), 0);
	cr_expect_eq(lz_arena_usable_size(b + 1), 0);
	cr_expect(lz_arena_owns(b + 1));
	cr_expect_not(lz_arena_owns(&a));
	cr_expect_not(lz_arena_owns(NULL));
	for (size_t i = 0; i < 5000; i++)
		cr_expect_eq(b[i], 0);
}

Test(arena, exhaustion_and_invalid_arguments)
{
	size_t blocks = 0;

	cr_expect_null(lz_arena_allocate(SIZE_MAX, 1));
	cr_expect_null(lz_arena_allocate((size_t)1 << 30, 1));
	cr_expect_null(lz_arena_allocate(1, 3));
	cr_expect_null(lz_arena_allocate(1, 0));
	cr_expect_null(lz_arena_allocate(1, (size_t)1 << 40));
	while (lz_arena_allocate(4096, 1) != NULL)
		blocks++;
	cr_expect_eq(blocks, 64);
	cr_expect_null(lz_arena_allocate(0, 1));
}
