/* core/: requests served, refused and failing half-way, with an os table that fails on command. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "core/info.h"
#include "core/inside.h"
#include "fake_os.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct lz_core core;

static void start(char *const *envp)
{
	const struct lz_os *os = fake_os();

	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, os, envp, "prog"), 0);
	cr_assert(core.active);
}

static char *const quiet_refuse[] = {
	"LAZYZERO_LOG=none", "LAZYZERO_POLICY=refuse", "LAZYZERO_BUDGET=1M", NULL};
static char *const quiet[] = {"LAZYZERO_LOG=none", NULL};

/* AddressSanitizer's shadow memory alone would need gigabytes of page tables: small budgets mean nothing
 * there. */
#ifdef __SANITIZE_ADDRESS__
#define NEEDS_SMALL_BUDGET() cr_skip_test("the sanitizer's shadow memory exceeds a small budget")
#else
#define NEEDS_SMALL_BUDGET() ((void)0)
#endif

static int allocate(size_t size, void **out)
{
	struct lz_request request = {.call = "calloc", .size = size, .caller = __builtin_return_address(0)};

	return lz_core_allocate(&core, &request, 0, out);
}

static int resize(void *p, size_t size, void **out)
{
	struct lz_request request = {.call = "realloc", .size = size, .caller = __builtin_return_address(0)};

	return lz_core_resize(&core, &request, p, out);
}

static uint64_t committed(void)
{
	return lz_ledger_committed(&core.ledger);
}

Test(core, a_region_lives_and_dies)
{
	void *p = NULL;
	size_t size = 0;
	uint64_t before;

	start(quiet);
	cr_assert_eq(allocate(1, &p), 0);
	cr_assert_eq(lz_core_free(&core, p), 0);
	before = committed();
	cr_assert_eq(allocate(GIB + 1, &p), 0);
	cr_expect_eq(lz_core_size(&core, p, &size), 0);
	cr_expect_eq(size, GIB + core.page);
	cr_expect_geq(committed() - before, 2 * MIB);
	cr_expect_eq(atomic_load(&core.reserved), 0);
	((char *)p)[GIB] = 1;
	cr_expect_eq(lz_core_free(&core, p), 0);
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_core_free(&core, p), -ENOENT, "freed twice");
	cr_expect_eq(lz_core_size(&core, p, &size), -ENOENT);
	cr_expect_eq(lz_core_free(&core, &core), -ENOENT);
	cr_expect_eq(core.stats.wire->regions, 0);
	cr_expect_eq(core.stats.wire->region_bytes, 0);
	cr_expect_eq(core.stats.wire->regions_total, 2);
}

Test(core, impossible_sizes)
{
	void *p = NULL;

	start(quiet);
	cr_expect_eq(allocate(0, &p), -ENOMEM);
	cr_expect_eq(allocate(SIZE_MAX, &p), -ENOMEM);
	cr_expect_eq(allocate((size_t)PTRDIFF_MAX + 1, &p), -ENOMEM);
	cr_expect_eq(allocate((size_t)1 << 60, &p), -EAGAIN,
		"no such address space: for the next allocator to say");
	cr_expect_eq(atomic_load(&core.reserved), 0);
	cr_expect_null(p);
}

Test(core, refusal_loses_nothing)
{
	void *p = NULL, *q = NULL;

	NEEDS_SMALL_BUDGET();
	start(quiet_refuse);
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	memset(p, 7, 16 * MIB);
	cr_expect_eq(allocate(GIB, &q), -ENOMEM);
	cr_expect_eq(resize(p, GIB, &q), -ENOMEM);
	cr_expect_null(q);
	cr_expect_eq(((char *)p)[16 * MIB - 1], 7);
	cr_expect_eq(core.stats.wire->refused, 2);
	cr_expect_eq(atomic_load(&core.reserved), 0);
	cr_expect_eq(lz_core_free(&core, p), 0);
}

