/*
 * Tests LAZYZERO_POLICY=refuse with a budget of 1 MB: a request whose page tables would not fit fails with
 * ENOMEM and changes nothing; everything else works.
 *
 *   refuse          the checks
 *   refuse line     one refusal, in the function ask_for_too_much, for the scripts that read the log
 *   refuse lines N  N refusals
 *   refuse window   with a budget of 4 MB: written blocks of a window, and untouched plain memory
 *   refuse raised F with a budget of 5% of the limit in the file F of its control group, which it raises
 *   refuse file     a mapping of 1 TiB of a small file, as a database makes it: nothing is refused or logged
 */
#include "probe.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define UNTOUCHED 77
#define TOO_MUCH (8 * GB) /* needs 16 MiB of page tables */
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

/* addr2line(1) must find this name. */
__attribute__((noinline)) void *ask_for_too_much(size_t size);
void *ask_for_too_much(size_t size)
{
	void *p = calloc(1, opaque(size));

	return opaque_pointer(p);
}

static void check_refused(const char *call, void *result)
{
	CHECK(result == NULL, "%s gave %p", call, result);
	CHECK(errno == ENOMEM, "%s set errno to %d", call, errno);
	free(result);
	errno = UNTOUCHED;
}

static void check_not_mapped(const char *call, void *result)
{
	CHECK(result == MAP_FAILED, "%s gave %p", call, result);
	CHECK(errno == ENOMEM, "%s set errno to %d", call, errno);
	errno = UNTOUCHED;
}

/* Requests below the threshold always succeed; called after each kind of refusal. */
static void check_life_goes_on(void)
{
	char *p;

	errno = UNTOUCHED;
	for (size_t size = 1; size < MB; size = size * 3 + 1) {
		p = opaque_pointer(calloc(1, size));
		CHECK(p != NULL && p[size - 1] == 0, "calloc(1, %zu) failed after a refusal", size);
		free(p);
		p = opaque_pointer(malloc(size));
		CHECK(p != NULL, "malloc(%zu) failed after a refusal", size);
		p = opaque_pointer(realloc(p, size + 1000));
		CHECK(p != NULL, "realloc failed after a refusal");
		free(p);
	}
	p = opaque_pointer(calloc(1, 8 * MB));
	CHECK(p != NULL, "calloc of 8 MB, which fits, was refused");
	free(p);
	p = mmap(NULL, 512 * KB, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED, "a small mmap was refused");
	munmap(p, 512 * KB);
	CHECK(errno == UNTOUCHED || getenv("PROBE_ALLOCATOR") != NULL, "errno became %d", errno);
}

static void check_allocations(void)
{
	void *p = (void *)1;
	int error;

	errno = UNTOUCHED;
	check_refused("calloc", opaque_pointer(calloc(opaque(TOO_MUCH), 1)));
	check_refused("malloc", opaque_pointer(malloc(opaque(TOO_MUCH))));
	check_refused("realloc(NULL)", opaque_pointer(realloc(NULL, opaque(TOO_MUCH))));
	check_refused("reallocarray(NULL)", opaque_pointer(reallocarray(NULL, 8, opaque(TOO_MUCH))));
	check_refused("memalign", opaque_pointer(memalign(64, opaque(TOO_MUCH))));
	check_refused("aligned_alloc", opaque_pointer(aligned_alloc(4096, opaque(TOO_MUCH))));
	check_refused("valloc", opaque_pointer(valloc(opaque(TOO_MUCH))));
	error = posix_memalign(&p, 64, opaque(TOO_MUCH));
	CHECK_EQUAL(error, ENOMEM);
	CHECK(p == (void *)1, "posix_memalign that failed stored %p", p);
	CHECK_EQUAL(errno, UNTOUCHED);
	check_life_goes_on();
}

