/* cache/cache.c: which regions are cached, for how long, and their contents when they are reused. */
#include "core_fixture.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/resource.h>

#include "cache/cache.h"
#include "os/mman.h"

static char *const cache_8m_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=8M", NULL};

static int allocate_zeroed(size_t size, char **out)
{
	struct lz_request request = {.call = "calloc", .size = size, .zeroed = true};

	return lz_heap_allocate(&core.heap, &request, 0, (void **)out);
}

static unsigned cached_regions(void)
{
	return atomic_load(&core.cache.count);
}

Test(cache, reused_region_is_zero_and_reused_once)
{
	char *p, *q, *r;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(2 * MIB, &p), 0);
	p[0] = p[MIB + 5] = p[2 * MIB - 1] = 7;
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(cached_regions(), 1);
	cr_expect_eq(lz_heap_free(&core.heap, p), -ENOENT, "freed twice");
	cr_assert_eq(allocate_zeroed(2 * MIB - 9000, &q), 0);
	cr_expect_eq(q, p, "serves a slightly smaller request");
	cr_expect_eq(cached_regions(), 0);
	cr_expect_eq(core.books.stats.wire->recycled, 1);
	for (size_t i = 0; i < 2 * MIB; i++)
		cr_assert_eq(q[i], 0, "byte %zu", i);
	cr_assert_eq(allocate_zeroed(2 * MIB, &r), 0);
	cr_expect_neq(r, q);
	cr_expect_eq(lz_heap_free(&core.heap, q), 0);
	cr_expect_eq(lz_heap_free(&core.heap, r), 0);
	cr_expect_eq(core.books.stats.wire->regions, 0);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
}

Test(cache, fully_resident_regions_are_zero_on_every_reuse)
{
	char *p;

	start_core(cache_8m_env);
	for (int round = 0; round < 5; round++) {
		cr_assert_eq(allocate_zeroed(MIB, &p), 0);
		for (size_t i = 0; i < MIB; i++)
			cr_assert_eq(p[i], 0, "round %d, byte %zu", round, i);
		memset(p, 1 + round, MIB);
		/*
		 * Part of the memory is dropped: the region still counts as fully resident, and must be zero
		 * when reused.
		 */
		if (round == 3)
			lz_calls_madvise(&core.calls, p, MIB / 2, MADV_DONTNEED);
		cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	}
	cr_expect_eq(core.books.stats.wire->recycled, 4);
}

/* Freeing a large region scans its page tables, unless it was fully resident when it was last zeroed. */
Test(cache, known_resident_regions_are_not_scanned)
{
	char *p;

	start_core(cache_8m_env);
	fake.now_ms = 5000;
	for (int round = 0; round < 3; round++) {
		unsigned opened;

		cr_assert_eq(allocate_zeroed(4 * MIB, &p), 0);
		cr_assert(p[0] == 0 && p[4 * MIB - 1] == 0);
		memset(p, 1, 4 * MIB);
		opened = fake.pagemaps;
		cr_assert_eq(lz_heap_free(&core.heap, p), 0);
		cr_expect_eq(fake.pagemaps == opened, round > 0, "round %d", round);
	}
	cr_expect_eq(cached_regions(), 1);
}

/*
 * Caches a written region of `from` bytes, then requests `to` bytes. Returns whether the region was reused.
 */
static bool reuses_with_other_size(size_t from, size_t to)
{
	uint64_t recycled = core.books.stats.wire->recycled;
	char *p, *q;

	cr_assert_eq(allocate_zeroed(from, &p), 0);
	memset(p, 7, from);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	cr_assert_eq(allocate_zeroed(to, &q), 0);
	for (size_t i = 0; i < to; i++)
		cr_assert_eq(q[i], 0, "%zu bytes from %zu: byte %zu", to, from, i);
	cr_expect_eq(core.books.stats.wire->regions, 1);
	cr_expect_eq(core.books.stats.wire->region_bytes,
		lz_regions_find(&core.books.regions, (uintptr_t)q)->length);
	recycled = core.books.stats.wire->recycled - recycled;
	cr_expect_eq(recycled, cached_regions() == 0);
	cr_assert_eq(lz_heap_free(&core.heap, q), 0);
	lz_cache_flush(&core.cache);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
	return recycled != 0;
}

