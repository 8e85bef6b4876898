/* accounting/reservations.c: reservations of calls that never end are reclaimed. */
#include "core_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/wait.h>

static jmp_buf out;

static __attribute__((noinline)) void use_stack(void)
{
	volatile char frame[16384];

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = 1;
}

/* A request that is granted, and left by a jump before its range enters the ledger. */
static __attribute__((noinline)) void longjmp_after_grant(uint64_t bytes)
{
	struct lz_request request = {.call = "mmap", .size = bytes};
	struct lz_table_demand need = {.bytes = bytes, .page_shift = core.books.page_shift};
	struct lz_grant grant;

	cr_assert_eq(lz_budget_request(&core.budget, &request, &need, &grant, NULL), 0);
	cr_assert_gt(grant.cost, 0);
	longjmp(out, 1);
}

Test(reservations, reservation_of_an_abandoned_call_is_reclaimed)
{
	void *p = NULL;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env); /* the budget is 1 MiB */
	for (volatile int i = 0; i < 50; i++)
		if (setjmp(out) == 0)
			longjmp_after_grant(128 * MIB);
		else
			use_stack();
	cr_assert_eq(allocate(256 * MIB, &p), 0, "reservations were not reclaimed");
	cr_expect_lt(atomic_load(&core.books.reservations.bytes), 256 * 1024);
	lz_heap_free(&core.heap, p);
}

Test(reservations, live_calls_keep_their_reservations)
{
	struct lz_request request = {.call = "mmap", .size = 128 * MIB};
	struct lz_table_demand need = {.bytes = 128 * MIB, .page_shift = core.books.page_shift};
	struct lz_grant grants[2 * LZ_RESERVATIONS];
	uint64_t cost;

	start_core(no_log_env);
	need.page_shift = core.books.page_shift;
	for (size_t i = 0; i < 2 * LZ_RESERVATIONS; i++)
		cr_assert_eq(lz_budget_request(&core.budget, &request, &need, &grants[i], NULL), 0);
	cost = grants[0].cost;
	cr_assert_eq(lz_books_lock(&core.books), true);
	lz_reservations_reclaim(&core.books.reservations);
	lz_books_unlock(&core.books);
	cr_expect_eq(atomic_load(&core.books.reservations.bytes), 2 * LZ_RESERVATIONS * cost);
	for (size_t i = 0; i < 2 * LZ_RESERVATIONS; i++)
		lz_budget_settle(&core.budget, &grants[i], false);
	cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
}

static pthread_barrier_t barrier;
static int acquired;

/* Holds a window across the fork. */
static void *hold_a_window(void *unused)
{
	struct lz_lease lease;

	acquired = lz_window_acquire(&core.backings, GIB, GIB, &lease);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	lz_window_release(&core.backings, &lease);
	return unused;
}

/* The number of retired windows that seem to be in use. */
static unsigned retired_windows_in_use(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		count += core.windows.window[i].bytes != 0 && core.windows.window[i].retired;
	return count;
}

static int acquire_larger(uint64_t bytes)
{
	struct lz_lease lease;
	int error = lz_window_acquire(&core.backings, bytes, 64 * MIB, &lease);

	lz_window_release(&core.backings, &lease);
	return error;
}

Test(reservations, forked_child_releases_windows_held_by_other_threads)
{
	pthread_t thread;
	int status = 0;
	pid_t child;

	start_core(no_log_env);
	pthread_barrier_init(&barrier, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, hold_a_window, NULL), 0);
	pthread_barrier_wait(&barrier);
	child = acquired == 0 ? fork() : -1;
	if (child == 0) {
		if (acquire_larger(100 * GIB) != 0)
			_exit(2);
		_exit(retired_windows_in_use() != 0);
	}
	if (child > 0)
		waitpid(child, &status, 0);
	if (acquired == 0) {
		cr_expect_eq(acquire_larger(100 * GIB), 0);
		cr_expect_eq(retired_windows_in_use(), 1, "still in use in the parent");
	}
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	cr_expect_eq(retired_windows_in_use(), 0);
	if (acquired != 0)
		cr_skip_test("zero windows are not available");
	cr_expect_eq(status, 0);
}
