/* heap/resize.c: growth that moves page tables, and growth that cannot move them. */
#include "core_fixture.h"

Test(resize, resizing_keeps_contents_and_statistics)
{
	void *p = NULL, *q = NULL;
	char *bytes;

	start_core(no_log_env);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	bytes = p;
	bytes[0] = 1;
	bytes[64 * MIB - 1] = 2;
	cr_assert_eq(resize(p, 8 * GIB, &q), 0);
	bytes = q;
	cr_expect_eq(bytes[0], 1);
	cr_expect_eq(bytes[64 * MIB - 1], 2);
	cr_expect_eq(bytes[8 * GIB - 1], 0);
	cr_expect(q == p || lz_heap_free(&core.heap, p) == -ENOENT);
	cr_assert_eq(resize(q, 2 * MIB, &p), 0);
	cr_expect_eq(p, q);
	cr_expect_eq(*(char *)p, 1);
	cr_expect_eq(core.books.stats.wire->region_bytes, 2 * MIB);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
}

Test(resize, growth_works_without_a_second_mapping)
{
	void *p = NULL, *q = NULL;
	size_t size = 0;

	start_core(no_log_env);
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	*(char *)p = 5;
	fake.fail_from[FAKE_MMAP] = fake.calls[FAKE_MMAP] + 1;
	cr_assert_eq(resize(p, 48 * MIB, &q), 0);
	cr_expect_eq(*(char *)q, 5);
	cr_expect_eq(lz_heap_size(&core.heap, q, &size), 0);
	cr_expect_eq(size, 48 * MIB);
	cr_expect(q == p || lz_heap_size(&core.heap, p, &size) == -ENOENT);
	cr_expect_eq(lz_heap_free(&core.heap, q), 0);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
}

/* What grows beyond its window is plain memory, and counts as such, wherever the region ends up. */
Test(resize, growth_without_a_window_counts_as_plain_memory)
{
	char *const window_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", NULL};
	void *p = NULL, *q = NULL;
	uint64_t before;

	for (int moves = 0; moves < 2; moves++) {
		start_core(window_env);
		cr_assert_eq(allocate(8 * MIB, &p), 0);
		if (core.books.stats.wire->window_regions == 0)
			cr_skip_test("no window can be made here");
		if (moves)
			mmap((char *)p + 8 * MIB, 4096, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		before = committed();
		/* The window is retired, and creating another failed a moment ago. */
		fake.thp_disabled = true;
		core.backings.windows->create_failed_ms = core.os->now_ms();
		cr_assert_eq(resize(p, 136 * MIB, &q), 0);
		cr_expect_geq(committed(), before + 128 / 2 * 4096 * 9 / 10, "moves %d", moves);
		fake.thp_disabled = false;
		cr_expect_eq(lz_heap_free(&core.heap, q), 0);
	}
}

/* As numpy does: advice on a part splits a region into several mappings. */
static void grow_a_split_region(void)
{
	void *p = NULL, *q = NULL;
	char *bytes;
	size_t size;

	cr_assert_eq(allocate(64 * MIB, &p), 0);
	bytes = p;
	bytes[0] = 1;
	bytes[20 * MIB] = 2;
	bytes[64 * MIB - 1] = 3;
	cr_assert_eq(madvise(bytes + 4096, 32 * MIB, MADV_DONTFORK), 0);
	cr_assert_eq(mprotect(bytes + 40 * MIB, 4096, PROT_READ), 0);
	cr_assert_eq(resize(p, 128 * MIB, &q), 0);
	bytes = q;
	cr_expect_eq(bytes[0], 1);
	cr_expect_eq(bytes[20 * MIB], 2);
	cr_expect_eq(bytes[64 * MIB - 1], 3);
	cr_expect_eq(bytes[128 * MIB - 1], 0);
	cr_expect_eq(lz_heap_size(&core.heap, q, &size), 0);
	cr_expect_eq(size, 128 * MIB);
	cr_expect_eq(lz_heap_size(&core.heap, p, &size), -ENOENT);
	cr_expect_eq(lz_heap_free(&core.heap, q), 0);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
}

Test(resize, growth_of_a_region_split_into_mappings)
{
	static const struct fake_file no_pagemap[] = {{"/proc/thread-self/pagemap", NULL}, {0}};

	start_core(no_log_env);
	grow_a_split_region();
	fake.files = no_pagemap;
	grow_a_split_region();
}
