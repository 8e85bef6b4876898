/* calls/mmap.c, calls/mremap.c: the program's own calls, tracked, refused and failing. */
#include "core_fixture.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

Test(mmap_calls, failed_call_leaves_the_books_unchanged)
{
	struct lz_region info;
	uint64_t before;
	void *p = NULL;

	start_core(no_log_env);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	before = committed();
	cr_expect_eq(lz_calls_munmap(&core.calls, p, (size_t)1 << 62), -EINVAL);
	fake.fail_at[FAKE_MUNMAP] = fake.calls[FAKE_MUNMAP] + 1;
	cr_expect_eq(lz_calls_munmap(&core.calls, p, 64 * MIB), -ENOMEM);
	fake.fail_at[FAKE_MREMAP] = fake.calls[FAKE_MREMAP] + 1;
	cr_expect_eq(lz_calls_mremap(&core.calls, p, 64 * MIB, 128 * MIB, 0, NULL, NULL), -ENOMEM);
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_heap_region_info(&core.heap, p, &info), 0, "the range still belongs to its region");
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
}

Test(mmap_calls, failed_read_of_maps_removes_nothing)
{
	void *p = NULL;
	uint64_t before;

	start_core(no_log_env);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	before = committed();
	cr_assert(lz_books_lock(&core.books));
	fake.fail_from[FAKE_READ] = fake.calls[FAKE_READ] + 1;
	fake.error = -EIO;
	cr_expect_eq(lz_books_reconcile(&core.books), -EIO);
	fake.fail_from[FAKE_READ] = 0;
	lz_books_unlock(&core.books);
	cr_expect_eq(committed(), before);
	cr_expect(core.books.ledger.inexact);
}

static char *const cache_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=64M", NULL};

/* Calls that change attributes of freed memory: the next owner of the memory must not inherit them. */
Test(mmap_calls, calls_on_freed_memory_evict_it_from_the_cache)
{
	for (int call = 0; call < 6; call++) {
		void *p = NULL;

		start_core(cache_env);
		cr_assert_eq(allocate(16 * MIB, &p), 0);
		memset(p, 1, 16 * MIB);
		cr_assert_eq(lz_heap_free(&core.heap, p), 0);
		cr_assert_eq(atomic_load(&core.cache.count), 1, "call %d", call);
		switch (call) {
		case 0:
			lz_calls_before_naming(&core.calls, p, 4096);
			break;
		case 1:
			lz_calls_before_mlock(&core.calls, p, 4096);
			break;
		case 2:
			lz_calls_mbind(&core.calls, p, 4096, 0, NULL, 0, 0);
			break;
		case 3:
			lz_calls_process_madvise(&core.calls, -10001 /* PIDFD_SELF_THREAD_GROUP */,
				&(struct iovec){p, 4096}, 1, MADV_DONTDUMP, 0);
			break;
		case 4:
			lz_calls_before_userfault(
				&core.calls, &(struct uffdio_register){.range = {(uintptr_t)p, 4096},
						     .mode = UFFDIO_REGISTER_MODE_WP});
			break;
		case 5:
			lz_calls_before_kernel_keeps_pages(&core.calls);
			break;
		}
		cr_expect_eq(atomic_load(&core.cache.count), 0, "call %d", call);
		cr_assert_eq(allocate(16 * MIB, &p), 0);
		memset(p, 1, 16 * MIB);
		cr_assert_eq(lz_heap_free(&core.heap, p), 0);
		cr_expect_eq(atomic_load(&core.cache.count), call != 5, "call %d", call);
	}
}