Test(core, what_others_unmap_is_found_before_refusing)
{
	void *p = NULL, *q = NULL;

	NEEDS_SMALL_BUDGET();
	start(quiet_refuse);
	cr_assert_eq(allocate(400 * MIB, &p), 0);
	cr_expect_eq(allocate(300 * MIB, &q), -ENOMEM);
	/* Behind the ledger's back: only /proc/self/maps knows. */
	cr_assert_eq(munmap(p, 400 * MIB), 0);
	cr_expect_eq(allocate(300 * MIB, &q), 0);
	lz_core_free(&core, q);
}

Test(core, what_others_map_counts_by_vmpte)
{
	size_t length = GIB;
	void *p = NULL;
	volatile char *other;

	NEEDS_SMALL_BUDGET();
	start(quiet_refuse);
	other = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	cr_assert_neq(other, MAP_FAILED);
	for (size_t i = 0; i < length; i += 4096)
		(void)other[i];
	cr_expect_eq(allocate(2 * MIB, &p), -ENOMEM);
	munmap((void *)other, length);
	cr_expect_eq(allocate(2 * MIB, &p), 0);
}

Test(core, regions_lie_where_they_need_the_fewest_tables)
{
	unsigned seed = 7;
	uint64_t alone = 0, before;
	void *p = NULL;

	start(quiet);
	cr_assert_eq(allocate(MIB, &p), 0);
	before = core.ledger.tables.count[0];
	for (int i = 0; i < 400; i++) {
		size_t size = MIB + (size_t)rand_r(&seed) % (40 * MIB);
		struct lz_tables fewest = lz_tables_fewest(core.geometry, size, core.page_shift);

		cr_assert_eq(allocate(size, &p), 0);
		alone += fewest.count[0];
	}
	/* Each by itself could not do with less; neighbours that share a table do. */
	cr_expect_leq(core.ledger.tables.count[0] - before, alone);
	printf("%lu PTE tables for 400 regions, %lu if each lay alone\n",
		core.ledger.tables.count[0] - before, alone);
}

Test(core, what_the_kernel_cannot_map_is_not_reported_as_served)
{
	static char *const tight[] = {"LAZYZERO_BUDGET=1M", NULL};
	void *p = NULL;

	start(tight);
	cr_expect_eq(allocate((size_t)1 << 60, &p), -EAGAIN);
	cr_expect_eq(core.stats.wire->over_budget, 0);
	cr_expect_str_eq(fake.written, "");
	cr_expect_eq(allocate(8 * GIB, &p), 0);
	cr_expect_eq(core.stats.wire->over_budget, 1);
	cr_expect_not_null(
		strstr(fake.written, "served calloc(8589934592) over the budget"), "%s", fake.written);
}

Test(core, resizing_moves_page_tables)
{
	void *p = NULL, *q = NULL;
	char *bytes;

	start(quiet);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	bytes = p;
	bytes[0] = 1;
	bytes[64 * MIB - 1] = 2;
	cr_assert_eq(resize(p, 8 * GIB, &q), 0);
	bytes = q;
	cr_expect_eq(bytes[0], 1);
	cr_expect_eq(bytes[64 * MIB - 1], 2);
	cr_expect_eq(bytes[8 * GIB - 1], 0);
	cr_expect(q == p || lz_core_free(&core, p) == -ENOENT);
	cr_assert_eq(resize(q, 2 * MIB, &p), 0);
	cr_expect_eq(p, q);
	cr_expect_eq(*(char *)p, 1);
	cr_expect_eq(core.stats.wire->region_bytes, 2 * MIB);
	cr_expect_eq(lz_core_free(&core, p), 0);
	cr_expect_eq(core.stats.wire->region_bytes, 0);
}