static void check_realloc(void)
{
	const size_t sizes[] = {100, 512 * KB, 2 * MB, 40 * MB};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size = sizes[i], before;
		char *p = opaque_pointer(calloc(1, size));
		void *moved;

		if (!CHECK(p != NULL, "calloc of %zu was refused", size))
			continue;
		before = malloc_usable_size(p);
		memset(p, 0x42, size);
		errno = UNTOUCHED;
		moved = realloc(opaque_pointer(p), opaque(TOO_MUCH));
		CHECK(moved == NULL && errno == ENOMEM, "realloc from %zu gave %p, errno %d", size, moved,
			errno);
		if (moved != NULL)
			continue;
		CHECK_EQUAL(malloc_usable_size(p), before);
		for (size_t at = 0; at < size; at++)
			if (p[at] != 0x42) {
				CHECK(false, "realloc refused damaged byte %zu of %zu", at, size);
				break;
			}
		p[0] = 1;
		p[size - 1] = 1;
		p = opaque_pointer(realloc(p, size + 4096)); /* small growth fits */
		CHECK(p != NULL && p[0] == 1 && p[size - 1] == 1,
			"realloc failed after one that was refused");
		free(p);
	}
	check_life_goes_on();
}

static void check_mappings(void)
{
	char *reserved, *p;
	void *moved;

	errno = UNTOUCHED;
	check_not_mapped("mmap", mmap(NULL, TOO_MUCH, RW, ANON, -1, 0));
	check_not_mapped("mmap, not reserved", mmap(NULL, TOO_MUCH, PROT_READ, ANON | MAP_NORESERVE, -1, 0));
	check_not_mapped(
		"mmap, shared", mmap(NULL, TOO_MUCH, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

	/* Reserving address space is free; only memory that becomes accessible is charged. */
	reserved = mmap(NULL, 16 * TB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	if (!CHECK(reserved != MAP_FAILED, "a reservation of 16 TiB was refused: errno %d", errno))
		return;
	CHECK_EQUAL(errno, UNTOUCHED);
	CHECK_EQUAL(mprotect(reserved, TOO_MUCH, RW), -1);
	CHECK_EQUAL(errno, ENOMEM);
	errno = UNTOUCHED;
	check_not_mapped("mmap over a reservation", mmap(reserved, TOO_MUCH, RW, ANON | MAP_FIXED, -1, 0));
	CHECK_EQUAL(mprotect(reserved + TB, 4 * MB, RW), 0);
	reserved[TB] = reserved[TB + 4 * MB - 1] = 1;
	CHECK_EQUAL(mprotect(reserved + TB, 4 * MB, PROT_NONE), 0);
	CHECK(mmap(reserved + MB, 4 * MB, RW, ANON | MAP_FIXED, -1, 0) == reserved + MB,
		"4 MB of a reservation: errno %d", errno);
	CHECK_EQUAL(munmap(reserved, 16 * TB), 0);
	CHECK_EQUAL(errno, UNTOUCHED);

	p = mmap(NULL, 8 * MB, RW, ANON, -1, 0);
	memset(p, 0x24, 8 * MB);
	moved = mremap(p, 8 * MB, TOO_MUCH, MREMAP_MAYMOVE);
	check_not_mapped("mremap", moved);
	CHECK(p[0] == 0x24 && p[8 * MB - 1] == 0x24, "a refused mremap lost contents");
	p = mremap(p, 8 * MB, 9 * MB, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && p[8 * MB - 1] == 0x24 && p[9 * MB - 1] == 0,
		"mremap failed after one that was refused");
	munmap(p, 9 * MB);
	check_life_goes_on();
}

static void check_shared_memory(void)
{
	int id = shmget(IPC_PRIVATE, TOO_MUCH, IPC_CREAT | SHM_NORESERVE | 0600);
	void *at;

	if (id < 0)
		return; /* kernel.shmmax is smaller */
	errno = UNTOUCHED;
	at = shmat(id, NULL, 0);
	CHECK(at == (void *)-1 && errno == ENOMEM, "shmat gave %p, errno %d", at, errno);
	if (at != (void *)-1)
		shmdt(at);
	shmctl(id, IPC_RMID, NULL);
}

/* A file counts up to its end; what it grows by counts in VmPTE. */
static void check_file(bool grows_too_much)
{
	int fd = memfd_create("database", MFD_CLOEXEC);
	char *p;

	if (!CHECK(fd >= 0 && ftruncate(fd, 132 * KB) == 0, "no file: errno %d", errno))
		return;
	errno = UNTOUCHED;
	p = mmap(NULL, TB, RW, MAP_SHARED, fd, 0);
	if (!CHECK(p != MAP_FAILED, "1 TiB of a file of 132 KiB was refused: errno %d", errno))
		return;
	memset(p, 0x33, 132 * KB);
	CHECK_EQUAL(mprotect(p, TB, PROT_READ), 0);
	CHECK_EQUAL(mprotect(p, TB, RW), 0);
	p = mremap(p, TB, 2 * TB, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && p[132 * KB - 1] == 0x33, "mremap: errno %d", errno);
	check_life_goes_on();
	if (grows_too_much && CHECK_EQUAL(ftruncate(fd, (off_t)TOO_MUCH), 0)) {
		/* 300 page tables of 4 KiB, all of them zeros of the file. */
		for (size_t block = 0; block < 300; block++)
			(void)*(volatile char *)&p[block * 2 * MB];
		errno = UNTOUCHED;
		check_not_mapped("mmap after the file grew", mmap(NULL, 2 * MB, RW, ANON, -1, 0));
		check_not_mapped("mmap of a large file", mmap(NULL, TOO_MUCH, PROT_READ, MAP_SHARED, fd, 0));
	}
	CHECK_EQUAL(munmap(p, 2 * TB), 0);
	close(fd);
	check_life_goes_on();
}

/*
 * 2 MB of page tables for plain memory that is not touched, and 1.6 MB for what is written on a window: each
 * fits, also with 1 MB more, and both do not.
 */
static void check_window(void)
{
	char *plain = mmap(NULL, GB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *window = opaque_pointer(calloc(1, opaque(TOO_MUCH)));
	char *more = mmap(NULL, GB / 2, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!CHECK(plain != MAP_FAILED && window != NULL && more != MAP_FAILED, "errno %d", errno))
		return;
	munmap(more, GB / 2);
	for (size_t block = 0; block < 400; block++)
		window[block * 8 * MB] = 1;
	errno = UNTOUCHED;
	check_not_mapped("mmap after writes", mmap(NULL, GB / 2, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	free(window);
	more = mmap(NULL, GB / 2, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(more != MAP_FAILED, "refused although nothing is written any more");
	munmap(more, GB / 2);
	munmap(plain, GB);
}

/*
 * Allocates blocks of 64 MB, with 128 KB of page tables each, until one is refused; freed memory can be used
 * again.
 */
static void check_filling_up(void)
{
	char *blocks[64];
	size_t count = 0, again = 0;

	while (count < 64 && (blocks[count] = opaque_pointer(calloc(1, 64 * MB))) != NULL)
		blocks[count++][5] = 1;
	CHECK(count >= 3 && count <= 8, "%zu blocks fit in the budget", count);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	while (again < 64 && (blocks[again] = opaque_pointer(calloc(1, 64 * MB))) != NULL)
		again++;
	CHECK_EQUAL(again, count);
	for (size_t i = 0; i < again; i++)
		free(blocks[i]);
}

/* The budget follows a memory limit that is raised while the program runs, at the latest after a second. */
static void check_raised(const char *limit)
{
	const struct timespec second = {1, 100000000};
	FILE *file;

	check_refused("calloc", ask_for_too_much(TOO_MUCH));
	file = fopen(limit, "w");
	if (!CHECK(file != NULL && fprintf(file, "%zu", GB) > 0 && fclose(file) == 0, "writing %s: errno %d",
		    limit, errno))
		return;
	nanosleep(&second, NULL);
	CHECK(ask_for_too_much(TOO_MUCH) != NULL, "refused under the raised limit");
}

int probe_main(void)
{
	if (probe_argc > 2 && strcmp(probe_argv[1], "raised") == 0) {
		check_raised(probe_argv[2]);
		return probe_status_of_checks();
	}
	if (probe_argc == 2 && strcmp(probe_argv[1], "line") != 0) {
		if (strcmp(probe_argv[1], "file") == 0)
			check_file(false);
		else
			check_window();
		return probe_status_of_checks();
	}
	if (probe_argc > 1) {
		long count = probe_argc > 2 ? atol(probe_argv[2]) : 1;

		for (long i = 0; i < count; i++)
			if (ask_for_too_much(512 * GB) != NULL || errno != ENOMEM)
				return 1;
		return 0;
	}
	check_allocations();
	check_realloc();
	check_mappings();
	check_shared_memory();
	check_file(true);
	check_filling_up();
	return probe_status_of_checks();
}