/* A pidfd of a child, and with PIDFD_THREAD (Linux 6.9) of a thread of this process. */
Test(mmap_calls, process_madvise_of_another_process_changes_nothing_here)
{
	pid_t child = fork();
	void *p = NULL, *freed = NULL;
	unsigned calls;
	int pidfd, self;

	if (child == 0) {
		pause();
		_exit(0);
	}
	cr_assert_gt(child, 0);
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	start_core(cache_env);
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	cr_assert_eq(allocate(16 * MIB, &freed), 0);
	memset(freed, 1, 16 * MIB);
	cr_assert_eq(lz_heap_free(&core.heap, freed), 0);
	cr_assert_eq(atomic_load(&core.cache.count), 1);
	calls = fake.calls[FAKE_MADVISE];
	if (pidfd >= 0) {
		const int advice[] = {MADV_DONTDUMP, MADV_WIPEONFORK, MADV_FREE, MADV_COLD};
		const struct iovec ranges[] = {{p, MIB}, {freed, MIB}};

		for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
			lz_calls_process_madvise(&core.calls, pidfd, ranges, 2, advice[i], 0);
		cr_expect_eq(atomic_load(&core.cache.count), 1);
		cr_expect_eq(fake.calls[FAKE_MADVISE], calls);
		cr_expect_not(lz_regions_find(&core.books.regions, (uintptr_t)p)->altered_by_program);
		close(pidfd);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self >= 0) {
		lz_calls_process_madvise(&core.calls, self, &(struct iovec){p, MIB}, 1, MADV_DONTDUMP, 0);
		cr_expect(lz_regions_find(&core.books.regions, (uintptr_t)p)->altered_by_program);
		close(self);
	}
}

struct thread_pidfd {
	void *block;
	int pidfd;
};

static void *advise_by_thread(void *argument)
{
	struct thread_pidfd *thread = argument;

	thread->pidfd = (int)syscall(SYS_pidfd_open, syscall(SYS_gettid), O_EXCL /* PIDFD_THREAD */);
	if (thread->pidfd >= 0)
		lz_calls_process_madvise(
			&core.calls, thread->pidfd, &(struct iovec){thread->block, MIB}, 1, MADV_DONTDUMP, 0);
	return NULL;
}

Test(mmap_calls, process_madvise_by_a_thread_of_this_process)
{
	struct thread_pidfd argument = {.pidfd = -1};
	pthread_t thread;

	start_core(cache_env);
	cr_assert_eq(allocate(16 * MIB, &argument.block), 0);
	cr_assert_eq(pthread_create(&thread, NULL, advise_by_thread, &argument), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	if (argument.pidfd < 0)
		cr_skip_test("no pidfd of a thread (Linux 6.9)");
	cr_expect(lz_regions_find(&core.books.regions, (uintptr_t)argument.block)->altered_by_program);
	close(argument.pidfd);
}

/* 1 MiB of page tables is what 512 MiB need. */
Test(mmap_calls, noreserve_mappings_count_when_touched)
{
	const size_t fits = 256 * MIB;
	intptr_t at[40];
	uint64_t before, counted;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	cr_assert(lz_books_lock(&core.books));
	lz_books_reconcile(&core.books);
	lz_books_unlock(&core.books);
	before = committed();
	for (int i = 0; i < 40; i++)
		cr_assert_not(
			lz_os_failed(at[i] = map_anonymous(NULL, fits, PROT_READ | PROT_WRITE, 0)), "%d", i);
	cr_expect_eq(committed(), before);
	/* A reconciliation with /proc/self/maps, which does not show MAP_NORESERVE, changes nothing. */
	cr_assert(lz_books_lock(&core.books));
	lz_books_reconcile(&core.books);
	lz_books_unlock(&core.books);
	cr_expect_eq(committed(), before);
	/* One that alone exceeds the budget counts, and is refused. */
	cr_expect_eq(map_anonymous(NULL, 1024 * MIB, PROT_READ, 0), -ENOMEM);
	/* Growing and shrinking change nothing; without MAP_NORESERVE, and after PROT_NONE, memory counts. */
	at[0] = lz_calls_mremap(&core.calls, (void *)at[0], fits, 300 * MIB, MREMAP_MAYMOVE, NULL, NULL);
	cr_assert_not(lz_os_failed(at[0]));
	cr_expect_eq(committed(), before);
	cr_expect_eq(
		lz_calls_mremap(&core.calls, (void *)at[0], 300 * MIB, 4 * fits, MREMAP_MAYMOVE, NULL, NULL),
		-ENOMEM, "now it exceeds the budget alone");
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)(at[0] + MIB), MIB), 0);
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at[1], 64 * MIB, PROT_NONE, -1, NULL), 0);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at[1], 64 * MIB, PROT_READ, -1, NULL), 0);
	counted = committed();
	cr_expect_geq(counted, before + 32 * 4096);
	cr_assert_not(lz_os_failed(lz_calls_mmap(
		&core.calls, NULL, 64 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL)));
	cr_expect_geq(committed(), counted + 32 * 4096);
}