/* Every mapping call of a request fails in turn: nothing leaks, the books agree, the next request works. */
Test(core, failures_at_any_point_leave_no_trace)
{
	for (enum fake_call call = FAKE_MMAP; call <= FAKE_MADVISE; call++) {
		for (unsigned n = 1; n < 8; n++) {
			void *p = NULL, *q = NULL;
			uint64_t before;
			size_t size;

			start(quiet);
			cr_assert_eq(allocate(3 * MIB, &p), 0);
			before = committed();
			memset(fake.calls, 0, sizeof fake.calls);
			fake.fail_at[call] = n;
			if (allocate(5 * MIB + 4096, &q) == 0)
				cr_expect_eq(lz_core_free(&core, q), 0);
			cr_expect_eq(committed(), before, "call %d, %u", call, n);
			cr_expect_eq(atomic_load(&core.reserved), 0);
			memset(fake.calls, 0, sizeof fake.calls);
			*(char *)p = 9;
			if (resize(p, 700 * MIB, &q) != 0)
				q = p;
			cr_expect_eq(*(char *)q, 9);
			cr_expect_eq(lz_core_size(&core, q, &size), 0);
			fake.fail_at[call] = 0;
			cr_expect_eq(lz_core_free(&core, q), 0, "call %d, %u", call, n);
			cr_expect_eq(core.stats.wire->regions, 0);
			cr_expect_eq(core.stats.wire->region_bytes, 0);
			cr_expect_eq(atomic_load(&core.reserved), 0);
		}
	}
}

Test(core, without_proc_it_still_serves)
{
	static const struct fake_file files[] = {{"/proc/thread-self/status", NULL},
		{"/proc/thread-self/maps", NULL}, {"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};
	void *p = NULL;

	start(quiet_refuse);
	fake.files = files;
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	cr_expect_eq(allocate(GIB, &p), -ENOMEM, "the ledger alone can refuse");
}

Test(core, growth_needs_no_room_for_two)
{
	void *p = NULL, *q = NULL;
	size_t size = 0;

	start(quiet);
	cr_assert_eq(allocate(16 * MIB, &p), 0);
	*(char *)p = 5;
	fake.fail_from[FAKE_MMAP] = fake.calls[FAKE_MMAP] + 1;
	cr_assert_eq(resize(p, 48 * MIB, &q), 0);
	cr_expect_eq(*(char *)q, 5);
	cr_expect_eq(lz_core_size(&core, q, &size), 0);
	cr_expect_eq(size, 48 * MIB);
	cr_expect(q == p || lz_core_size(&core, p, &size) == -ENOENT);
	cr_expect_eq(lz_core_free(&core, q), 0);
	cr_expect_eq(core.stats.wire->region_bytes, 0);
}

/* As numpy does: advice on a part makes several mappings of one region. */
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
	cr_expect_eq(lz_core_size(&core, q, &size), 0);
	cr_expect_eq(size, 128 * MIB);
	cr_expect_eq(lz_core_size(&core, p, &size), -ENOENT);
	cr_expect_eq(lz_core_free(&core, q), 0);
	cr_expect_eq(core.stats.wire->region_bytes, 0);
}

Test(core, growth_of_a_region_in_several_mappings)
{
	static const struct fake_file no_pagemap[] = {{"/proc/thread-self/pagemap", NULL}, {0}};

	start(quiet);
	grow_a_split_region();
	fake.files = no_pagemap;
	grow_a_split_region();
}

Test(core, a_call_that_fails_changes_nothing)
{
	struct lz_region info;
	uint64_t before;
	void *p = NULL;

	start(quiet);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	before = committed();
	cr_expect_eq(lz_core_munmap(&core, p, (size_t)1 << 62), -EINVAL);
	fake.fail_at[FAKE_MUNMAP] = fake.calls[FAKE_MUNMAP] + 1;
	cr_expect_eq(lz_core_munmap(&core, p, 64 * MIB), -ENOMEM);
	fake.fail_at[FAKE_MREMAP] = fake.calls[FAKE_MREMAP] + 1;
	cr_expect_eq(lz_core_mremap(&core, p, 64 * MIB, 128 * MIB, 0, NULL, NULL), -ENOMEM);
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_core_region_info(&core, p, &info), 0, "the range still belongs to its region");
	cr_expect_eq(lz_core_free(&core, p), 0);
}

