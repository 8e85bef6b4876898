/*
 * Facts about the running kernel that the tests and the examples need, determined by trying. The functions do
 * not allocate, and may be called in a preloaded program.
 */
#ifndef LZ_TESTS_KERNEL_H
#define LZ_TESTS_KERNEL_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Uses raw system calls, so that the library does not track the mapping. */
static inline volatile char *kernel_map(size_t size)
{
	long at = syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);

	return at == -1 ? NULL : (volatile char *)at;
}

/*
 * Whether a read of untouched private anonymous memory maps the zero page. Some kernels for virtual machines
 * instead map a page of the process's own on each such read, so that VmRSS grows by reading.
 *
 * /proc/self/pagemap shows the difference without privilege (Documentation/admin-guide/mm/pagemap.rst): bit
 * 63 is set for a present page, and bit 56 (Linux 4.2) for a page that is mapped exclusively, which the zero
 * page never is. Returns true if this cannot be determined, so that no test is skipped.
 */
static inline bool kernel_has_zero_page(void)
{
	const uint64_t own = UINT64_C(1) << 63 | UINT64_C(1) << 56;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *block = kernel_map(page);
	uint64_t entry = 0;

	if (block != NULL) {
		(void)block[0];
		if (pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)block / page * sizeof entry)) < 0)
			entry = 0;
		syscall(SYS_munmap, block, page);
	}
	if (fd >= 0)
		close(fd);
	return (entry & own) != own;
}

/*
 * Returns the duration of a minor fault in nanoseconds: the best of several rounds of writes to fresh pages.
 * About 500 on real hardware.
 */
static inline uint64_t kernel_fault_ns(void)
{
	enum { ROUNDS = 8, PAGES = 64 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		volatile char *block = kernel_map(PAGES * page);
		struct timespec start, end;
		uint64_t took;

		if (block == NULL)
			break;
		clock_gettime(CLOCK_MONOTONIC, &start);
		for (size_t at = 0; at < PAGES * page; at += page)
			block[at] = 1;
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000 + (uint64_t)end.tv_nsec -
		       (uint64_t)start.tv_nsec;
		if (took / PAGES < best)
			best = took / PAGES;
		syscall(SYS_munmap, block, PAGES * page);
	}
	return best;
}

#endif
