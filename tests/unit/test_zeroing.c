/*
 * zeroing/: contents are right whatever the kernel answers, untouched pages stay untouched, and what is
 * learned of blocks and call sites.
 */
#include "core_fixture.h"

#include <stdio.h>
#include <sys/ioctl.h>

#include "os/descriptors.h"
#include "os/facts.h"
#include "zeroing/internal.h"

#define PAGE ((size_t)4096)
#define BLOCK (8 * MIB)
#define CALLER ((const void *)0x1234)

/* --- an os table whose ioctl can be changed --- */

/* struct pm_scan_arg; see os/pagemap.c. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};

enum request { SCAN = 16, QUERY = 17 };

static struct {
	unsigned calls[32];     /* by the request's number */
	unsigned fail_at[32];   /* the nth call fails; 0: none */
	unsigned fail_from[32]; /* every call from the nth on fails; 0: none */
	int error;
	bool stuck;      /* PAGEMAP_SCAN does not advance */
	bool all_huge;   /* PAGEMAP_SCAN reports all pages as written, in huge pages */
	unsigned opened; /* files */
} answers;

static struct lz_os real, table;

static int answer_scan(struct scan *scan)
{
	struct {
		uint64_t start, end, categories;
	} *run = (void *)(uintptr_t)scan->vec;

	if (answers.stuck) {
		scan->walk_end = scan->start;
		return 0;
	}
	scan->walk_end = scan->end;
	if (scan->max_pages != 0 && (scan->end - scan->start) / PAGE > scan->max_pages)
		scan->walk_end = scan->start + scan->max_pages * PAGE;
	run->start = scan->start;
	run->end = scan->walk_end;
	run->categories = 1 << 6;
	return 1;
}

static int faulty_ioctl(int fd, unsigned long request, void *argument)
{
	unsigned number = _IOC_NR(request) % 32, n = ++answers.calls[number];

	if (n == answers.fail_at[number] ||
		(answers.fail_from[number] != 0 && n >= answers.fail_from[number]))
		return answers.error;
	if (number == SCAN && (answers.stuck || answers.all_huge))
		return answer_scan(argument);
	return real.ioctl(fd, request, argument);
}

static int counted_open(const char *path, int flags, unsigned mode)
{
	answers.opened++;
	return real.open(path, flags, mode);
}

static void start_with(char *const *envp)
{
	real = *fake_os();
	table = real;
	table.ioctl = faulty_ioctl;
	table.open = counted_open;
	lz_facts_forget();
	memset(&answers, 0, sizeof answers);
	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, &table, envp, "prog"), 0);
	memset(&answers, 0, sizeof answers);
}

static void start(void)
{
	start_with(no_log_env);
}

/* Skips the test where nothing can stay untouched. */
static void need_scans(void)
{
	if (!lz_fact_holds(&lz_os_linux, LZ_FACT_PAGEMAP_SCAN))
		cr_skip_test("no PAGEMAP_SCAN (Linux 6.7)");
}

/* --- memory --- */

static char *map_block(size_t size)
{
	intptr_t at = map_anonymous(NULL, size, PROT_READ | PROT_WRITE, 0);

	cr_assert(!lz_os_failed(at));
	return (char *)at;
}

static size_t resident(const char *p, size_t size)
{
	static unsigned char pages[BLOCK / PAGE];
	size_t count = 0;

	cr_assert_eq(mincore((void *)p, size, pages), 0);
	for (size_t i = 0; i < size / PAGE; i++)
		count += pages[i] & 1;
	return count;
}

static void write_every(char *p, size_t pages)
{
	for (size_t at = 0; at < BLOCK; at += pages * PAGE)
		p[at] = 7;
}

static void clear(char *p, size_t size)
{
	lz_zeroing_clear(&core.zeroing, p, size, CALLER);
}

static void assert_zero(const char *p, size_t size, const char *what)
{
	cr_assert(*p == 0 && memcmp(p, p + 1, size - 1) == 0, "%s: not zero", what);
}

static enum lz_zeroing_expectation expectation(const char *p, size_t size)
{
	return lz_zeroing_expect(&core.zeroing, (uintptr_t)p, (uintptr_t)p + size, CALLER);
}

static unsigned system_calls(void)
{
	unsigned count = answers.opened;

	for (size_t i = 0; i < 32; i++)
		count += answers.calls[i];
	return count;
}

