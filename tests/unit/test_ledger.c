/* pagetables/ledger.c: random changes against a model that stores every page separately. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pagetables/ledger.h"
#include "fake_os.h"

#define PAGE UINT64_C(4096)
/* Three PTE spans at the edge of a PMD span, so that every kind of boundary occurs. */
#define MODEL_BASE ((UINT64_C(1) << 30) - (UINT64_C(3) << 20))
#define MODEL_PAGES 1536u

static const struct lz_range_traits plain = {.page_shift = 12};

static struct lz_ledger *new_ledger(void)
{
	static struct lz_ledger ledger;

	lz_ledger_init(&ledger, lz_geometry_by_name("x86-64 4-level"), fake_os());
	return &ledger;
}

/* Counts tables page by page: a table is needed if any page in its span is accessible. */
static struct lz_tables brute_force(const bool *touchable)
{
	struct lz_tables tables = {{0}};

	for (unsigned level = 0; level < 4; level++) {
		unsigned shift = 21 + 9 * level;
		uint64_t last = UINT64_MAX;

		for (size_t i = 0; i < MODEL_PAGES; i++) {
			uint64_t table = (MODEL_BASE + i * PAGE) >> shift;

			if (touchable[i] && table != last) {
				tables.count[level]++;
				last = table;
			}
		}
	}
	return tables;
}

static uint64_t model_bytes(const bool *touchable)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < MODEL_PAGES; i++)
		bytes += touchable[i] ? PAGE : 0;
	return bytes;
}

Test(ledger, random_changes_match_a_per_page_model)
{
	struct lz_ledger *ledger = new_ledger();
	bool touchable[MODEL_PAGES] = {false};
	unsigned seed = 20240607;

	for (int step = 0; step < 20000; step++) {
		size_t first = (size_t)rand_r(&seed) % MODEL_PAGES;
		size_t count = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 16 : MODEL_PAGES - first);
		struct lz_range_traits traits = {.page_shift = 12, .tag = (uintptr_t)(rand_r(&seed) % 3)};
		uintptr_t start, end;
		struct lz_tables before, want, marginal;
		bool add = rand_r(&seed) % 2;

		if (count > MODEL_PAGES - first)
			count = MODEL_PAGES - first;
		start = MODEL_BASE + first * PAGE;
		end = start + count * PAGE;
		before = ledger->tables;
		marginal = lz_ledger_additional_tables(ledger, start, end, 12, rand_r(&seed) % 2);
		if (!add)
			cr_assert_eq(lz_ledger_remove(ledger, start, end), 0);
		else if (rand_r(&seed) % 2)
			cr_assert_eq(lz_ledger_set(ledger, start, end, traits), 0);
		else
			cr_assert_eq(lz_ledger_add_missing(ledger, start, end, traits), 0);
		for (size_t i = first; i < first + count; i++)
			touchable[i] = add;
		want = brute_force(touchable);
		cr_assert_eq(memcmp(&ledger->tables, &want, sizeof want), 0, "step %d", step);
		cr_assert_eq(ledger->bytes, model_bytes(touchable), "step %d", step);
		cr_assert_eq(lz_ledger_committed(ledger), lz_tables_vmpte_bytes(ledger->geometry, &want),
			"step %d", step);
		if (add)
			for (unsigned level = 0; level < 4; level++)
				cr_assert_eq(before.count[level] + marginal.count[level], want.count[level],
					"step %d, level %u", step, level);
	}
}

/* Uncommitted ranges need no tables, and neighbours share none with them, whatever the order of changes. */
Test(ledger, uncommitted_ranges_match_a_per_page_model)
{
	const struct lz_range_traits uncommitted = {.page_shift = LZ_PAGE_SHIFT_BEYOND_FILE};
	struct lz_ledger *ledger = new_ledger();
	bool mapped[MODEL_PAGES] = {false}, touchable[MODEL_PAGES] = {false};
	unsigned seed = 20261130;

	for (int step = 0; step < 20000; step++) {
		size_t first = (size_t)rand_r(&seed) % MODEL_PAGES;
		size_t count = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 16 : MODEL_PAGES - first);
		int kind = rand_r(&seed) % 4; /* remove, plain, uncommitted, remove one or the other */
		bool replaces = rand_r(&seed) % 2;
		uintptr_t start = MODEL_BASE + first * PAGE, end;
		struct lz_tables want, before, marginal;

		if (count > MODEL_PAGES - first)
			count = MODEL_PAGES - first;
		end = start + count * PAGE;
		before = ledger->tables;
		marginal = lz_ledger_additional_tables(ledger, start, end, 12, replaces);
		if (kind == 0)
			cr_assert_eq(lz_ledger_remove(ledger, start, end), 0);
		else if (kind == 3)
			cr_assert_eq(lz_ledger_remove_where(ledger, start, end, replaces), 0);
		else if (replaces)
			cr_assert_eq(lz_ledger_set(ledger, start, end, kind == 1 ? plain : uncommitted), 0);
		else
			cr_assert_eq(
				lz_ledger_add_missing(ledger, start, end, kind == 1 ? plain : uncommitted),
				0);
		for (size_t i = first; i < first + count; i++) {
			bool goes = kind == 0 || (kind == 3 && mapped[i] && replaces == !touchable[i]);

			if (kind == 3) {
				mapped[i] = mapped[i] && !goes;
				touchable[i] = touchable[i] && !goes;
				continue;
			}
			if (goes || replaces || !mapped[i])
				touchable[i] = kind == 1;
			mapped[i] = kind != 0;
		}
		want = brute_force(touchable);
		cr_assert_eq(memcmp(&ledger->tables, &want, sizeof want), 0, "step %d", step);
		cr_assert_eq(ledger->bytes, model_bytes(mapped), "step %d", step);
		for (unsigned level = 0; kind == 1 && level < 4; level++)
			cr_assert_eq(before.count[level] + marginal.count[level], want.count[level],
				"step %d, level %u", step, level);
	}
}