static void reconcile(void)
{
	cr_assert(lz_books_lock(&core.books));
	cr_expect_eq(lz_books_reconcile(&core.books), 0);
	lz_books_unlock(&core.books);
}

/* The end of a file is where its mapping ends to count, through all calls that change the mapping. */
Test(mmap_calls, file_mappings_count_up_to_the_end_of_the_file)
{
	const size_t tib = (size_t)1 << 40;
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	uint64_t before, small;
	intptr_t at, at_offset;

	SKIP_WITHOUT_SMALL_BUDGETS();
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, 132 << 10), 0);
	start_core(refuse_env);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	reconcile();
	before = committed();
	at = lz_calls_mmap(&core.calls, NULL, tib, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, NULL);
	cr_assert_not(lz_os_failed(at));
	small = committed();
	cr_expect_leq(small, before + 4 * 4096, "as many levels as one page needs");
	reconcile();
	cr_expect_eq(committed(), small, "/proc/self/maps does not show where the file ends");

	/* Other protection, also none and back. */
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, tib, PROT_READ, -1, NULL), 0);
	cr_expect_eq(committed(), small);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, tib, PROT_NONE, -1, NULL), 0);
	cr_expect_eq(committed(), before);
	reconcile();
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, tib, PROT_READ, -1, NULL), 0);
	cr_expect_eq(committed(), small);

	/* Growing, moving, and unmapping a part. */
	at = lz_calls_mremap(&core.calls, (void *)at, tib, 2 * tib, MREMAP_MAYMOVE, NULL, NULL);
	cr_assert_not(lz_os_failed(at));
	cr_expect_leq(committed(), before + 4 * 4096);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)(at + (intptr_t)tib), tib), 0);
	cr_expect_leq(committed(), before + 4 * 4096);

	/* What takes its place counts. */
	cr_expect_eq(lz_calls_mmap(&core.calls, (void *)(at + 2 * (intptr_t)MIB), tib / 2, PROT_READ,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0, NULL),
		-ENOMEM);
	cr_expect_eq(map_anonymous((void *)(at + 2 * (intptr_t)MIB), 64 * MIB, PROT_READ, MAP_FIXED),
		at + 2 * (intptr_t)MIB);
	reconcile();
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, tib), 0);
	cr_expect_eq(committed(), before);

	/* The offset counts; a file that is there counts whole; one of another kind has no end. */
	cr_assert_eq(ftruncate(fd, (off_t)tib), 0);
	cr_expect_eq(lz_calls_mmap(&core.calls, NULL, tib, PROT_READ, MAP_SHARED, fd, 0, NULL), -ENOMEM);
	at_offset = lz_calls_mmap(
		&core.calls, NULL, tib, PROT_READ, MAP_PRIVATE, fd, (off_t)(tib - 128 * MIB), NULL);
	cr_assert_not(lz_os_failed(at_offset));
	cr_expect_geq(committed(), before + 64 * 4096);
	cr_expect_leq(committed(), before + 68 * 4096);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at_offset, tib), 0);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	cr_assert_geq(fd, 0);
	cr_expect_eq(lz_calls_mmap(&core.calls, NULL, tib, PROT_READ, MAP_SHARED, fd, 0, NULL), -ENOMEM);
	close(fd);
	cr_expect_eq(committed(), before);
}