Test(core, a_broken_read_of_the_map_forgets_nothing)
{
	void *p = NULL;
	uint64_t before;

	start(quiet);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	before = committed();
	cr_assert(lz_core_enter(&core));
	fake.fail_from[FAKE_READ] = fake.calls[FAKE_READ] + 1;
	fake.error = -EIO;
	cr_expect_eq(lz_core_reconcile(&core), -EIO);
	fake.fail_from[FAKE_READ] = 0;
	lz_core_leave(&core);
	cr_expect_eq(committed(), before);
	cr_expect(core.ledger.inexact);
}

Test(core, a_foreign_file_is_not_taken_for_statistics)
{
	char path[] = "/tmp/lz-notes-XXXXXX", variable[64] = "LAZYZERO_STATS=", content[8] = "";
	char *envp[] = {variable, NULL};
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "my notes", 8), 8);
	strcat(variable, path);
	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, fake_os(), envp, "prog"), 0);
	cr_expect_not_null(strstr(fake.written, "File exists"), "%s", fake.written);
	cr_assert_eq(pread(fd, content, 8, 0), 8);
	cr_expect_eq(memcmp(content, "my notes", 8), 0);
	close(fd);
	unlink(path);
}

static intptr_t map(void *at, size_t length, int protection, int flags)
{
	return lz_core_mmap(&core, at, length, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0, NULL);
}

Test(core, reservations_cost_nothing_until_they_can_be_touched)
{
	intptr_t at;
	uint64_t before;

	NEEDS_SMALL_BUDGET();
	start(quiet_refuse);
	cr_assert_not(lz_os_failed(at = map(NULL, 4096, PROT_READ, 0)));
	cr_assert(lz_core_enter(&core)); /* refusing reconciles: know everything from the start */
	lz_core_reconcile(&core);
	lz_core_leave(&core);
	before = committed();
	at = map(NULL, (size_t)16 << 40, PROT_NONE, 0);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(committed(), before);
	cr_expect_eq(lz_core_mprotect(&core, (void *)at, 2 * MIB, PROT_READ, NULL), 0);
	cr_expect_gt(committed(), before);
	cr_expect_eq(lz_core_mprotect(&core, (void *)at, (size_t)1 << 40, PROT_READ, NULL), -ENOMEM);
	cr_expect_eq(lz_core_mprotect(&core, (void *)at, 2 * MIB, PROT_NONE, NULL), 0);
	cr_expect_eq(committed(), before);
	cr_expect_eq(map((void *)at, (size_t)1 << 40, PROT_READ, MAP_FIXED), -ENOMEM);
	cr_expect_eq(lz_core_munmap(&core, (void *)at, (size_t)16 << 40), 0);
	cr_expect_eq(committed(), before);
}

Test(core, huge_pages_cost_what_their_size_needs)
{
	uint64_t before;
	intptr_t at;

	start(quiet);
	cr_assert_not(lz_os_failed(map(NULL, 4096, PROT_READ, 0)));
	before = core.ledger.tables.count[0];
	/* Without a reservation, address space for huge pages is to be had even where none are set aside. */
	at = map(NULL, 64 * MIB, PROT_READ, MAP_HUGETLB);
	if (lz_os_failed(at))
		cr_skip_test("no hugetlb memory here");
	cr_expect_eq(core.ledger.tables.count[0], before);
	cr_expect_eq(lz_core_munmap(&core, (void *)at, 3 * MIB), -EINVAL, "not a multiple of the huge page");
	cr_expect_eq(core.ledger.tables.count[0], before);
	cr_expect_eq(lz_core_munmap(&core, (void *)at, 64 * MIB), 0);
}

