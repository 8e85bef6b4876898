/* Steps of a walk over page tables, on this kernel; src/os/pagemap.h. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/mman.h"
#include "os/pagemap.h"

struct seen {
	uint64_t bytes, guards, end;
};

static void note(void *context, const struct lz_page_run *run)
{
	struct seen *seen = context;

	cr_expect_geq(run->start, seen->end);
	seen->end = run->end;
	seen->bytes += run->end - run->start;
	seen->guards += run->guard;
}

Test(pagemap, a_step_stops_after_so_many_pages)
{
	size_t page = lz_os_linux.page_size();
	char *memory = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start = (uintptr_t)memory, at = start, end = start + 16 * page;
	struct seen seen = {0};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), error;

	madvise(memory, 16 * page, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 16; i++)
		if (i % 4 != 3)
			memory[i * page] = 1;
	error = lz_pagemap_walk_step(&lz_os_linux, fd, &at, end, 5, note, &seen);
	if (error == -ENOTTY)
		cr_skip("PAGEMAP_SCAN is missing");
	cr_expect_eq(error, 0);
	cr_expect_eq(seen.bytes, 5 * page);
	cr_expect_eq(at, start + 6 * page);
	while (at < end && error == 0)
		error = lz_pagemap_walk_step(&lz_os_linux, fd, &at, end, 5, note, &seen);
	cr_expect_eq(error, 0);
	cr_expect_eq(seen.bytes, 12 * page);
	cr_expect_eq(seen.guards, 0);
	cr_expect_eq(at, end);
	close(fd);
	munmap(memory, 16 * page);
}
