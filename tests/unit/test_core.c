/*
 * core/: requests that are served, refused, or fail half-way, on an os table whose calls can be made to fail.
 */
#include "core_fixture.h"
#include "kernel.h"

#include <stdio.h>
#include <sys/wait.h>

Test(core, allocate_measure_free)
{
	void *p = NULL;
	size_t size = 0;
	uint64_t before;

	start_core(no_log_env);
	cr_assert_eq(allocate(1, &p), 0);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	before = committed();
	cr_assert_eq(allocate(GIB + 1, &p), 0);
	cr_expect_eq(lz_heap_size(&core.heap, p, &size), 0);
	cr_expect_eq(size, GIB + core.books.page);
	cr_expect_geq(committed() - before, 2 * MIB);
	cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
	((char *)p)[GIB] = 1;
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_heap_free(&core.heap, p), -ENOENT, "freed twice");
	cr_expect_eq(lz_heap_size(&core.heap, p, &size), -ENOENT);
	cr_expect_eq(lz_heap_free(&core.heap, &core), -ENOENT);
	cr_expect_eq(core.books.stats.wire->regions, 0);
	cr_expect_eq(core.books.stats.wire->region_bytes, 0);
	cr_expect_eq(core.books.stats.wire->regions_total, 2);
}

Test(core, impossible_sizes)
{
	void *p = NULL;

	start_core(no_log_env);
	cr_expect_eq(allocate(0, &p), -ENOMEM);
	cr_expect_eq(allocate(SIZE_MAX, &p), -ENOMEM);
	cr_expect_eq(allocate((size_t)PTRDIFF_MAX + 1, &p), -ENOMEM);
	cr_expect_eq(allocate((size_t)1 << 60, &p), -EAGAIN,
		"more than the address space: left to the next allocator");
	cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
	cr_expect_null(p);
}

Test(core, refusal_leaves_existing_regions_unchanged)
{
	void *p = NULL, *q = NULL;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env);
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	memset(p, 7, 16 * MIB);
	cr_expect_eq(allocate(GIB, &q), -ENOMEM);
	cr_expect_eq(resize(p, GIB, &q), -ENOMEM);
	cr_expect_null(q);
	cr_expect_eq(((char *)p)[16 * MIB - 1], 7);
	cr_expect_eq(core.books.stats.wire->refused, 2);
	cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
}

Test(core, untracked_unmaps_are_reconciled_before_refusal)
{
	void *p = NULL, *q = NULL;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env);
	cr_assert_eq(allocate(400 * MIB, &p), 0);
	cr_expect_eq(allocate(300 * MIB, &q), -ENOMEM);
	/* The ledger does not record this call; only /proc/self/maps shows it. */
	cr_assert_eq(munmap(p, 400 * MIB), 0);
	cr_expect_eq(allocate(300 * MIB, &q), 0);
	lz_heap_free(&core.heap, q);
}

Test(core, untracked_mappings_count_through_vmpte)
{
	size_t length = GIB;
	void *p = NULL;
	volatile char *other;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env);
	other = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	cr_assert_neq(other, MAP_FAILED);
	for (size_t i = 0; i < length; i += 4096)
		(void)other[i];
	cr_expect_eq(allocate(2 * MIB, &p), -ENOMEM);
	munmap((void *)other, length);
	cr_expect_eq(allocate(2 * MIB, &p), 0);
}

Test(core, regions_are_placed_to_share_page_tables)
{
	unsigned seed = 7;
	uint64_t alone = 0, before;
	void *p = NULL;

	start_core(no_log_env);
	cr_assert_eq(allocate(MIB, &p), 0);
	before = core.books.ledger.tables.count[0];
	for (int i = 0; i < 400; i++) {
		size_t size = MIB + (size_t)rand_r(&seed) % (40 * MIB);
		struct lz_tables fewest = lz_tables_minimum(core.books.geometry, size, core.books.page_shift);

		cr_assert_eq(allocate(size, &p), 0);
		alone += fewest.count[0];
	}
	/* No region could have fewer tables by itself; neighbours share some. */
	cr_expect_leq(core.books.ledger.tables.count[0] - before, alone);
	printf("%lu PTE tables for 400 regions, %lu if each lay apart\n",
		core.books.ledger.tables.count[0] - before, alone);
}