Test(cache, cached_regions_are_resized_if_that_saves_page_faults)
{
	start_core(cache_8m_env);
	cr_expect(reuses_with_other_size(2 * MIB, 2 * MIB + 4096), "grown");
	cr_expect(reuses_with_other_size(MIB, 7 * MIB), "grown");
	cr_expect(reuses_with_other_size(4 * MIB, 3 * MIB), "shrunk");
	cr_expect_not(reuses_with_other_size(MIB / 2, 7 * MIB), "too few resident pages");
	cr_expect_not(reuses_with_other_size(7 * MIB, MIB), "would discard most of the region");
	cr_expect_not(reuses_with_other_size(4 * MIB, 9 * MIB), "the result would be too large to cache");
	cr_expect_eq(committed(), 0);
}

Test(cache, region_stays_cached_if_mremap_fails)
{
	char *p, *q;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(2 * MIB, &p), 0);
	memset(p, 7, 2 * MIB);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	fake.error = -ENOMEM;
	fake.fail_from[FAKE_MREMAP] = 1;
	cr_assert_eq(allocate_zeroed(4 * MIB, &q), 0);
	for (size_t i = 0; i < 4 * MIB; i++)
		cr_assert_eq(q[i], 0);
	cr_expect_leq(core.books.stats.wire->regions, 1);
	lz_heap_free(&core.heap, q);
	lz_cache_flush(&core.cache);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
	cr_expect_eq(committed(), 0);
}

Test(cache, requested_alignment_is_respected)
{
	struct lz_request aligned = {.call = "memalign", .size = 2 * MIB};
	char *p;
	void *r;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(2 * MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	cr_assert_eq(lz_heap_allocate(&core.heap, &aligned, GIB, &r), 0);
	cr_expect_eq((uintptr_t)r % GIB, 0);
	aligned.size = 3 * MIB;
	cr_assert_eq(lz_heap_allocate(&core.heap, &aligned, GIB, &r), 0);
	cr_expect_eq((uintptr_t)r % GIB, 0);
}

Test(cache, oldest_regions_are_evicted_at_the_limit)
{
	char *p[8];

	start_core(cache_8m_env);
	for (size_t i = 0; i < 8; i++) {
		cr_assert_eq(allocate_zeroed(2 * MIB, &p[i]), 0);
		memset(p[i], 1, 2 * MIB);
	}
	for (size_t i = 0; i < 8; i++) {
		cr_assert_eq(lz_heap_free(&core.heap, p[i]), 0);
		cr_expect_leq(core.cache.resident, 8 * MIB);
	}
	cr_expect_eq(cached_regions(), 4);
	cr_expect_eq(core.books.stats.wire->cache_bytes, 8 * MIB);
	cr_expect_eq(mincore(p[0], 4096, (unsigned char[1]){0}), -1, "the oldest is unmapped");
	cr_expect_eq(mincore(p[7], 4096, (unsigned char[1]){0}), 0);
	cr_expect(lz_cache_flush(&core.cache));
	cr_expect_eq(cached_regions(), 0);
	cr_expect_eq(core.cache.resident, 0);
}

Test(cache, sparse_region_larger_than_the_cache_is_kept)
{
	char *p, *q;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(GIB, &p), 0);
	p[5] = p[GIB - 1] = 1;
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	if (cached_regions() == 0)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	cr_expect_leq(core.cache.resident, 64 * 1024);
	cr_assert_eq(allocate_zeroed(GIB, &q), 0);
	cr_expect_eq(q, p);
	cr_expect_eq(q[5] | q[GIB - 1], 0);
}

