/* accounting/wipe_table.c: the recorded ranges after every kind of change. */
#include "core_fixture.h"

#include <sys/wait.h>

#include "accounting/wipe_table.h"

#define AT(n) ((uintptr_t)(n) << 20)

/* The model: one flag for each MiB. */
#define UNITS 64u
static bool model[UNITS];

static void start(void)
{
	start_core(no_log_env);
	memset(model, 0, sizeof model);
	cr_assert_eq(lz_wipe_table_prepare(&core.books.windows.wipes, core.os, core.books.page), 0);
}

static bool is_wiped(uintptr_t start, uintptr_t end)
{
	struct lz_wipe_list list;

	lz_wipe_table_list(&core.books.windows.wipes, start, end, &list);
	return list.count == 1 && list.part[0].start == 0 && list.part[0].end == end - start;
}

static void compare(void)
{
	struct lz_wipe_list list;

	for (unsigned i = 0; i < UNITS; i++) {
		lz_wipe_table_list(&core.books.windows.wipes, AT(i + 1), AT(i + 2), &list);
		cr_assert_eq(list.count, model[i], "unit %u", i);
		cr_assert_eq(is_wiped(AT(i + 1), AT(i + 2)), model[i], "unit %u", i);
	}
}

static unsigned ranges(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++)
		count += core.books.windows.wipes.range[i].start != 0;
	return count;
}

Test(wipe_table, random_changes_match_a_model, .init = start)
{
	uint64_t state = 12345;

	for (int round = 0; round < 20000; round++) {
		unsigned from, to;

		state = state * 6364136223846793005u + 1442695040888963407u;
		from = (unsigned)(state >> 33) % UNITS;
		to = from + 1 + (unsigned)(state >> 45) % (UNITS - from);
		for (unsigned i = from; i < to; i++)
			model[i] = (state >> 60 & 1) != 0;
		if (state >> 60 & 1)
			cr_assert_eq(
				lz_wipe_table_add(&core.books.windows.wipes, AT(from + 1), AT(to + 1)), 0);
		else
			lz_wipe_table_remove(&core.books.windows.wipes, AT(from + 1), AT(to + 1));
		if (round % 16 == 0)
			compare();
	}
	compare();
}

Test(wipe_table, adjacent_ranges_are_merged, .init = start)
{
	for (unsigned i = 1; i < 1000; i++)
		cr_assert_eq(lz_wipe_table_add(&core.books.windows.wipes, AT(i), AT(i + 1)), 0);
	cr_expect_eq(ranges(), 1);
	lz_wipe_table_remove(&core.books.windows.wipes, AT(10), AT(11));
	cr_expect_eq(ranges(), 2);
	cr_assert_eq(lz_wipe_table_add(&core.books.windows.wipes, AT(10), AT(11)), 0);
	cr_expect_eq(ranges(), 1);
	cr_expect(is_wiped(AT(1), AT(1000)));
}

Test(wipe_table, full_table_fails_and_never_wipes_other_memory, .init = start)
{
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++)
		cr_assert_eq(lz_wipe_table_add(&core.books.windows.wipes, AT(1 + 10 * i), AT(6 + 10 * i)), 0);
	cr_expect_eq(lz_wipe_table_add(&core.books.windows.wipes, AT(8), AT(9)), -EAGAIN);
	/* The smaller part of a split range is dropped. */
	lz_wipe_table_remove(&core.books.windows.wipes, AT(2), AT(3));
	cr_expect(is_wiped(AT(3), AT(6)));
	cr_expect_not(is_wiped(AT(1), AT(2)));
	cr_expect_not(is_wiped(AT(2), AT(3)));
	cr_expect_eq(ranges(), LZ_WIPE_TABLE_RANGES);
}

Test(wipe_table, moved_memory_keeps_its_ranges, .init = start)
{
	struct lz_wipe_list list;

	lz_wipe_table_add(&core.books.windows.wipes, AT(2), AT(3));
	lz_wipe_table_add(&core.books.windows.wipes, AT(5), AT(8));
	lz_wipe_table_list(&core.books.windows.wipes, AT(1), AT(7), &list);
	cr_assert_eq(list.count, 2);
	lz_wipe_table_remove(&core.books.windows.wipes, AT(1), AT(7));
	lz_wipe_table_restore(&core.books.windows.wipes, AT(101), &list, AT(6), AT(9)); /* it grew */
	cr_expect(is_wiped(AT(102), AT(103)));
	cr_expect(is_wiped(AT(105), AT(110)));
	cr_expect(is_wiped(AT(7), AT(8)));
	cr_expect_eq(ranges(), 3);
}

/* The range is recorded but not on a window, so a child must not discard it. */
Test(wipe_table, memory_off_windows_is_not_discarded, .init = start)
{
	char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t child;

	memset(p, 5, MIB);
	lz_wipe_table_add(&core.books.windows.wipes, (uintptr_t)p, (uintptr_t)p + MIB);
	child = fork();
	if (child == 0) {
		lz_core_after_fork(&core);
		_exit(p[0] != 5 || p[MIB - 1] != 5);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
}
