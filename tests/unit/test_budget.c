/* budget/budget.c: which requests go on a window, and what a decision over the budget costs. */
#include "core_fixture.h"

#include "backing/backings.h"

#define KIB UINT64_C(1024)

static char *const small_budget_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=1M", NULL};
static char *const zeropage_env[] = {
	"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=1M", "LAZYZERO_BACKING=zeropage", NULL};
static char *const strict_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=1M", "LAZYZERO_POLICY=refuse", NULL};

/* Without MAP_NORESERVE, so that all of it counts. */
static intptr_t map_counted(size_t length)
{
	return lz_calls_mmap(&core.calls, NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL);
}

/* Sets the budget to what is in use and `more` bytes. */
static void set_budget(uint64_t more)
{
	cr_assert_not(lz_os_failed(map_counted(MIB)));
	cr_assert(lz_books_lock(&core.books));
	lz_books_reconcile(&core.books);
	lz_books_read_vmpte(&core.books, 0);
	lz_books_unlock(&core.books);
	core.books.budget.bytes = (committed() > core.books.actual ? committed() : core.books.actual) + more;
}

static bool has_windows(void)
{
	struct lz_lease lease;
	bool has = lz_backing_for_choice(LZ_BACKING_WINDOW)
			   ->acquire(&core.backings, 64 * MIB, 64 * MIB, &lease) == 0;

	if (has)
		lz_lease_release(&core.backings, &lease);
	return has;
}

/* Maps memory of this size until some goes on a window; returns the bytes of tables committed before that. */
static uint64_t committed_until_windowed(size_t length)
{
	uint64_t before = 0;

	for (int i = 0; i < 2000 && core.books.stats.wire->window_regions_total == 0; i++) {
		before = committed();
		cr_assert_not(lz_os_failed(map_counted(length)), "%d", i);
	}
	cr_assert_eq(core.books.stats.wire->window_regions_total, 1);
	return before;
}

Test(budget, small_requests_go_on_windows_beyond_half_of_the_budget)
{
	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(small_budget_env);
	if (!has_windows())
		cr_skip_test("no windows here");
	set_budget(512 * KIB);
	cr_expect_gt(committed_until_windowed(30 * MIB), core.books.budget.bytes * 3 / 2 - 128 * KIB);
	cr_expect_leq(committed(), core.books.budget.bytes * 3 / 2);
}

Test(budget, larger_requests_go_on_windows_at_once)
{
	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(small_budget_env);
	if (!has_windows())
		cr_skip_test("no windows here");
	set_budget(512 * KIB);
	cr_expect_leq(committed_until_windowed(32 * MIB), core.books.budget.bytes);
}

Test(budget, small_requests_go_on_windows_at_once_where_the_policy_refuses)
{
	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(strict_env);
	if (!has_windows())
		cr_skip_test("no windows here");
	set_budget(512 * KIB);
	cr_expect_leq(committed_until_windowed(30 * MIB), core.books.budget.bytes);
}

/* VmPTE takes 6 us to read, /proc/self/maps 0.3 us for each mapping. */
Test(budget, decisions_over_the_budget_read_no_files)
{
	unsigned reads, opens;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(zeropage_env);
	fake.now_ms = 5000;
	cr_assert_not(lz_os_failed(map_counted(8 * GIB)));
	cr_assert_not(lz_os_failed(map_counted(GIB)));
	reads = fake.calls[FAKE_READ];
	opens = fake.calls[FAKE_OPEN];
	for (int i = 0; i < 100; i++) {
		intptr_t at = map_counted(GIB);

		cr_assert_not(lz_os_failed(at));
		cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, GIB), 0);
	}
	cr_expect_eq(core.books.stats.wire->over_budget, 102);
	cr_expect_eq(fake.calls[FAKE_READ], reads);
	cr_expect_eq(fake.calls[FAKE_OPEN], opens);
	/* The value of VmPTE is old now. */
	fake.now_ms += 11;
	cr_assert_not(lz_os_failed(map_counted(GIB)));
	cr_expect_eq(fake.calls[FAKE_OPEN], opens + 1);
}