Test(cache, idle_regions_are_unmapped)
{
	char *p, *q;

	start_core(cache_8m_env);
	fake.now_ms = 1000000;
	cr_assert_eq(allocate_zeroed(MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	fake.now_ms += 900;
	lz_cache_trim_idle(&core.cache);
	cr_expect_eq(cached_regions(), 1);
	fake.now_ms += 200;
	map_anonymous(NULL, 4096, PROT_READ, 0);
	cr_expect_eq(cached_regions(), 0);
	cr_expect_eq(allocate_zeroed(MIB, &q), 0);
}

Test(cache, regions_altered_by_the_program_are_not_cached)
{
	void *moved;
	char *p;

	start_core(cache_8m_env);
	for (int how = 0; how < 9; how++) {
		cr_assert_eq(allocate_zeroed(2 * MIB, &p), 0);
		switch (how) {
		case 0:
			lz_calls_mprotect(&core.calls, p + 4096, 4096, PROT_READ, -1, NULL);
			break;
		case 1:
			lz_calls_mprotect(&core.calls, p + 4096, 4096, PROT_NONE, -1, NULL);
			lz_calls_mprotect(&core.calls, p + 4096, 4096, PROT_READ | PROT_WRITE, -1, NULL);
			break;
		case 2:
			lz_calls_munmap(&core.calls, p + MIB, 4096);
			break;
		case 3:
			map_anonymous(p + MIB, 4096, PROT_READ | PROT_WRITE, MAP_FIXED);
			break;
		case 4:
			lz_calls_madvise(&core.calls, p, 4096, MADV_DONTFORK);
			break;
		case 5:
			lz_calls_before_userfault(
				&core.calls, &(struct uffdio_register){.range = {(uintptr_t)p, 4096}});
			break;
		case 6: /* fails at a hole, after protecting the memory before it */
			fake.error = -ENOMEM;
			fake.fail_at[FAKE_MPROTECT] = fake.calls[FAKE_MPROTECT] + 1;
			cr_expect_eq(
				lz_calls_mprotect(&core.calls, p, 2 * MIB, PROT_READ, -1, NULL), -ENOMEM);
			break;
		case 7: /* re-entrant call, as from a signal handler: it cannot be recorded */
			cr_assert(lz_books_lock(&core.books));
			cr_expect_eq(lz_calls_mprotect(&core.calls, p, 4096, PROT_READ, -1, NULL), 0);
			lz_books_unlock(&core.books);
			lz_books_reconcile_after_failure(&core.books);
			atomic_store(&core.books.has_untracked_calls, false);
			break;
		case 8: /* a region moved by realloc stays altered */
			lz_calls_madvise(&core.calls, p, 2 * MIB, MADV_DONTDUMP);
			/* Occupies the memory after the region, unless something else of the process does. */
			map_anonymous(p + 2 * MIB, 4096, PROT_NONE, MAP_FIXED_NOREPLACE);
			cr_assert_eq(resize(p, 3 * MIB, &moved), 0);
			cr_assert_neq(moved, p);
			p = moved;
			break;
		}
		cr_expect_eq(lz_heap_free(&core.heap, p), 0);
		cr_expect_eq(cached_regions(), 0, "alteration %d", how);
	}
}

Test(cache, nothing_is_cached_if_mmap_calls_are_not_intercepted)
{
	static char *const unseen[] = {
		"LAZYZERO_LOG=none", "LAZYZERO_CACHE=8M", "LAZYZERO_INTERCEPT=malloc,calloc", NULL};
	char *p;

	start_core(unseen);
	cr_assert_eq(allocate_zeroed(2 * MIB, &p), 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(cached_regions(), 0);
}

Test(cache, unnoticed_guard_pages_are_removed_before_reuse)
{
	char *p, *q;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(4 * MIB, &p), 0);
	p[MIB] = 1;
	if (lz_os_linux.madvise(p + 2 * MIB, 8192, MADV_GUARD_INSTALL) != 0)
		cr_skip_test("guard pages need Linux 6.13");
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_assert_eq(allocate_zeroed(4 * MIB, &q), 0);
	cr_expect_eq(p, q);
	for (size_t i = 0; i < 4 * MIB; i++)
		cr_assert_eq(q[i], 0, "byte %zu", i);
}

Test(cache, cache_is_flushed_before_a_request_is_refused)
{
	static char *const tight[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=64M", "LAZYZERO_POLICY=refuse",
		"LAZYZERO_BUDGET=1200K", "LAZYZERO_BACKING=zeropage", NULL};
	char *p, *q;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(tight);
	cr_assert_eq(allocate_zeroed(300 * MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	if (cached_regions() == 0)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	cr_expect_eq(allocate_zeroed(400 * MIB, &q), 0, "with the cached region it would exceed the budget");
	cr_expect_eq(cached_regions(), 0);
}

Test(cache, reuse_respects_a_reduced_budget)
{
	static char *const refusing[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=64M", "LAZYZERO_POLICY=refuse",
		"LAZYZERO_BUDGET=1G", "LAZYZERO_BACKING=zeropage", NULL};
	char *p;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refusing);
	cr_assert_eq(allocate_zeroed(900 * MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	if (cached_regions() == 0)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	core.books.budget.bytes = 1200 << 10;
	cr_expect_eq(allocate_zeroed(900 * MIB, &p), -ENOMEM);
	cr_expect_eq(cached_regions(), 0);
}

Test(cache, cache_is_flushed_if_mmap_fails)
{
	char *p, *q;

	start_core(cache_8m_env);
	cr_assert_eq(allocate_zeroed(MIB, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	fake.fail_at[FAKE_MMAP] = fake.calls[FAKE_MMAP] + 1;
	cr_expect_eq(allocate_zeroed(3 * MIB, &q), 0);
	cr_expect_eq(cached_regions(), 0);
}

Test(cache, nothing_is_cached_if_disabled_or_under_rlimit_as)
{
	static char *const off[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=0", NULL};
	struct rlimit limit = {.rlim_cur = (rlim_t)1 << 46, .rlim_max = RLIM_INFINITY};
	char *p;

	start_core(off);
	cr_assert_eq(allocate_zeroed(MIB, &p), 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(cached_regions(), 0);
	start_core(cache_8m_env);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_eq(allocate_zeroed(MIB, &p), 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(cached_regions(), 0);
}

/* Without PAGEMAP_SCAN, a region is cleared as a whole, or dropped. */
Test(cache, works_without_pagemap_scan)
{
	static const struct fake_file none[] = {{"/proc/thread-self/pagemap", NULL}, {0}};
	char *p, *q;

	start_core(cache_8m_env);
	fake.files = none;
	for (int dense = 0; dense < 2; dense++) {
		cr_assert_eq(allocate_zeroed(MIB, &p), 0);
		memset(p, 3, dense ? MIB : 10);
		cr_assert_eq(lz_heap_free(&core.heap, p), 0);
		cr_assert_eq(allocate_zeroed(MIB, &q), 0);
		cr_expect_eq(q, p);
		if (!dense)
			cr_expect_eq(fake.last_advice, MADV_DONTNEED, "dropped, not cleared whole");
		for (size_t i = 0; i < MIB; i++)
			cr_assert_eq(q[i], 0);
		lz_heap_free(&core.heap, q);
	}
}

/* Fills every byte before every free, so that reused memory that was not zeroed is noticed. */
static void *fill_and_free(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	size_t *dirty = calloc(1, sizeof *dirty);

	for (int round = 0; round < 300; round++) {
		size_t size = 4096 + (size_t)rand_r(&seed) % (512 * 1024);
		char *p;

		if (allocate_zeroed(size, &p) != 0)
			continue;
		for (size_t i = 0; i < size; i++)
			*dirty += p[i] != 0;
		memset(p, 0x55, size);
		lz_heap_free(&core.heap, p);
	}
	return dirty;
}

Test(cache, reused_regions_are_zero_in_concurrent_threads)
{
	pthread_t threads[3];

	start_core(cache_8m_env);
	for (uintptr_t i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, fill_and_free, (void *)(i + 1)), 0);
	for (int i = 0; i < 3; i++) {
		size_t *dirty;

		pthread_join(threads[i], (void **)&dirty);
		cr_expect_eq(*dirty, 0);
		free(dirty);
	}
	cr_expect_gt(core.books.stats.wire->recycled, 300);
}