Test(ledger, find_and_merge_ranges)
{
	struct lz_ledger *ledger = new_ledger();
	struct lz_range_traits tagged = {.page_shift = 12, .tag = 5};
	struct lz_range *range;

	lz_ledger_set(ledger, 2 * PAGE, 4 * PAGE, plain);
	lz_ledger_set(ledger, 4 * PAGE, 6 * PAGE, plain);
	range = lz_ledger_find_at_or_above(ledger, 5 * PAGE);
	cr_assert_not_null(range);
	cr_expect_eq(range->start, 2 * PAGE);
	cr_expect_eq(range->end, 6 * PAGE);
	cr_expect_null(lz_ledger_next(range));
	cr_expect_eq(lz_ledger_find_at_or_above(ledger, 0), range, "the first range above an address");
	cr_expect_null(lz_ledger_find_at_or_above(ledger, 6 * PAGE));
	lz_ledger_set(ledger, 3 * PAGE, 5 * PAGE, tagged);
	cr_expect_eq(lz_ledger_find_at_or_above(ledger, 3 * PAGE)->traits.tag, 5);
	cr_expect_eq(lz_ledger_find_at_or_above(ledger, 5 * PAGE)->traits.tag, 0);
	lz_ledger_add_missing(ledger, 0, 8 * PAGE, plain);
	cr_expect_eq(lz_ledger_find_at_or_above(ledger, 4 * PAGE)->traits.tag, 5,
		"existing ranges keep their traits");
	cr_expect_eq(ledger->bytes, 8 * PAGE);
}

Test(ledger, huge_pages_need_no_lower_tables)
{
	struct lz_ledger *ledger = new_ledger();
	struct lz_range_traits huge = {.page_shift = 21};
	uint64_t mib2 = UINT64_C(2) << 20;

	lz_ledger_set(ledger, 0, 4 * mib2, huge);
	cr_expect_eq(ledger->tables.count[0], 0);
	cr_expect_eq(ledger->tables.count[1], 1);
	lz_ledger_set(ledger, 4 * mib2, 4 * mib2 + PAGE, plain);
	cr_expect_eq(ledger->tables.count[0], 1);
	cr_expect_eq(ledger->tables.count[1], 1);
	lz_ledger_remove(ledger, 0, 4 * mib2);
	cr_expect_eq(ledger->tables.count[0], 1);
	cr_expect_eq(ledger->tables.count[1], 1);
}

Test(ledger, becomes_inexact_without_memory)
{
	struct lz_ledger *ledger = new_ledger();

	fake.fail_from[FAKE_MMAP] = 1;
	cr_expect_eq(lz_ledger_set(ledger, 0, PAGE, plain), -12);
	cr_expect(ledger->inexact);
	cr_expect_eq(lz_ledger_committed(ledger), 0);
	fake.fail_from[FAKE_MMAP] = 0;
	cr_expect_eq(lz_ledger_set(ledger, 0, PAGE, plain), 0);
	cr_expect_eq(lz_ledger_committed(ledger), 12288);
}

Test(ledger, whole_address_space)
{
	struct lz_ledger *ledger = new_ledger();

	cr_expect_eq(lz_ledger_set(ledger, 0, UINT64_C(1) << 47, plain), 0);
	cr_expect_eq(ledger->tables.count[0], UINT64_C(1) << 26);
	cr_expect_eq(ledger->tables.count[3], 1);
	cr_expect_eq(lz_ledger_remove(ledger, 0, UINTPTR_MAX), 0);
	cr_expect_eq(lz_ledger_committed(ledger), 0);
}
