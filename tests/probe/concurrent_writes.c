/*
 * Calls that do not change contents, made on memory on a zero window while threads store to it, read(2) into
 * it and read into it with O_DIRECT: no write may be lost.
 *
 *   concurrent_writes CALL ...   the named calls, or all: one line each; status 1 if a write was lost
 *   concurrent_writes missing    UFFDIO_REGISTER for missing pages, the only call that copies: prints how
 * many writes of each kind were lost
 *
 * Each page has one writer, which increments a counter in it and checks before each write whether its last
 * value is still there.
 */
#include "on_window.h"

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
#define WRITERS 4u /* the third calls read(2), the fourth does so with O_DIRECT */
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

/* Not declared by every C library; mbind is defined by libnuma. */
int pkey_mprotect(void *address, size_t length, int protection, int key);
__attribute__((weak)) long mbind(void *, unsigned long, int, const unsigned long *, unsigned long, unsigned);
__attribute__((weak)) ssize_t process_madvise(int, const struct iovec *, size_t, int, unsigned);

static char *memory;
static _Atomic bool stop;
static int fault_fd = -1, self_fd = -1;

/* --- the writers --- */

struct writer {
	unsigned index;
	int file; /* pages that contain their number plus an offset */
	unsigned long writes, lost, failed, late;
	uint64_t last[LENGTH / PAGE / WRITERS];
};

static struct writer writers[WRITERS];

/* Each page of the file contains its own number; the kernel writes it to memory. */
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

/* Writes the next value to a page. Returns it, or 0 if the write failed. */
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
	/* After EFAULT the page holds the last value, the next one, or a mix of both. */
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

static long call_collapse(char *at)
{
	return madvise(at, BLOCK, MADV_COLLAPSE);
}

static long call_pmadv(char *at)
{
	return in_process(at, MADV_COLLAPSE);
}

static long call_process_advice(char *at)
{
	static const int advices[] = {MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_NOHUGEPAGE, MADV_HUGEPAGE,
		MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_GUARD_REMOVE};
	static unsigned which;

	return in_process(at, advices[which++ % 8]);
}

/* MPOL_BIND to all of this machine's memory, so that nothing is migrated. */
static long call_mbind(char *at)
{
	unsigned long node = 1;

	errno = ENOSYS;
	return mbind != NULL ? mbind(at, BLOCK, 2 /* MPOL_BIND */, &node, 64, 0) : -1;
}

static long call_mprotect(char *at)
{
	static unsigned which;

	return mprotect(at, BLOCK, PROT_READ | PROT_WRITE | (which++ % 2 ? PROT_EXEC : 0));
}

static long call_pkey(char *at)
{
	static unsigned which;

	/* -1: no key, if the machine has none. */
	return pkey_mprotect(at, BLOCK, PROT_READ | PROT_WRITE, which++ % 2 ? 0 : -1);
}

static long call_advice(char *at)
{
	static const int advices[] = {MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_DONTFORK, MADV_DOFORK,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLD, MADV_PAGEOUT,
		MADV_WILLNEED, MADV_RANDOM, MADV_NORMAL, MADV_POPULATE_WRITE};
	static unsigned which;

	return madvise(at, BLOCK, advices[which++ % 14]);
}

static long call_uffdwp(char *at)
{
	return register_block(at, 2 /* UFFDIO_REGISTER_MODE_WP */);
}

static long call_missing(char *at)
{
	return register_block(at, UFFDIO_REGISTER_MODE_MISSING);
}

static const struct tested_call {
	const char *name;
	long (*call)(char *at);
	int rounds;
	bool copies;
} calls[] = {
	{"collapse", call_collapse, ROUNDS, false},
	{"pmadv", call_pmadv, ROUNDS, false},
	{"process-advice", call_process_advice, ROUNDS, false},
	{"mbind", call_mbind, ROUNDS, false},
	{"mprotect", call_mprotect, ROUNDS, false},
	{"pkey", call_pkey, ROUNDS, false},
	{"advice", call_advice, ROUNDS * 4, false},
	{"uffdwp", call_uffdwp, ROUNDS, false},
	{"missing", call_missing, 1, true},
};

/* --- running one call --- */

static bool begin(pthread_t threads[WRITERS], bool touched)
{
	char *p = mmap(NULL, LENGTH + BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	memory = p + (-(uintptr_t)p & (BLOCK - 1));
	stop = false;
	memset(writers, 0, sizeof writers);
	/* A userfaultfd for missing pages is only useful if pages are missing. */
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

static bool all_pages_written(void)
{
	return writers[0].writes > 2 * LENGTH / PAGE / WRITERS &&
	       writers[1].writes > 2 * LENGTH / PAGE / WRITERS;
}

static int run_call(const struct tested_call *call)
{
	pthread_t threads[WRITERS];
	unsigned made = 0, refused = 0, left = 0;
	unsigned long lost = 0;
	int error = 0;

	if (!begin(threads, call->copies))
		return 2;
	if (!on_window(memory + LENGTH / 2, 1)) {
		printf("%s: not on a window\n", call->name);
		return 2;
	}
	usleep(call->copies ? 20000 : 0);
	/* Repeat until every page was written at least twice. */
	for (int round = 0;
		round < call->rounds || (round < MOST_ROUNDS && !call->copies && !all_pages_written());
		round++)
		for (size_t i = 0; i < BLOCKS; i++) {
			if (call->call(memory + i * BLOCK) == 0)
				made++;
			else if (refused++ == 0)
				error = errno;
			usleep(call->copies ? 5000 : 1000);
		}
	for (size_t i = 0; i < BLOCKS; i++)
		left += !on_window(memory + i * BLOCK, 1);
	stop = true;
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		close(writers[i].file);
		/* Pinned pages are not detectable, see src/backing/window/userfault.c. */
		lost += call->copies && i == 3 ? 0 : writers[i].lost;
	}
	printf("%s: %u made, %u refused (%s), %u of %zu blocks left; stores %lu, lost %lu; read(2) %lu, lost "
	       "%lu, "
	       "failed %lu; O_DIRECT %lu, lost %lu, failed %lu\n",
		call->name, made, refused, refused ? strerror(error) : "-", left, BLOCKS,
		writers[0].writes + writers[1].writes, writers[0].lost + writers[1].lost, writers[2].writes,
		writers[2].lost, writers[2].failed, writers[3].writes, writers[3].lost, writers[3].failed);
	if (fault_fd >= 0)
		close(fault_fd);
	fault_fd = -1;
	munmap(memory, LENGTH);
	return lost != 0 || (left != 0 && !call->copies) || writers[0].writes < BLOCKS;
}

int main(int count, char **arguments)
{
	int status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		bool wanted = count < 2 && !calls[i].copies;

		for (int k = 1; k < count; k++)
			wanted |= strcmp(arguments[k], calls[i].name) == 0;
		if (wanted)
			status |= run_call(&calls[i]);
	}
	return status;
}