/* --- contents --- */

/* Clears a block but for its first and last bytes, sparse and full. */
static void check_contents(const char *what)
{
	static const size_t distance[] = {1, 3, 40, BLOCK / PAGE};

	for (size_t i = 0; i < sizeof distance / sizeof *distance; i++) {
		char *p = map_block(BLOCK);

		for (int round = 0; round < 2; round++) {
			write_every(p, distance[i]);
			p[0] = p[BLOCK - 1] = p[BLOCK - 2] = p[1] = 9;
			clear(p + 1, BLOCK - 2);
			assert_zero(p + 1, BLOCK - 2, what);
			cr_assert(p[0] == 9 && p[BLOCK - 1] == 9, "%s: changed beside the range", what);
		}
		cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK), 0);
	}
}

Test(zeroing, contents_are_zero_whichever_call_fails)
{
	static const int errors[] = {-EINTR, -ENOTTY, -EPERM};
	static const unsigned places[] = {1, 2, 3, 5, 9, 20};
	char what[80];

	need_scans();
	for (enum request request = SCAN; request <= QUERY; request++)
		for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
			for (size_t i = 0; i < 2 * sizeof places / sizeof *places; i++) {
				unsigned n = places[i / 2];

				start();
				answers.error = errors[e];
				*(i & 1 ? &answers.fail_from[request] : &answers.fail_at[request]) = n;
				snprintf(what, sizeof what, "request %d, error %d %s %u", request, errors[e],
					i & 1 ? "from" : "at", n);
				check_contents(what);
			}
}

Test(zeroing, a_scan_that_does_not_advance_ends)
{
	start();
	answers.stuck = true;
	check_contents("stuck");
}

Test(zeroing, without_descriptors_everything_is_cleared)
{
	start_core(no_log_env);
	fake.error = -EMFILE;
	fake.fail_from[FAKE_OPEN] = fake.calls[FAKE_OPEN] + 1;
	check_contents("no descriptors");
}

Test(zeroing, less_than_two_pages_are_cleared_without_a_system_call)
{
	char *p;

	start();
	p = map_block(BLOCK);
	p[PAGE] = p[PAGE - 1] = 1;
	memset(&answers, 0, sizeof answers);
	clear(p + 1, 2 * PAGE - 1);
	cr_expect_eq(system_calls(), 0);
	assert_zero(p, BLOCK, "two pages");
}

/* --- untouched pages --- */

Test(zeroing, untouched_pages_stay_untouched)
{
	struct lz_stats *stats = &core.books.stats;
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), 0);
	cr_expect_eq(lz_stats_get(stats, memset_bytes), BLOCK);
	cr_expect_eq(lz_stats_get(stats, memset_written_bytes), 0);
	p[3 * MIB] = p[5 * MIB] = 1;
	clear(p + 10, BLOCK - 20);
	cr_expect_eq(resident(p, BLOCK), 4, "two pages, and the partial ones at the ends");
	cr_expect_eq(lz_stats_get(stats, memset_written_bytes), 4 * PAGE - 20);
}

Test(zeroing, without_procmap_query_the_maps_file_is_read)
{
	char *p;

	need_scans();
	start();
	answers.error = -ENOTTY;
	answers.fail_from[QUERY] = 1;
	p = map_block(BLOCK);
	/* Another mapping in the middle. */
	cr_assert_eq(mprotect(p + 4 * MIB, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	for (int round = 0; round < 4; round++)
		clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), 0);
	cr_expect_leq(answers.calls[QUERY], 2, "not asked any more");
	cr_assert_eq(munmap(p + 5 * MIB, PAGE), 0);
	cr_assert_neq(mmap(p + 5 * MIB, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
			      -1, 0),
		MAP_FAILED);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), BLOCK / PAGE, "shared memory is part of the range");
}

