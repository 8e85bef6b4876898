/*
 * Calls that change no contents, made over memory on a zero window while threads store to it, read(2) into it
 * and read into it past the page cache (O_DIRECT): nothing of what they write is lost.
 *
 *  leave WAY ...      the ways by name, or all: one line each, and status 1 where a write was lost
 *  leave missing      UFFDIO_REGISTER for missing pages, the one call that copies: says how many of which
 * were lost
 *
 * Each page has one writer, which counts up in it and looks before each write whether what it wrote last is
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define BLOCK ((size_t)2 << 20)
#define BLOCKS ((size_t)16)
#define LENGTH (BLOCKS * BLOCK)
#define WRITERS 4u /* of which the third calls read(2), the fourth with O_DIRECT */
#define ROUNDS 8
#define MOST_ROUNDS 300

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_REMOVE
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* Not in every C library's headers; mbind is libnuma's. */
int pkey_mprotect(void *address, size_t length, int protection, int key);
__attribute__((weak)) long mbind(void *, unsigned long, int, const unsigned long *, unsigned long, unsigned);
__attribute__((weak)) ssize_t process_madvise(int, const struct iovec *, size_t, int, unsigned);

static char *memory;
static _Atomic bool stop;
static int fault_fd = -1, self_fd = -1;

/* --- the writers --- */

struct writer {
	unsigned index;
	int file; /* of pages that hold their number plus an offset */
	unsigned long writes, lost, failed, late;
	uint64_t last[LENGTH / PAGE / WRITERS];
};

static struct writer writers[WRITERS];

/* A page of a file that holds its own number: written to memory by the kernel. */
#define FILE_PAGES 64u

static int make_file(bool direct)
{
	const char *directory = getenv("TMPDIR");
	char name[256];
	uint64_t page[512];
	int fd, again;

	snprintf(name, sizeof name, "%s/lazyzero-leave-XXXXXX", directory != NULL ? directory : "/tmp");
	fd = mkstemp(name);
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		for (unsigned k = 0; k < 512; k++)
			page[k] = i + 1;
		if (fd < 0 || pwrite(fd, page, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
			return -1;
	}
	fsync(fd);
	again = open(name, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
	unlink(name);
	close(fd);
	return again;
}

/* Writes the next value of its own to a page; 0 where it could not. */
static uint64_t write_page(struct writer *writer, char *page, uint64_t last)
{
	uint64_t next = last % FILE_PAGES + 1;

	if (writer->file < 0) {
		*(volatile uint64_t *)page = next;
		return next;
	}
	if (pread(writer->file, page, PAGE, (off_t)((next - 1) * PAGE)) == (ssize_t)PAGE)
		return next;
	writer->failed++;
	/* What EFAULT left there is the last value, the next, or part of both. */
	return 0;
}

static void *run_writer(void *argument)
{
	struct writer *writer = argument;

	while (!stop)
		for (size_t i = 0; i < LENGTH / PAGE / WRITERS && !stop; i++) {
			char *page = memory + (i * WRITERS + writer->index) * PAGE;
			uint64_t found = *(volatile uint64_t *)page;

			writer->lost += writer->last[i] != 0 && found != writer->last[i];
			writer->last[i] = write_page(writer, page, found);
			writer->writes++;
		}
	for (size_t i = 0; i < LENGTH / PAGE / WRITERS; i++)
		writer->lost += writer->last[i] != 0 &&
				*(volatile uint64_t *)(memory + (i * WRITERS + writer->index) * PAGE) !=
					writer->last[i];
	return NULL;
}

/* --- the calls --- */

static long in_process(char *at, int advice)
{
	struct iovec range = {at, BLOCK};

	if (self_fd < 0)
		self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (process_madvise != NULL)
		return process_madvise(self_fd, &range, 1, advice, 0) == (ssize_t)BLOCK ? 0 : -1;
	errno = ENOSYS;
	return -1;
}

static bool open_fault_fd(unsigned long long features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};

	fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fault_fd < 0)
		fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	return fault_fd >= 0 && ioctl(fault_fd, UFFDIO_API, &api) == 0;
}

static long register_block(char *at, unsigned long long mode)
{
	struct uffdio_register registration = {.range = {(uintptr_t)at, BLOCK}, .mode = mode};
	struct uffdio_range range = registration.range;

	if (fault_fd < 0 && !open_fault_fd(mode == 2 ? 1 : 0))
		return -1;
	if (ioctl(fault_fd, UFFDIO_REGISTER, &registration) != 0)
		return -1;
	return mode == 2 ? ioctl(fault_fd, UFFDIO_UNREGISTER, &range) : 0;
}

static long way_collapse(char *at)
{
	return madvise(at, BLOCK, MADV_COLLAPSE);
}

static long way_pmadv(char *at)
{
	return in_process(at, MADV_COLLAPSE);
}

static long way_process_advice(char *at)
{
	static const int advices[] = {MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_NOHUGEPAGE, MADV_HUGEPAGE,
		MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_GUARD_REMOVE};
	static unsigned which;

	return in_process(at, advices[which++ % 8]);
}

/* Not a file's policy: what is bound is the memory of the whole machine here, so that nothing moves. */
static long way_mbind(char *at)
{
	unsigned long node = 1;

	errno = ENOSYS;
	return mbind != NULL ? mbind(at, BLOCK, 2 /* MPOL_BIND */, &node, 64, 0) : -1;
}

