/*
 * cli/run/shared_blocks.c: which blocks of a shared object are made huge, with an os table whose memory is an
 * array of page counts and whose madvise(2) fails as told.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "cli/run/shared_blocks.h"
#include "fake_os.h"
#include "os/collapse.h"

#define PAGE ((size_t)4096)
#define PAGES 512u
#define BLOCK (PAGES * PAGE)
#define AT (UINT64_C(1) << 40)
#define COUNT 4u

static struct lz_os table;
static unsigned pages[COUNT];
static unsigned attempts[COUNT];
static int answers[16]; /* of the first collapses; then they succeed */
static unsigned answer;
static unsigned free_blocks; /* of the file system, beyond its reserve */
static unsigned pauses, pauses_allowed;

static int count(void *address, size_t length, unsigned char *present)
{
	size_t block = ((uintptr_t)address - AT) / BLOCK;

	cr_assert_leq(length, BLOCK);
	for (size_t i = 0; i < PAGES; i++)
		present[i] = i < pages[block];
	return 0;
}

static int collapse(void *address, size_t length, int advice)
{
	size_t block = ((uintptr_t)address - AT) / BLOCK;
	int error = answer < sizeof answers / sizeof *answers ? answers[answer++] : 0;

	cr_assert_eq(length, BLOCK);
	cr_assert_eq(advice, 25 /* MADV_COLLAPSE */);
	attempts[block]++;
	if (error != 0)
		return error;
	free_blocks -= pages[block] < PAGES;
	pages[block] = PAGES;
	return 0;
}

static long file_system(long number, long a, long b, long c, long d, long e, long f)
{
	uint64_t reserve = LZ_ROOM_RESERVE / PAGE;

	if (number != SYS_fstatfs)
		return lz_os_linux.any_syscall(number, a, b, c, d, e, f);
	*(struct statfs *)b = (struct statfs){.f_bsize = (long)PAGE,
		.f_blocks = 2 * reserve,
		.f_bavail = reserve + free_blocks * (uint64_t)PAGES};
	return 0;
}

static size_t page_size(void)
{
	return PAGE;
}

static bool pause_never(void *context, uint64_t took)
{
	(void)context;
	(void)took;
	return ++pauses < pauses_allowed;
}

static struct lz_shared_blocks blocks;

static void start(void)
{
	table = *fake_os();
	table.mincore = count;
	table.madvise = collapse;
	table.any_syscall = file_system;
	table.page_size = page_size;
	memset(answers, 0, sizeof answers);
	memset(pages, 0, sizeof pages);
	memset(attempts, 0, sizeof attempts);
	answer = 0;
	free_blocks = 100;
	pauses = 0;
	pauses_allowed = UINT_MAX;
	blocks = (struct lz_shared_blocks){.os = &table, .size = BLOCK, .pages = PAGES};
	cr_assert_eq(lz_shared_blocks_resize(&blocks, COUNT * BLOCK + PAGE), 0);
	cr_assert_eq(blocks.count, COUNT, "only whole blocks count");
}

static void look(uint32_t needed, bool look_at_huge)
{
	const struct lz_shared_round round = {
		.at = AT, .needed = needed, .look_at_huge = look_at_huge, .fd = 0, .pause = pause_never};

	blocks.next_try = 0; /* as if the delay had passed */
	lz_shared_blocks_round(&blocks, &round);
}

TestSuite(shared_blocks, .init = start);

Test(shared_blocks, those_full_enough_are_collapsed_once)
{
	pages[0] = PAGES / 2;
	pages[1] = PAGES / 2 - 1;
	pages[2] = PAGES;
	look(PAGES / 2, false);
	cr_assert_eq(attempts[0], 1);
	cr_assert_eq(attempts[1], 0);
	cr_assert_eq(attempts[2], 1);
	cr_assert_eq(attempts[3], 0, "a block without a page is not tried");
	look(PAGES / 2, true);
	cr_assert_eq(attempts[0] + attempts[2], 2, "not again");
	cr_assert_eq(lz_shared_blocks_huge_bytes(&blocks), 2 * BLOCK);
	cr_assert_eq(blocks.collapsed, 2);
	cr_assert_not(blocks.unfinished);
}

Test(shared_blocks, a_hole_is_not_filled_where_pages_have_gone)
{
	pages[0] = 400;
	look(450, false);
	pages[0] = 399;
	look(1, false);
	cr_assert_eq(attempts[0], 0);
	pages[0] = PAGES;
	look(1, false);
	cr_assert_eq(attempts[0], 1, "full again");
	pages[0] = PAGES - 1; /* punched while it was huge */
	look(1, true);
	look(1, true);
	cr_assert_eq(attempts[0], 1);
	cr_assert_eq(lz_shared_blocks_huge_bytes(&blocks), 0);
}