/* Some file systems have an inode 0. */
Test(zeroing, a_file_with_inode_0_is_not_anonymous)
{
	static char text[200];
	const struct fake_file files[] = {{"/proc/thread-self/maps", text}, {NULL, NULL}};
	char *p;

	need_scans();
	start();
	lz_descriptors_close(&table);
	answers.error = -ENOTTY;
	answers.fail_from[QUERY] = 1;
	fake.files = files;
	p = map_block(BLOCK);
	snprintf(text, sizeof text, "%lx-%lx rw-p 00000000 00:31 0                  /mnt/file\n", (long)p,
		(long)p + (long)BLOCK);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), BLOCK / PAGE);
	snprintf(text, sizeof text, "%lx-%lx rw-p 00000000 00:00 0                  [anon:name]\n", (long)p,
		(long)p + (long)BLOCK);
	cr_assert_eq(lz_calls_madvise(&core.calls, p, BLOCK, MADV_DONTNEED), 0);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), 0);
}

Test(zeroing, without_pagemap_scan_all_calls_are_plain)
{
	char *p;
	unsigned before;

	start();
	answers.error = -ENOTTY;
	answers.fail_from[SCAN] = 1;
	for (int round = 0; round < 5; round++) {
		p = map_block(BLOCK);
		write_every(p, 5);
		before = system_calls();
		clear(p, BLOCK);
		assert_zero(p, BLOCK, "plain");
		cr_expect_eq(resident(p, BLOCK), BLOCK / PAGE);
		cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK), 0);
	}
	cr_expect_eq(system_calls(), before, "the kernel is asked again and again");
}

/* The huge zero page, which kernels before 6.18 may report as written. */
Test(zeroing, huge_pages_that_read_as_zero_are_not_written)
{
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	answers.all_huge = true;
	clear(p, BLOCK);
	cr_expect_eq(lz_stats_get(&core.books.stats, memset_written_bytes), 0);
	p[MIB + 5] = 1;
	clear(p, BLOCK);
	cr_expect_lt(lz_stats_get(&core.books.stats, memset_written_bytes), 3 * MIB);
	assert_zero(p, BLOCK, "huge pages");
}

/* Reading would end in SIGSEGV, inside the program's munmap. */
Test(zeroing, pages_that_became_inaccessible_are_not_read_when_they_are_unmapped)
{
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	clear(p, BLOCK);
	answers.all_huge = true;
	cr_assert_eq(lz_calls_mprotect(&core.calls, p, BLOCK, PROT_NONE, -1, NULL), 0);
	answers.calls[SCAN] = 0;
	cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK), 0);
	cr_expect_neq(answers.calls[SCAN], 0, "the block was not sampled");
}

/* Without the mmap family the library does not see that a file is mapped over a part of a region. */
Test(zeroing, a_file_over_a_window_is_cleared)
{
	char *const envp[] = {
		"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", "LAZYZERO_INTERCEPT=calloc,memset", NULL};
	char page[PAGE], *p;
	void *block;
	int fd = memfd_create("file", 0);

	need_scans();
	start_with(envp);
	memset(page, 5, sizeof page);
	for (int i = 0; i < 512; i++)
		cr_assert_eq(write(fd, page, PAGE), (ssize_t)PAGE);
	cr_assert_eq(allocate(BLOCK, &block), 0);
	p = block;
	if (core.books.stats.wire->window_regions == 0)
		cr_skip_test("no zero window here");
	clear(p, BLOCK);
	cr_assert_eq(mmap(p + 4 * MIB, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0),
		p + 4 * MIB);
	clear(p, BLOCK);
	assert_zero(p, BLOCK, "a file over a window");
	close(fd);
}

Test(zeroing, once_stopped_all_calls_are_plain)
{
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), 0);
	lz_calls_stop_zeroing(&core.calls);
	memset(&answers, 0, sizeof answers);
	clear(p, BLOCK);
	cr_expect_eq(resident(p, BLOCK), BLOCK / PAGE);
	cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK), 0);
	cr_expect_eq(answers.calls[SCAN], 0);
}

/* --- what is learned --- */

Test(zeroing, a_block_is_full_from_a_third_on)
{
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	write_every(p, 4);
	clear(p, BLOCK);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_SPARSE);
	write_every(p, 3);
	clear(p, BLOCK);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_FULL, "pages 4n and 3n: half of all");
	memset(&answers, 0, sizeof answers);
	for (int round = 0; round < 10; round++) {
		memset(p, 1, BLOCK);
		clear(p, BLOCK);
	}
	cr_expect_eq(system_calls(), 0, "a full block is cleared without a system call");
	assert_zero(p, BLOCK, "a full block");
	cr_expect_eq(expectation(p + PAGE, BLOCK - PAGE), LZ_EXPECT_NOTHING, "another range");
}