/* A call that was missed mapped other memory where the books have the rest of a file. */
Test(mmap_calls, memory_in_the_place_of_a_file_counts_after_reconciling)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	uint64_t before;
	intptr_t at;

	SKIP_WITHOUT_SMALL_BUDGETS();
	cr_assert_geq(fd, 0);
	start_core(no_log_env);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	reconcile();
	before = committed();
	at = lz_calls_mmap(&core.calls, NULL, GIB, PROT_READ, MAP_SHARED, fd, 0, NULL);
	cr_assert_not(lz_os_failed(at));
	reconcile();
	cr_expect_eq(committed(), before, "nothing of an empty file can be touched");
	cr_assert_neq(
		mmap((void *)at, GIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
	reconcile();
	cr_expect_geq(committed(), before + 512 * 4096);
	close(fd);
}

Test(mmap_calls, prot_none_costs_nothing_until_made_accessible)
{
	intptr_t at;
	uint64_t before;

	SKIP_WITHOUT_SMALL_BUDGETS();
	start_core(refuse_env);
	cr_assert_not(lz_os_failed(at = map_anonymous(NULL, 4096, PROT_READ, 0)));
	cr_assert(lz_books_lock(
		&core.books)); /* a refusal reconciles; reconcile before, so that the figures do not change */
	lz_books_reconcile(&core.books);
	lz_books_unlock(&core.books);
	before = committed();
	at = map_anonymous(NULL, (size_t)16 << 40, PROT_NONE, 0);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, 2 * MIB, PROT_READ, -1, NULL), 0);
	cr_expect_gt(committed(), before);
	cr_expect_eq(
		lz_calls_mprotect(&core.calls, (void *)at, (size_t)1 << 40, PROT_READ, -1, NULL), -ENOMEM);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, 2 * MIB, PROT_NONE, -1, NULL), 0);
	cr_expect_eq(committed(), before);
	cr_expect_eq(map_anonymous((void *)at, (size_t)1 << 40, PROT_READ, MAP_FIXED), -ENOMEM);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, (size_t)16 << 40), 0);
	cr_expect_eq(committed(), before);
}

Test(mmap_calls, huge_pages_cost_what_their_size_needs)
{
	uint64_t before;
	intptr_t at;

	start_core(no_log_env);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	before = core.books.ledger.tables.count[0];
	/* With MAP_NORESERVE, hugetlb address space can be mapped even if no huge pages are reserved. */
	at = map_anonymous(NULL, 64 * MIB, PROT_READ, MAP_HUGETLB);
	if (lz_os_failed(at))
		cr_skip_test("hugetlb memory is not available");
	cr_expect_eq(core.books.ledger.tables.count[0], before);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, 3 * MIB), -EINVAL,
		"not a multiple of the huge page size");
	cr_expect_eq(core.books.ledger.tables.count[0], before);
	/* After mprotect to PROT_NONE and back, and after reconciling, the pages still count as huge. */
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, 64 * MIB, PROT_NONE, -1, NULL), 0);
	cr_expect_eq(
		lz_ledger_find_at_or_above(&core.books.ledger, (uintptr_t)at) == NULL ||
			lz_ledger_find_at_or_above(&core.books.ledger, (uintptr_t)at)->start > (uintptr_t)at,
		true);
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, 64 * MIB, PROT_READ, -1, NULL), 0);
	cr_expect_eq(core.books.ledger.tables.count[0], before);
	cr_assert(lz_books_lock(&core.books));
	lz_ledger_remove(&core.books.ledger, 0, UINTPTR_MAX);
	lz_books_reconcile(&core.books);
	lz_books_unlock(&core.books);
	cr_expect_eq(lz_ledger_find_at_or_above(&core.books.ledger, (uintptr_t)at)->traits.page_shift, 21);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, 64 * MIB), 0);
}