Test(core, failed_mmap_is_not_logged_as_served)
{
	static char *const tight[] = {"LAZYZERO_BUDGET=1M", "LAZYZERO_BACKING=zeropage", NULL};
	void *p = NULL;

	start_core(tight);
	cr_expect_eq(allocate((size_t)1 << 60, &p), -EAGAIN);
	cr_expect_eq(core.books.stats.wire->over_budget, 0);
	cr_expect_str_eq(fake.written, "");
	cr_expect_eq(allocate(8 * GIB, &p), 0);
	cr_expect_eq(core.books.stats.wire->over_budget, 1);
	cr_expect_not_null(
		strstr(fake.written, "served calloc(8589934592) over the budget"), "%s", fake.written);
}

/*
 * Each mapping call of a request fails in turn: nothing leaks, the books are correct, the next request
 * succeeds.
 */
Test(core, failures_at_any_call_are_rolled_back)
{
	for (enum fake_call call = FAKE_MMAP; call <= FAKE_MADVISE; call++) {
		for (unsigned n = 1; n < 8; n++) {
			void *p = NULL, *q = NULL;
			uint64_t before;
			size_t size;

			start_core(no_log_env);
			cr_assert_eq(allocate(3 * MIB, &p), 0);
			before = committed();
			memset(fake.calls, 0, sizeof fake.calls);
			fake.fail_at[call] = n;
			if (allocate(5 * MIB + 4096, &q) == 0)
				cr_expect_eq(lz_heap_free(&core.heap, q), 0);
			cr_expect_eq(committed(), before, "call %d, %u", call, n);
			cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
			memset(fake.calls, 0, sizeof fake.calls);
			*(char *)p = 9;
			if (resize(p, 700 * MIB, &q) != 0)
				q = p;
			cr_expect_eq(*(char *)q, 9);
			cr_expect_eq(lz_heap_size(&core.heap, q, &size), 0);
			fake.fail_at[call] = 0;
			cr_expect_eq(lz_heap_free(&core.heap, q), 0, "call %d, %u", call, n);
			cr_expect_eq(core.books.stats.wire->regions, 0);
			cr_expect_eq(core.books.stats.wire->region_bytes, 0);
			cr_expect_eq(atomic_load(&core.books.reservations.bytes), 0);
		}
	}
}