static long way_mprotect(char *at)
{
	static unsigned which;

	return mprotect(at, BLOCK, PROT_READ | PROT_WRITE | (which++ % 2 ? PROT_EXEC : 0));
}

static long way_pkey(char *at)
{
	static unsigned which;

	/* -1: no key, where the machine has none. */
	return pkey_mprotect(at, BLOCK, PROT_READ | PROT_WRITE, which++ % 2 ? 0 : -1);
}

static long way_advice(char *at)
{
	static const int advices[] = {MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_DONTFORK, MADV_DOFORK,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLD, MADV_PAGEOUT,
		MADV_WILLNEED, MADV_RANDOM, MADV_NORMAL, MADV_POPULATE_WRITE};
	static unsigned which;

	return madvise(at, BLOCK, advices[which++ % 14]);
}

static long way_uffdwp(char *at)
{
	return register_block(at, 2 /* UFFDIO_REGISTER_MODE_WP */);
}

static long way_missing(char *at)
{
	return register_block(at, UFFDIO_REGISTER_MODE_MISSING);
}

static const struct way {
	const char *name;
	long (*call)(char *at);
	int rounds;
	bool copies;
} ways[] = {
	{"collapse", way_collapse, ROUNDS, false},
	{"pmadv", way_pmadv, ROUNDS, false},
	{"process-advice", way_process_advice, ROUNDS, false},
	{"mbind", way_mbind, ROUNDS, false},
	{"mprotect", way_mprotect, ROUNDS, false},
	{"pkey", way_pkey, ROUNDS, false},
	{"advice", way_advice, ROUNDS * 4, false},
	{"uffdwp", way_uffdwp, ROUNDS, false},
	{"missing", way_missing, 1, true},
};

/* --- one way --- */

static bool on_window(const char *at)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	bool found = false;

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		found |= sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= (unsigned long)at &&
			 end > (unsigned long)at && strstr(line, "lazyzero-window") != NULL;
	if (maps != NULL)
		fclose(maps);
	return found;
}

static bool begin(pthread_t threads[WRITERS], bool touched)
{
	char *p = mmap(NULL, LENGTH + BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	memory = p + (-(uintptr_t)p & (BLOCK - 1));
	stop = false;
	memset(writers, 0, sizeof writers);
	/* Where missing pages would have to be answered, none is missing. */
	for (size_t at = 0; at < LENGTH && touched; at += PAGE)
		memory[at] = 0;
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].index = i;
		writers[i].file = i < 2 ? -1 : make_file(i == 3);
		if (i >= 2 && writers[i].file < 0)
			printf("not tested: reads %s (no such file can be made here)\n",
				i == 3 ? "with O_DIRECT" : "into the range");
		if (pthread_create(&threads[i], NULL, run_writer, &writers[i]) != 0)
			return false;
	}
	return true;
}

static bool all_wrote(void)
{
	return writers[0].writes > 2 * LENGTH / PAGE / WRITERS &&
	       writers[1].writes > 2 * LENGTH / PAGE / WRITERS;
}

static int run_way(const struct way *way)
{
	pthread_t threads[WRITERS];
	unsigned made = 0, refused = 0, left = 0;
	unsigned long lost = 0;
	int error = 0;

	if (!begin(threads, way->copies))
		return 2;
	if (!on_window(memory + LENGTH / 2)) {
		printf("%s: not on a window\n", way->name);
		return 2;
	}
	usleep(way->copies ? 20000 : 0);
	/* Until every page was written at least twice, so that there is something to lose. */
	for (int round = 0; round < way->rounds || (round < MOST_ROUNDS && !way->copies && !all_wrote());
		round++)
		for (size_t i = 0; i < BLOCKS; i++) {
			if (way->call(memory + i * BLOCK) == 0)
				made++;
			else if (refused++ == 0)
				error = errno;
			usleep(way->copies ? 5000 : 1000);
		}
	for (size_t i = 0; i < BLOCKS; i++)
		left += !on_window(memory + i * BLOCK);
	stop = true;
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		close(writers[i].file);
		/* Pins cannot be seen: see src/backing/window/userfault.c. */
		lost += way->copies && i == 3 ? 0 : writers[i].lost;
	}
	printf("%s: %u made, %u refused (%s), %u of %zu blocks left; stores %lu, lost %lu; read(2) %lu, lost "
	       "%lu, "
	       "failed %lu; O_DIRECT %lu, lost %lu, failed %lu\n",
		way->name, made, refused, refused ? strerror(error) : "-", left, BLOCKS,
		writers[0].writes + writers[1].writes, writers[0].lost + writers[1].lost, writers[2].writes,
		writers[2].lost, writers[2].failed, writers[3].writes, writers[3].lost, writers[3].failed);
	if (fault_fd >= 0)
		close(fault_fd);
	fault_fd = -1;
	munmap(memory, LENGTH);
	return lost != 0 || (left != 0 && !way->copies) || writers[0].writes < BLOCKS;
}

int main(int count, char **arguments)
{
	int status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		bool wanted = count < 2 && !ways[i].copies;

		for (int k = 1; k < count; k++)
			wanted |= strcmp(arguments[k], ways[i].name) == 0;
		if (wanted)
			status |= run_way(&ways[i]);
	}
	return status;
}