Test(core, shared_memory_and_stacks_are_followed)
{
	int id = shmget(IPC_PRIVATE, 64 * MIB, IPC_CREAT | 0600);
	uint64_t before;
	intptr_t at;

	start(quiet);
	cr_assert_geq(id, 0);
	cr_assert_not(lz_os_failed(map(NULL, 4096, PROT_READ, 0)));
	before = core.ledger.bytes;
	at = lz_core_shmat(&core, id, NULL, 0, NULL);
	shmctl(id, IPC_RMID, NULL);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(core.ledger.bytes, before + 64 * MIB);
	cr_expect_eq(lz_core_munmap(&core, (void *)(at + 8 * (intptr_t)MIB), 8 * MIB), 0);
	cr_expect_eq(core.ledger.bytes, before + 56 * MIB);
	cr_expect_eq(lz_core_shmdt(&core, (void *)at), 0);
	cr_expect_eq(core.ledger.bytes, before);
	at = map(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_STACK | MAP_GROWSDOWN);
	cr_assert_not(lz_os_failed(at));
	cr_expect_eq(core.ledger.bytes, before + 8 * MIB);
	cr_expect_eq(lz_core_munmap(&core, (void *)at, 8 * MIB), 0);
	cr_expect_eq(core.ledger.bytes, before);
}

Test(core, huge_page_advice_is_ignored_only_where_it_was_said)
{
	static char *const never[] = {"LAZYZERO_LOG=none", "LAZYZERO_THP=never", NULL};
	intptr_t other;
	void *p = NULL;

	start(never);
	cr_assert_eq(allocate(8 * MIB, &p), 0);
	cr_expect_eq(fake.last_advice, MADV_NOHUGEPAGE);
	fake.last_advice = -1;
	cr_expect_eq(lz_core_madvise(&core, p, 4 * MIB, MADV_HUGEPAGE), 0);
	cr_expect_eq(fake.last_advice, -1, "ignored");
	lz_core_madvise(&core, p, 4 * MIB, MADV_DONTNEED);
	cr_expect_eq(fake.last_advice, MADV_DONTNEED);
	other = map(NULL, 8 * MIB, PROT_READ, 0);
	lz_core_madvise(&core, (void *)other, 8 * MIB, MADV_HUGEPAGE);
	cr_expect_eq(fake.last_advice, MADV_HUGEPAGE, "the program's own mapping");
}

Test(core, region_info_counts_pages)
{
	struct lz_region info;
	char *p = NULL;
	volatile char sink;

	start(quiet);
	cr_assert_eq(allocate(16 * MIB, (void **)&p), 0);
	cr_assert_eq(lz_core_region_info(&core, p + 5, &info), 0);
	cr_expect_eq(info.base, (void *)p);
	cr_expect_eq(info.size, 16 * MIB);
	if (info.resident_bytes == LZ_UNKNOWN)
		cr_skip_test("PAGEMAP_SCAN needs Linux 6.7");
	cr_expect_eq(info.resident_bytes, 0);
	cr_expect_eq(info.page_table_bytes, 0);
	lz_core_madvise(&core, p, 16 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 8 * MIB; i += 4096)
		sink = p[i];
	(void)sink;
	p[0] = 1;
	p[4 * MIB] = 1;
	cr_assert_eq(lz_core_region_info(&core, p, &info), 0);
	cr_expect_eq(info.resident_bytes, 8192);
	cr_expect_eq(info.zero_mapped_bytes, 8 * MIB - 8192);
	cr_expect_geq(info.page_table_bytes, 4 * 4096);
	cr_expect_eq(lz_core_zero(&core, p + 1, 8 * MIB), 0);
	cr_expect_eq(p[0], 1);
	cr_expect_eq(p[4 * MIB], 0);
	cr_expect_eq(lz_core_zero(&core, p, 16 * MIB + 1), -EINVAL);
	cr_expect_eq(lz_core_region_info(&core, &core, &info), -EINVAL);
}