Test(core, serves_without_proc)
{
	static const struct fake_file files[] = {{"/proc/thread-self/status", NULL},
		{"/proc/thread-self/maps", NULL}, {"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};
	void *p = NULL;

	start_core(refuse_env);
	fake.files = files;
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	cr_expect_eq(allocate(GIB, &p), -ENOMEM, "the ledger suffices to refuse");
}

Test(core, region_info_counts_pages)
{
	struct lz_region info;
	char *p = NULL;
	volatile char sink;

	start_core(no_log_env);
	cr_assert_eq(allocate(16 * MIB, (void **)&p), 0);
	cr_assert_eq(lz_heap_region_info(&core.heap, p + 5, &info), 0);
	cr_expect_eq(info.base, (void *)p);
	cr_expect_eq(info.size, 16 * MIB);
	if (info.resident_bytes == LZ_UNKNOWN)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	cr_expect_eq(info.resident_bytes, 0);
	cr_expect_eq(info.page_table_bytes, 0);
	lz_calls_madvise(&core.calls, p, 16 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 8 * MIB; i += 4096)
		sink = p[i];
	(void)sink;
	p[0] = 1;
	p[4 * MIB] = 1;
	cr_assert_eq(lz_heap_region_info(&core.heap, p, &info), 0);
	cr_expect_eq(info.resident_bytes + info.zero_mapped_bytes, 8 * MIB);
	if (kernel_has_zero_page())
		cr_expect_eq(info.resident_bytes, 8192);
	else
		printf("skipped: resident size after reads: this kernel maps its own pages on reads of "
		       "untouched memory, "
		       "not the zero page\n");
	cr_expect_geq(info.page_table_bytes, 4 * 4096);
	cr_expect_eq(lz_heap_zero(&core.heap, p + 1, 8 * MIB), 0);
	cr_expect_eq(p[0], 1);
	cr_expect_eq(p[4 * MIB], 0);
	cr_expect_eq(lz_heap_zero(&core.heap, p, 16 * MIB + 1), -EINVAL);
	cr_expect_eq(lz_heap_region_info(&core.heap, &core, &info), -EINVAL);
}

Test(core, forked_child_has_its_own_books)
{
	void *p = NULL;
	int status = 0;
	struct lz_frame_mark mark;
	pid_t child;

	start_core(no_log_env);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	/* As if another thread were in a section at the time of the fork. */
	cr_assert_neq(lz_lock_acquire(&core.books.lock, &mark), LZ_LOCK_UNAVAILABLE);
	child = fork();
	if (child == 0) {
		void *q = NULL;

		lz_lock_release(&core.books.lock); /* the forking thread is in a section, as if a signal
						      handler had forked */
		if (allocate(64 * MIB, &q) != 0 || *(char *)q != 0 || lz_heap_free(&core.heap, q) != 0)
			_exit(1);
		if (lz_heap_free(&core.heap, p) != 0)
			_exit(2);
		_exit(core.books.stats.wire->pid == (uint64_t)getpid() ? 0 : 3);
	}
	lz_lock_release(&core.books.lock);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
}

Test(core, reentrant_calls_bypass_the_library)
{
	void *p = NULL, *q = NULL;
	struct lz_frame_mark mark;
	size_t size;

	start_core(no_log_env);
	cr_assert_eq(allocate(MIB, &p), 0);
	cr_assert_eq(lz_lock_acquire(&core.books.lock, &mark), LZ_LOCK_ACQUIRED);
	cr_expect_eq(allocate(MIB, &q), -EAGAIN);
	cr_expect_eq(lz_heap_size(&core.heap, p, &size), 0, "lookups need no lock");
	cr_expect_eq(lz_heap_free(&core.heap, p), 0, "freeing needs no lock");
	lz_lock_release(&core.books.lock);
	cr_expect_eq(lz_heap_free(&core.heap, p), -ENOENT);
	cr_assert_eq(allocate(MIB, &q), 0);
	cr_expect_eq(atomic_load(&core.books.regions.deferred_count), 0, "deferred regions are unlinked");
	lz_heap_free(&core.heap, q);
}

/* --- frees of pointers that are not blocks --- */

Test(misuse, filter_contains_every_region)
{
	static const struct {
		uintptr_t base;
		size_t length;
	} regions[] = {{UINTPTR_MAX / 2 + 1 - GIB, MIB}, {0x7f0000000000, 64 * MIB},
		{0x7e0003ff0000, 2 * MIB}, {0x100000000000, 512 * GIB}, {0x200004000000, 7 * 64 * MIB},
		{0x300000000000, 8 * 64 * MIB}};
	const uintptr_t unit = 64 * MIB;

	start_core(no_log_env);
	for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
		uintptr_t first = regions[i].base & -unit,
			  last = (regions[i].base + regions[i].length - 1) & -unit;

		cr_expect_not(lz_regions_may_be_near(&core.books.regions, first), "%zu", i);
		lz_regions_filter_add(&core.books.regions, regions[i].base, regions[i].length);
		for (uintptr_t at = first; at <= last; at += unit)
			cr_assert(lz_regions_may_be_near(&core.books.regions, at) &&
				  lz_regions_may_be_near(&core.books.regions, at + unit - 1));
		cr_expect_not(lz_regions_may_be_near(&core.books.regions, first - 1), "%zu", i);
		cr_expect_not(lz_regions_may_be_near(&core.books.regions, last + unit), "%zu", i);
	}
}

Test(misuse, only_certain_misuse_is_classified)
{
	char *p, *foreign = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t base = 0;
	size_t length = 0;

	start_core((char *[]){"LAZYZERO_LOG=none", NULL});
	cr_assert_eq(allocate(2 * MIB, (void **)&p), 0);
	cr_expect_eq(lz_heap_classify(&core.heap, p, &base, &length), LZ_MISUSE_NONE, "the start of a block");
	cr_expect_eq(lz_heap_classify(&core.heap, p + 4096, &base, &length), LZ_MISUSE_INTERIOR);
	cr_expect(base == (uintptr_t)p && length == 2 * MIB);
	cr_expect_eq(lz_heap_classify(&core.heap, foreign, &base, &length), LZ_MISUSE_NONE);
	/* If an untracked call was made, the books are not trusted. */
	atomic_store(&core.books.has_untracked_calls, true);
	cr_expect_eq(lz_heap_classify(&core.heap, p + 4096, &base, &length), LZ_MISUSE_NONE);
	atomic_store(&core.books.has_untracked_calls, false);
	cr_assert_eq(lz_heap_free(&core.heap, p), 0);
	cr_expect_eq(lz_heap_classify(&core.heap, p, &base, &length), LZ_MISUSE_DOUBLE_FREE);
	lz_cache_flush(&core.cache);
	cr_expect_eq(lz_heap_classify(&core.heap, p, &base, &length), LZ_MISUSE_UNMAPPED);
	munmap(foreign, 4096);
}

/* An unsigned age of -1 ms must not count as very old. */
Test(core, vmpte_is_not_read_twice_in_one_millisecond)
{
	for (uint64_t now = 5000; now < 5002; now++) {
		unsigned opened;

		start_core(no_log_env);
		fake.now_ms = now;
		cr_assert(lz_books_lock(&core.books));
		lz_books_read_vmpte(&core.books, 1);
		opened = fake.calls[FAKE_OPEN];
		lz_books_read_vmpte(&core.books, 1);
		cr_expect_eq(fake.calls[FAKE_OPEN], opened, "at %d", (int)now);
		fake.now_ms++;
		lz_books_read_vmpte(&core.books, 1);
		cr_expect_eq(fake.calls[FAKE_OPEN], opened + 1, "at %d", (int)now);
		lz_books_reconcile(&core.books);
		cr_expect_leq(core.books.reconciled_ms, fake.now_ms);
		lz_books_unlock(&core.books);
	}
}

/*
 * A region has left the books and is not unmapped yet when another thread reconciles them. If the program's
 * calls are not followed, nothing would remove the entry again, and advice of the program on what is mapped
 * there next would be answered as on a window.
 */
Test(core, region_about_to_be_unmapped_stays_out_of_the_window_map)
{
	char *const env[] = {
		"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", "LAZYZERO_INTERCEPT=calloc", NULL};
	struct lz_region_record *region;
	void *gone, *kept;

	start_core(env);
	cr_assert_eq(allocate(8 * MIB, &gone), 0);
	cr_assert_eq(allocate(8 * MIB, &kept), 0);
	if (core.books.stats.wire->window_regions != 2)
		cr_skip_test("no window can be made here");
	region = lz_regions_find(&core.books.regions, (uintptr_t)gone);
	cr_assert(lz_regions_claim(region));
	lz_books_remove_region(&core.books, region, (uintptr_t)gone, 8 * MIB, core.backings.header.bytes);
	lz_books_reconcile_after_failure(&core.books);
	cr_expect_eq(lz_books_window_tag_at(&core.books, (uintptr_t)gone), 0);
	cr_expect_neq(lz_books_window_tag_at(&core.books, (uintptr_t)kept), 0);
	munmap((char *)gone - core.backings.header.bytes, 8 * MIB + core.backings.header.bytes);
	cr_expect_eq(lz_heap_free(&core.heap, kept), 0);
}