Test(shared_blocks, messages_restrict_the_blocks_that_the_range_overlaps)
{
	for (unsigned i = 0; i < COUNT; i++)
		pages[i] = PAGES - 1;
	lz_shared_blocks_restrict(&blocks, BLOCK + PAGE, PAGE, false);
	lz_shared_blocks_restrict(&blocks, 2 * BLOCK, 2 * BLOCK, true);
	look(1, false);
	cr_assert_eq(attempts[0], 1);
	cr_assert_eq(attempts[1] + attempts[2] + attempts[3], 0);
	for (unsigned i = 0; i < COUNT; i++)
		pages[i] = PAGES;
	look(1, false);
	cr_assert_eq(attempts[1], 1, "freed pages: when it is full");
	cr_assert_eq(attempts[2] + attempts[3], 0, "never");
	lz_shared_blocks_restrict(&blocks, 0, UINT64_MAX, true);
	lz_shared_blocks_restrict(&blocks, UINT64_MAX, UINT64_MAX, true);
	cr_assert(blocks.of[0].leave);
}

Test(shared_blocks, room_is_looked_at_before_each_block)
{
	for (unsigned i = 0; i < COUNT; i++)
		pages[i] = PAGES / 2;
	free_blocks = 2;
	look(1, false);
	cr_assert_eq(attempts[0] + attempts[1], 2);
	cr_assert_eq(attempts[2] + attempts[3], 0, "the file system's reserve is left");
	cr_assert(blocks.unfinished);
	cr_assert_gt(blocks.next_try, 0);
	free_blocks = 2;
	look(1, false);
	cr_assert_eq(attempts[2] + attempts[3], 2);
}

/* EAGAIN and EBUSY: pages are in use. */
Test(shared_blocks, a_block_that_fails_is_tried_again_but_not_for_ever)
{
	const int busy[] = {-EAGAIN, -EBUSY, -EINVAL, -EAGAIN, -EBUSY, -EAGAIN, -EAGAIN, -EBUSY, -EAGAIN};

	memcpy(answers, busy, sizeof busy);
	pages[0] = PAGES;
	for (unsigned i = 1; i < LZ_BLOCK_FAILURES; i++) {
		look(1, false);
		cr_assert_eq(attempts[0], i);
		cr_assert(blocks.unfinished);
	}
	for (unsigned i = 0; i < 3; i++)
		look(1, false);
	cr_assert_eq(attempts[0], LZ_BLOCK_FAILURES);
	cr_assert_eq(blocks.failed, LZ_BLOCK_FAILURES);
	cr_assert_not(blocks.unfinished);
	pages[1] = PAGES;
	answer = sizeof answers / sizeof *answers;
	look(1, false);
	cr_assert_eq(attempts[1], 1, "other blocks go on");
}

Test(shared_blocks, without_memory_the_object_waits_longer_each_time)
{
	uint64_t delay = 0;

	answers[0] = answers[1] = answers[2] = -ENOMEM;
	pages[0] = pages[1] = PAGES;
	for (unsigned i = 1; i <= 3; i++) {
		look(1, false);
		cr_assert_eq(attempts[0], i);
		cr_assert_eq(attempts[1], 0, "the round ends");
		cr_assert_gt(blocks.delay, delay);
		delay = blocks.delay;
	}
	{
		const struct lz_shared_round round = {.at = AT, .needed = 1, .fd = 0, .pause = pause_never};

		lz_shared_blocks_round(&blocks, &round);
		cr_assert_eq(attempts[0], 3, "not before the delay has passed");
	}
	look(1, false);
	cr_assert_eq(attempts[0], 4);
	cr_assert_eq(attempts[1], 1);
	cr_assert_eq(blocks.delay, 0);
}

Test(shared_blocks, an_error_that_cannot_pass_is_not_tried_again)
{
	answers[0] = -EPERM;
	pages[0] = PAGES;
	look(1, false);
	look(1, false);
	cr_assert_eq(attempts[0], 1);
}

Test(shared_blocks, a_pause_can_end_the_round)
{
	pages[0] = pages[1] = pages[2] = PAGES;
	pauses_allowed = 2;
	look(1, false);
	cr_assert_eq(attempts[0] + attempts[1], 2);
	cr_assert_eq(attempts[2], 0);
}

Test(shared_blocks, a_file_that_shrinks_and_grows_starts_anew)
{
	for (unsigned i = 0; i < COUNT; i++)
		pages[i] = PAGES;
	look(PAGES, false);
	cr_assert_eq(lz_shared_blocks_resize(&blocks, 2 * BLOCK), 0);
	cr_assert_eq(lz_shared_blocks_huge_bytes(&blocks), 2 * BLOCK);
	pages[2] = pages[3] = 0;
	cr_assert_eq(lz_shared_blocks_resize(&blocks, COUNT * BLOCK), 0);
	look(PAGES, true);
	cr_assert_eq(attempts[2] + attempts[3], 2);
	lz_shared_blocks_free(&blocks);
}