Test(core, a_forked_child_has_books_of_its_own)
{
	void *p = NULL;
	int status = 0;
	pid_t child;

	start(quiet);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	/* As if another thread had been inside at the time of the fork. */
	cr_assert_neq(lz_lock_enter(&core.lock), LZ_LOCK_UNAVAILABLE);
	child = fork();
	if (child == 0) {
		void *q = NULL;

		lz_lock_leave(
			&core.lock); /* the thread that forked is inside, as a signal handler's fork is */
		if (allocate(64 * MIB, &q) != 0 || *(char *)q != 0 || lz_core_free(&core, q) != 0)
			_exit(1);
		if (lz_core_free(&core, p) != 0)
			_exit(2);
		_exit(core.stats.wire->pid == (uint64_t)getpid() ? 0 : 3);
	}
	lz_lock_leave(&core.lock);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	cr_expect_eq(lz_core_free(&core, p), 0);
}

Test(core, inside_the_lock_calls_pass_by)
{
	void *p = NULL, *q = NULL;
	size_t size;

	start(quiet);
	cr_assert_eq(allocate(MIB, &p), 0);
	cr_assert_eq(lz_lock_enter(&core.lock), LZ_LOCK_TAKEN);
	cr_expect_eq(allocate(MIB, &q), -EAGAIN);
	cr_expect_eq(lz_core_size(&core, p, &size), 0, "looking up needs no lock");
	cr_expect_eq(lz_core_free(&core, p), 0, "nor does freeing");
	lz_lock_leave(&core.lock);
	cr_expect_eq(lz_core_free(&core, p), -ENOENT);
	cr_assert_eq(allocate(MIB, &q), 0);
	cr_expect_eq(atomic_load(&core.regions.leftover), 0, "what was left is swept");
	lz_core_free(&core, q);
}

Test(core, the_statistics_file)
{
	char path[] = "/tmp/lz-stats-XXXXXX", variable[64] = "LAZYZERO_STATS=";
	char *envp[] = {"LAZYZERO_LOG=none", variable, NULL};
	struct lz_wire wire;
	void *p = NULL;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	strcat(variable, path);
	start(envp);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	cr_assert_eq(pread(fd, &wire, sizeof wire, 0), (ssize_t)sizeof wire);
	cr_expect_str_eq(wire.magic, LZ_WIRE_MAGIC);
	cr_expect_eq(wire.version, LZ_WIRE_VERSION);
	cr_expect_eq(wire.size, sizeof wire);
	cr_expect_eq(wire.pid, (uint64_t)getpid());
	cr_expect_eq(wire.state, LZ_WIRE_RUNNING);
	cr_expect_eq(wire.regions, 1);
	cr_expect_eq(wire.region_bytes, 64 * MIB);
	cr_expect_geq(wire.committed, 32 * 4096);
	cr_expect_str_eq(wire.executable, "prog");
	cr_expect_neq(wire.start_time, 0);
	lz_core_close(&core);
	cr_assert_eq(pread(fd, &wire, sizeof wire, 0), (ssize_t)sizeof wire);
	cr_expect_eq(wire.state, LZ_WIRE_EXITED);
	/* As after exec: the same process counts on. */
	start(envp);
	cr_expect_eq(core.stats.wire->regions_total, 1);
	cr_expect_eq(core.stats.wire->regions, 0);
	close(fd);
	unlink(path);
}

Test(core, statistics_that_cannot_be_kept_are_mentioned)
{
	char *envp[] = {"LAZYZERO_STATS=/dev/full", NULL};
	void *p = NULL;

	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, fake_os(), envp, "prog"), 0);
	cr_expect_not_null(strstr(fake.written, "no statistics"), "%s", fake.written);
	cr_expect_eq(allocate(MIB, &p), 0);
}