/* What is unmapped is no longer in VmPTE, although that was read before. */
Test(budget, unmapped_memory_does_not_count_until_vmpte_is_read_again)
{
	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(zeropage_env);
	fake.now_ms = 5000;
	set_budget(3 * MIB);
	for (int i = 0; i < 4; i++) {
		intptr_t at = map_counted(GIB);

		cr_assert_not(lz_os_failed(at));
		for (size_t page = 0; page < GIB; page += 2 * MIB)
			cr_assert_eq(*(volatile char *)(at + (intptr_t)page), 0);
		cr_assert(lz_books_lock(&core.books));
		lz_books_read_vmpte(&core.books, 0);
		lz_books_unlock(&core.books);
		cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, GIB), 0);
	}
	cr_expect_eq(core.books.stats.wire->over_budget, 0);
}

static void keep_one_region(void)
{
	void *p;

	cr_assert_eq(allocate(2 * MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	cr_assert_eq(atomic_load(&core.cache.count), 1);
}

Test(budget, cached_regions_stay_if_unmapping_them_does_not_help)
{
	intptr_t at;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(zeropage_env);
	keep_one_region();
	cr_assert_not(lz_os_failed(map_counted(GIB)));
	cr_expect_eq(core.books.stats.wire->over_budget, 1);
	cr_expect_eq(atomic_load(&core.cache.count), 1, "2 MiB are not why 1 GiB is over the budget");
	/* Within the budget, if the cached region's tables go. */
	set_budget(0);
	at = map_counted(MIB);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(atomic_load(&core.cache.count), 0);
}

/* Taking the lock is two system calls. */
Test(budget, mapping_takes_no_lock_for_the_cache)
{
	unsigned empty, filled, before;
	intptr_t at;

	start_core((char *[]){"LAZYZERO_LOG=none", NULL});
	fake.now_ms = 5000;
	cr_assert_not(lz_os_failed(map_counted(2 * MIB)));
	before = fake.calls[FAKE_BLOCK_SIGNALS];
	at = map_counted(2 * MIB);
	empty = fake.calls[FAKE_BLOCK_SIGNALS] - before;
	cr_assert_not(lz_os_failed(at));
	keep_one_region();
	before = fake.calls[FAKE_BLOCK_SIGNALS];
	at = map_counted(2 * MIB);
	filled = fake.calls[FAKE_BLOCK_SIGNALS] - before;
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(filled, empty);
	fake.now_ms += 1001;
	cr_assert_not(lz_os_failed(map_counted(2 * MIB)));
	cr_expect_eq(atomic_load(&core.cache.count), 0);
}

static unsigned locks_of_a_request(char *const *environment)
{
	unsigned before;

	start_core(environment);
	fake.now_ms = 5000;
	cr_assert_not(lz_os_failed(map_counted(8 * GIB)));
	cr_assert_not(lz_os_failed(map_counted(MIB)));
	before = fake.calls[FAKE_BLOCK_SIGNALS];
	cr_assert_not(lz_os_failed(map_counted(MIB)));
	return fake.calls[FAKE_BLOCK_SIGNALS] - before;
}

Test(budget, no_window_is_tried_for_less_than_a_block)
{
	static char *const window_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", NULL};

	SKIP_WITHOUT_SMALL_BUDGETS();
	cr_expect_leq(locks_of_a_request(window_env), locks_of_a_request(zeropage_env));
}

/* The second lease of a window that was checked a moment ago maps nothing to find out about mlockall. */
Test(budget, a_window_that_exists_is_leased_without_mapping_memory)
{
	struct lz_lease lease;
	unsigned before;

	start_core(small_budget_env);
	fake.now_ms = 5000;
	if (!has_windows())
		cr_skip_test("no windows here");
	before = fake.calls[FAKE_MMAP];
	cr_assert_eq(
		lz_backing_for_choice(LZ_BACKING_WINDOW)->acquire(&core.backings, 64 * MIB, 64 * MIB, &lease),
		0);
	cr_expect_eq(fake.calls[FAKE_MMAP], before);
	lz_lease_release(&core.backings, &lease);
}
