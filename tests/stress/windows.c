/*
 * Several threads store to regions, read(2) into them with and without O_DIRECT, and write(2) from them,
 * while another thread makes calls that do not change contents. Each page has one writer, which increments a
 * counter in it and checks before each write that its last value is still there.
 */
#include "stress.h"
#include "writers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

#define ROUNDS_PER_REGION 8
#define CALLS_PER_ROUND 4

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define MODE_WP 2u /* UFFDIO_REGISTER_MODE_WP */

char *memory;

/* --- the calls --- */

/* Memory that only the calling thread writes. */
static uint64_t idle_value;

static char *idle_page(unsigned i)
{
	return memory + IDLE * BLOCK + i * 32 * PAGE;
}

static void fill_idle(void)
{
	idle_value++;
	for (unsigned i = 0; i < 16; i++)
		*(volatile uint64_t *)idle_page(i) = idle_value;
}

/* Drops the first half of the idle block; the other half stays. The kernel decides what MADV_FREE leaves. */
static void drop_half(char *at, int advice)
{
	(void)at;
	CHECK(madvise(idle_page(0), BLOCK / 2, advice) == 0);
	for (unsigned i = 0; i < 16; i++)
		CHECK(check_page(idle_page(i)) == (i < 8 ? 0 : idle_value) ||
			(advice == MADV_FREE && check_page(idle_page(i)) == idle_value));
	fill_idle();
}

static void advise(char *at, int advice)
{
	madvise(at, BLOCK, advice);
}

/* A child finds some writer's value, and the parent does not see the child's writes. */
static void fork_child(char *at, int unused)
{
	int status = 0;
	pid_t child = fork();

	(void)unused;
	if (child == 0) {
		for (size_t offset = 0; offset < BLOCK; offset += 6 * PAGE)
			CHECK(check_page(at + offset) <= FILE_PAGES || at == memory + IDLE * BLOCK);
		*(volatile uint64_t *)at = 99999;
		_exit(failed());
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void leave_out_of_child(char *at, int unused)
{
	CHECK(madvise(at, BLOCK, MADV_DONTFORK) == 0);
	fork_child(at == memory ? memory + BLOCK : memory, unused);
	CHECK(madvise(at, BLOCK, MADV_DOFORK) == 0);
}

static void protect(char *at, int protection)
{
	CHECK(mprotect(at, BLOCK, RW | protection) == 0);
	CHECK(mprotect(at, BLOCK, RW) == 0);
}

/* Unregistered at once, because nothing handles missing pages. */
static void register_faults(char *at, int mode)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register registration = {.range = {(uintptr_t)at, BLOCK}, .mode = (unsigned)mode};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	/*
	 * Reads into memory that leaves a window may fail, and data written to pages pinned before is lost.
	 */
	if (mode != MODE_WP && at < memory + WITHOUT_READS * BLOCK)
		registration.range.start = (uintptr_t)memory + WITHOUT_READS * BLOCK;
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &registration) == 0)
		CHECK(ioctl(fd, UFFDIO_UNREGISTER, &registration.range) == 0);
	if (fd >= 0)
		close(fd);
}

/* In place, if there is room. */
static bool is_mapped;

static void grow(char *at, int unused)
{
	(void)at, (void)unused;
	if (!is_mapped || mremap(memory, LENGTH, LENGTH + BLOCK, 0) == MAP_FAILED)
		return;
	CHECK(check_page(memory + LENGTH) == 0);
	*(volatile uint64_t *)(memory + LENGTH) = 1;
	CHECK(mremap(memory, LENGTH + BLOCK, LENGTH, 0) == memory);
}

static const struct {
	void (*make)(char *at, int argument);
	int argument;
} calls[] = {{advise, MADV_COLLAPSE}, {advise, MADV_HUGEPAGE}, {advise, MADV_NOHUGEPAGE}, {advise, MADV_COLD},
	{advise, MADV_PAGEOUT}, {advise, MADV_WILLNEED}, {advise, MADV_MERGEABLE}, {advise, MADV_UNMERGEABLE},
	{advise, MADV_RANDOM}, {advise, MADV_NORMAL}, {drop_half, MADV_FREE}, {drop_half, MADV_DONTNEED},
	{fork_child, 0}, {fork_child, 0}, {leave_out_of_child, 0}, {protect, PROT_EXEC}, {protect, 0},
	{register_faults, MODE_WP}, {register_faults, UFFDIO_REGISTER_MODE_MISSING}, {grow, 0}, {grow, 0}};

static void make_call(uint64_t *state)
{
	unsigned which = next_random(state) % (sizeof calls / sizeof *calls);

	calls[which].make(memory + next_random(state) % 4 * BLOCK, calls[which].argument);
	for (unsigned i = 0; i < 16; i++)
		CHECK(check_page(idle_page(i)) == idle_value);
}

/* --- a region --- */

/* A mapping of its own has room to grow. */
static char *make_region(void)
{
	char *block = is_mapped ? mmap(NULL, LENGTH + 2 * BLOCK, RW, ANON, -1, 0) : calloc(1, LENGTH + BLOCK);

	if (!CHECK(block != NULL && block != MAP_FAILED))
		exit(1);
	memory = block + (-(uintptr_t)block & (BLOCK - 1));
	if (is_mapped)
		CHECK(munmap(memory + LENGTH, (size_t)(block + 2 * BLOCK - memory)) == 0);
	return block;
}

/*
 * Without writers it may move. Memory that was advised in parts is several mappings, which the kernel does
 * not resize.
 */
static void end_region(char *block, const struct writer *writers, unsigned count)
{
	size_t before = (size_t)(memory - block);
	char *moved;

	verify_written(writers, count);
	if (is_mapped) {
		moved = mremap(memory, LENGTH, 2 * LENGTH, MREMAP_MAYMOVE);
		if (moved == MAP_FAILED) {
			CHECK(errno == EFAULT && munmap(block, before + LENGTH) == 0);
			return;
		}
		CHECK(check_page(moved + 2 * LENGTH - 8) == 0);
		memory = moved;
	} else {
		moved = realloc(block, 2 * LENGTH);
		if (!CHECK(moved != NULL))
			return;
		memory = moved + before;
	}
	verify_written(writers, count);
	for (unsigned i = 0; i < 16; i++)
		CHECK(check_page(idle_page(i)) == idle_value);
	if (!is_mapped)
		free(moved);
	else
		CHECK(munmap(moved, 2 * LENGTH) == 0 && (before == 0 || munmap(block, before) == 0));
}

static void use_region(uint64_t *state, uint64_t rounds, unsigned tasks)
{
	const struct timespec nap = {.tv_nsec = 500000};
	struct writer writers[TASKS];
	char *block = make_region();
	unsigned count;

	fill_idle();
	count = start_writers(writers, tasks);
	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		for (unsigned k = 0; k < CALLS_PER_ROUND; k++) {
			make_call(state);
			nanosleep(&nap, NULL);
		}
		progress();
	}
	stop_writers();
	end_region(block, writers, count);
}

void run_windows(uint64_t rounds)
{
	unsigned tasks = (1u << TASKS) - 1;
	uint64_t state = 1;

	if (!make_files()) {
		fprintf(stderr, "not tested: reads with O_DIRECT (%s)\n", strerror(errno));
		tasks &= ~(1u << READS_DIRECTLY);
	}
	for (uint64_t done = 0; done < rounds && !failed(); done = rounds_done()) {
		is_mapped = next_random(&state) % 2 != 0;
		use_region(
			&state, rounds - done < ROUNDS_PER_REGION ? rounds - done : ROUNDS_PER_REGION, tasks);
	}
	close_files();
}