Test(mmap_calls, shm_segment_in_huge_pages)
{
	int id = shmget(IPC_PRIVATE, 64 * MIB, IPC_CREAT | SHM_HUGETLB | SHM_NORESERVE | 0600);
	uint64_t before;
	intptr_t at;

	if (id < 0)
		cr_skip_test("no shared memory segment in huge pages available");
	start_core(no_log_env);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	before = core.books.ledger.tables.count[0];
	at = lz_calls_shmat(&core.calls, id, NULL, 0, NULL);
	shmctl(id, IPC_RMID, NULL);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(core.books.ledger.tables.count[0], before);
	cr_expect_eq(lz_calls_shmdt(&core.calls, (void *)at), 0);
}

/* Determining the page size leaves nothing attached, and only the segment itself is charged. */
Test(mmap_calls, shm_segment_is_charged_once)
{
	static char *const fits_once[] = {
		"LAZYZERO_LOG=none", "LAZYZERO_POLICY=refuse", "LAZYZERO_BUDGET=3M", NULL};
	int id = shmget(IPC_PRIVATE, GIB, IPC_CREAT | SHM_NORESERVE | 0600);
	struct shmid_ds segment;
	intptr_t at;

	SKIP_WITHOUT_SMALL_BUDGETS();
	cr_assert_geq(id, 0);
	start_core(refuse_env);
	cr_expect_eq(lz_calls_shmat(&core.calls, id, NULL, 0, NULL), -ENOMEM);
	cr_expect_eq(shmctl(id, IPC_STAT, &segment), 0);
	cr_expect_eq(segment.shm_nattch, 0);
	start_core(fits_once);
	at = lz_calls_shmat(&core.calls, id, NULL, 0, NULL);
	cr_expect_not(lz_os_failed(at));
	cr_expect_eq(lz_calls_shmat(&core.calls, id, NULL, 0, NULL), -ENOMEM);
	cr_expect_eq(lz_calls_shmdt(&core.calls, (void *)at), 0);
	shmctl(id, IPC_RMID, NULL);
}

Test(mmap_calls, shared_memory_and_stacks_are_tracked)
{
	int id = shmget(IPC_PRIVATE, 64 * MIB, IPC_CREAT | 0600);
	uint64_t before;
	intptr_t at;

	start_core(no_log_env);
	cr_assert_geq(id, 0);
	cr_assert_not(lz_os_failed(map_anonymous(NULL, 4096, PROT_READ, 0)));
	before = core.books.ledger.bytes;
	at = lz_calls_shmat(&core.calls, id, NULL, 0, NULL);
	shmctl(id, IPC_RMID, NULL);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(core.books.ledger.bytes, before + 64 * MIB);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)(at + 8 * (intptr_t)MIB), 8 * MIB), 0);
	cr_expect_eq(core.books.ledger.bytes, before + 56 * MIB);
	cr_expect_eq(lz_calls_shmdt(&core.calls, (void *)at), 0);
	cr_expect_eq(core.books.ledger.bytes, before);
	at = map_anonymous(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_STACK | MAP_GROWSDOWN);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(core.books.ledger.bytes, before + 8 * MIB);
	cr_expect_eq(lz_calls_munmap(&core.calls, (void *)at, 8 * MIB), 0);
	cr_expect_eq(core.books.ledger.bytes, before);
}

Test(mmap_calls, huge_page_advice_is_ignored_only_in_own_regions)
{
	static char *const never[] = {"LAZYZERO_LOG=none", "LAZYZERO_THP=never", NULL};
	intptr_t other;
	void *p = NULL;

	start_core(never);
	cr_assert_eq(allocate(8 * MIB, &p), 0);
	cr_expect_eq(fake.last_advice, MADV_NOHUGEPAGE);
	fake.last_advice = -1;
	cr_expect_eq(lz_calls_madvise(&core.calls, p, 4 * MIB, MADV_HUGEPAGE), 0);
	cr_expect_eq(fake.last_advice, -1, "ignored");
	lz_calls_madvise(&core.calls, p, 4 * MIB, MADV_DONTNEED);
	cr_expect_eq(fake.last_advice, MADV_DONTNEED);
	other = map_anonymous(NULL, 8 * MIB, PROT_READ, 0);
	lz_calls_madvise(&core.calls, (void *)other, 8 * MIB, MADV_HUGEPAGE);
	cr_expect_eq(fake.last_advice, MADV_HUGEPAGE, "the program's own mapping");
}

