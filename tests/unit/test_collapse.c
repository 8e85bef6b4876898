/* os/collapse.c: on real shared memory, and with an os table whose calls fail. */
#include <criterion/criterion.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_os.h"
#include "os/collapse.h"
#include "os/facts.h"

#define BLOCK ((size_t)2 << 20)

static int shared_file(size_t length)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, (off_t)length), 0);
	return fd;
}

Test(collapse, counts_the_pages_of_the_file_not_of_the_mapping)
{
	int fd = shared_file(2 * BLOCK);
	intptr_t at = lz_collapse_map_file(&lz_os_linux, fd, 2 * BLOCK, BLOCK);
	char *other = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t pages;

	cr_assert(!lz_os_failed(at));
	cr_assert_eq((uintptr_t)at % BLOCK, 0);
	cr_assert_neq(other, MAP_FAILED);
	for (size_t i = 0; i < 7; i++)
		other[i * page] = 1;
	other[BLOCK] = 1;
	cr_assert_eq(lz_collapse_count_pages(&lz_os_linux, (uintptr_t)at, BLOCK, &pages), 0);
	cr_assert_eq(pages, 7);
	cr_assert_eq(lz_collapse_count_pages(&lz_os_linux, (uintptr_t)at, 2 * BLOCK, &pages), 0);
	cr_assert_eq(pages, 8);
	munmap((void *)at, 2 * BLOCK);
	cr_assert_neq(lz_collapse_count_pages(&lz_os_linux, (uintptr_t)at, BLOCK, &pages), 0);
}

Test(collapse, a_block_with_a_page_becomes_huge_and_an_empty_one_does_not)
{
	int fd = shared_file(2 * BLOCK), error;
	intptr_t at = lz_collapse_map_file(&lz_os_linux, fd, 2 * BLOCK, BLOCK);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t pages;

	cr_assert(!lz_os_failed(at));
	if (!lz_fact_holds(&lz_os_linux, LZ_FACT_COLLAPSE) || page != 4096)
		cr_skip_test("no MADV_COLLAPSE, or other pages");
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_assert_eq(lz_collapse_block(&lz_os_linux, (uintptr_t)at, BLOCK, &error), LZ_COLLAPSED);
	cr_assert_eq(lz_collapse_count_pages(&lz_os_linux, (uintptr_t)at, BLOCK, &pages), 0);
	cr_assert_eq(pages, BLOCK / page);
	cr_assert_eq(
		lz_collapse_block(&lz_os_linux, (uintptr_t)at + BLOCK, BLOCK, &error), LZ_COLLAPSE_EMPTY);
	cr_assert_eq(error, -EINVAL);
}

Test(collapse, tells_errors_apart)
{
	static const struct {
		int error;
		enum lz_collapse_result result;
	} rows[] = {{-EAGAIN, LZ_COLLAPSE_BUSY}, {-EBUSY, LZ_COLLAPSE_BUSY}, {-ENOMEM, LZ_COLLAPSE_NO_MEMORY},
		{-EINVAL, LZ_COLLAPSE_EMPTY}, {-EPERM, LZ_COLLAPSE_FAILED}};
	const struct lz_os *os = fake_os();
	int error;

	fake.fail_from[FAKE_MADVISE] = 1;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		fake.error = rows[i].error;
		cr_assert_eq(lz_collapse_block(os, BLOCK, BLOCK, &error), rows[i].result);
		cr_assert_eq(error, rows[i].error);
	}
}

/* --- room: a file system of 2 GiB, of which some is free --- */

static struct lz_os table;
static uint64_t free_blocks;

static long small_file_system(long number, long a, long b, long c, long d, long e, long f)
{
	if (number != SYS_fstatfs)
		return lz_os_linux.any_syscall(number, a, b, c, d, e, f);
	*(struct statfs *)b = (struct statfs){.f_bsize = 4096,
		.f_blocks = (2u << 30) / 4096,
		.f_bfree = free_blocks,
		.f_bavail = free_blocks};
	return 0;
}

Test(collapse, leaves_a_twentieth_or_64_mib_free)
{
	cr_assert_eq(lz_room_reserve(UINT64_C(8) << 20), UINT64_C(64) << 20);
	cr_assert_eq(lz_room_reserve(UINT64_C(20) << 30), UINT64_C(1) << 30);
	table = *fake_os();
	table.any_syscall = small_file_system;
	free_blocks = (UINT64_C(200) << 20) / 4096;
	cr_assert_eq(lz_room(&table, 0, 0), (free_blocks * 4096) - (UINT64_C(2) << 30) / 20);
	free_blocks = (UINT64_C(100) << 20) / 4096;
	cr_assert_eq(lz_room(&table, 0, 0), 0, "less than the reserve is free");
	cr_assert(lz_room(&table, -1, 0) > 0, "without a file only the memory counts");
	cr_assert_eq(lz_room(&table, -1, UINT64_MAX / 2), 0);
}