/* Makes a block that is known to be full. */
static void make_full(char *p)
{
	memset(p, 1, BLOCK);
	lz_zeroing_learn(&core.zeroing, (uintptr_t)p, (uintptr_t)p + BLOCK, BLOCK, CALLER);
	cr_assert_eq(expectation(p, BLOCK), LZ_EXPECT_FULL);
}

Test(zeroing, a_block_is_forgotten_when_its_pages_go)
{
	struct lz_request request = {.call = "realloc", .size = BLOCK / 2};
	void *block;
	char *p;

	start();
	p = map_block(BLOCK);
	make_full(p);
	cr_assert_eq(lz_calls_madvise(&core.calls, p + MIB, PAGE, MADV_DONTNEED), 0);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING, "madvise");
	make_full(p);
	cr_assert_eq(lz_calls_madvise(&core.calls, p, BLOCK, MADV_NOHUGEPAGE), 0);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_FULL, "advice that drops nothing");
	cr_assert_eq(map_anonymous(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED),
		(intptr_t)p + (intptr_t)PAGE);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING, "mmap over it");
	make_full(p);
	cr_assert(!lz_os_failed(lz_calls_mremap(&core.calls, p, BLOCK, BLOCK / 2, 0, NULL, NULL)));
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING, "mremap");
	cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK / 2), 0);
	p = map_block(BLOCK);
	make_full(p);
	cr_assert_eq(lz_calls_munmap(&core.calls, p + BLOCK - PAGE, PAGE), 0);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING, "munmap of a part");
	cr_assert_eq(allocate(BLOCK, &block), 0);
	make_full(block);
	cr_assert_eq(lz_heap_resize(&core.heap, &request, block, &block), 0);
	cr_expect_eq(expectation(block, BLOCK), LZ_EXPECT_NOTHING, "realloc");
	cr_assert_eq(lz_heap_free(&core.heap, block), 0);
	cr_assert_eq(allocate(BLOCK, &block), 0);
	make_full(block);
	cr_assert_eq(lz_heap_free(&core.heap, block), 0);
	cr_expect_eq(expectation(block, BLOCK), LZ_EXPECT_NOTHING, "free");
}

/* Clears a new block and fills it with `pages` between written ones before it is unmapped. */
static void use_and_unmap(size_t pages)
{
	char *p = map_block(BLOCK);

	clear(p, BLOCK);
	write_every(p, pages);
	cr_assert_eq(lz_calls_munmap(&core.calls, p, BLOCK), 0);
}

Test(zeroing, a_site_whose_blocks_are_filled_is_cleared_plainly)
{
	unsigned full = 0;
	char *p;

	need_scans();
	start();
	p = map_block(BLOCK);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING);
	use_and_unmap(64);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING, "a sparse block");
	use_and_unmap(1);
	while (full < 100 && expectation(p, BLOCK) == LZ_EXPECT_FULL)
		full++;
	cr_expect_eq(full, 15, "then one block is scanned");
	cr_expect_eq(lz_zeroing_expect(
			     &core.zeroing, (uintptr_t)p, (uintptr_t)p + BLOCK, (const char *)CALLER + 8),
		LZ_EXPECT_NOTHING, "another site");
	/* The site changes: a scanned block is sparse. */
	use_and_unmap(1);
	while (expectation(p, BLOCK) == LZ_EXPECT_FULL)
		continue;
	use_and_unmap(64);
	cr_expect_eq(expectation(p, BLOCK), LZ_EXPECT_NOTHING);
}

/* Numbers of pages that do not fit into the table's words. */
Test(zeroing, blocks_at_high_addresses_are_not_learned)
{
	uintptr_t high = (uintptr_t)1 << 56;

	start();
	lz_zeroing_learn(&core.zeroing, high, high + BLOCK, BLOCK, CALLER);
	cr_expect_eq(lz_zeroing_expect(&core.zeroing, high, high + BLOCK, CALLER), LZ_EXPECT_NOTHING);
	lz_zeroing_learn(&core.zeroing, PAGE, PAGE + ((uintptr_t)1 << 40), BLOCK, CALLER);
	cr_expect_eq(lz_zeroing_expect(&core.zeroing, PAGE, PAGE + ((uintptr_t)1 << 40), CALLER),
		LZ_EXPECT_NOTHING);
}