/* Reading /proc/meminfo takes 30 us, and programs try for huge pages again and again. */
Test(mmap_calls, failed_huge_page_mappings_read_no_files)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	unsigned opened = 0;

	start_core(no_log_env);
	fake.now_ms = 5000;
	for (int i = 0; i < 5; i++) {
		intptr_t at = lz_calls_mmap(&core.calls, NULL, 2 * MIB, PROT_READ, flags, -1, 0, NULL);

		if (!lz_os_failed(at))
			lz_calls_munmap(&core.calls, (void *)at, 2 * MIB);
		if (i == 0)
			opened = fake.calls[FAKE_OPEN];
		cr_expect_eq(fake.calls[FAKE_OPEN], opened, "try %d", i);
	}
}

/* smaps walks page tables: 50 ms for each resident GiB. Taking the lock is two system calls. */
Test(mmap_calls, moving_memory_on_a_window_reads_no_files)
{
	unsigned opened, locked;
	intptr_t at, to;

	start_core((char *[]){"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", NULL});
	fake.now_ms = 5000;
	at = map_anonymous(NULL, 64 * MIB, PROT_READ | PROT_WRITE, 0);
	cr_assert_not(lz_os_failed(at));
	if (core.books.stats.wire->window_regions_total == 0)
		cr_skip_test("no windows here");
	to = map_anonymous(NULL, 128 * MIB, PROT_NONE, 0);
	cr_assert_not(lz_os_failed(to));
	/* Once, so that what is found out only once does not count. */
	at = lz_calls_mremap(
		&core.calls, (void *)at, 64 * MIB, 64 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to, NULL);
	cr_assert_eq(at, to);
	to += 64 * (intptr_t)MIB;
	opened = fake.calls[FAKE_OPEN];
	locked = fake.calls[FAKE_BLOCK_SIGNALS];
	at = lz_calls_mremap(
		&core.calls, (void *)at, 64 * MIB, 64 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to, NULL);
	cr_assert_eq(at, to);
	cr_expect_eq(fake.calls[FAKE_OPEN], opened);
	cr_expect_leq(fake.calls[FAKE_BLOCK_SIGNALS] - locked, 32 * 2 + 16, "two for each piece at most");
	opened = fake.calls[FAKE_OPEN];
	at = lz_calls_mremap(&core.calls, (void *)at, 64 * MIB, 66 * MIB, MREMAP_MAYMOVE, NULL, NULL);
	cr_assert_not(lz_os_failed(at));
	cr_expect_leq(fake.calls[FAKE_OPEN], opened + 1, "VmPTE perhaps, but not smaps");
}

Test(mmap_calls, protecting_and_mapping_over_memory_without_regions_takes_the_lock_once)
{
	unsigned before;
	intptr_t at;

	start_core(no_log_env);
	fake.now_ms = 5000;
	at = map_anonymous(NULL, MIB, PROT_READ | PROT_WRITE, 0);
	cr_assert_not(lz_os_failed(at));
	before = fake.calls[FAKE_BLOCK_SIGNALS];
	cr_expect_eq(lz_calls_mprotect(&core.calls, (void *)at, 4096, PROT_READ, -1, NULL), 0);
	cr_expect_eq(fake.calls[FAKE_BLOCK_SIGNALS], before + 1);
	cr_expect_eq(map_anonymous((void *)at, 4096, PROT_READ, MAP_FIXED), at);
	cr_expect_eq(fake.calls[FAKE_BLOCK_SIGNALS], before + 2);
}
