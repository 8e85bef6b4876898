/*
 * Memory on a window as accessed by the kernel, by other threads and by other processes; see window.h. Cases
 * that this machine or user cannot run are skipped, with a message.
 */
#include "window.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static void skip(const struct calls *c, const char *what)
{
	if (is_named(c))
		printf("not tested: %s (%s)\n", what, strerror(errno));
}

static uint64_t sum_of(const char *from, size_t length)
{
	uint64_t sum = 0;

	for (size_t at = 0; at < length; at += 512)
		sum = sum * 31 + peek(from + at);
	return sum;
}

/* --- files --- */

static void files(const struct calls *c, int flags)
{
	int file = make_file(256 * KB, flags);

	if (file < 0) {
		skip(c, "files opened with O_DIRECT");
		return;
	}
	fresh(c, AT(0), 8 * MB);
	INT(pread(file, AT(2 * MB - 32 * KB), 64 * KB, 0)); /* across two pieces */
	INT(pread(file, AT(4 * MB), 128 * KB, 64 * KB));
	VALUE(sum_of(AT(2 * MB - 64 * KB), 128 * KB));
	INT(pwrite(file, AT(5 * MB), 64 * KB, 0)); /* never touched */
	INT(pwrite(file, AT(2 * MB - 8 * KB), 16 * KB, 128 * KB));
	INT(pread(file, AT(6 * MB), 256 * KB, 0));
	VALUE(sum_of(AT(6 * MB), 256 * KB));
	INT(pread(file, AT(8 * MB - 64 * KB), 128 * KB, 0)); /* beyond the end */
	INT(c->protect(AT(6 * MB), MB, PROT_READ));
	INT(pread(file, AT(6 * MB), 64 * KB, 0));
	INT(pwrite(file, AT(6 * MB), 64 * KB, 0));
	close(file);
}

static void plain_files(const struct calls *c)
{
	files(c, 0);
}

static void direct_files(const struct calls *c)
{
	files(c, O_DIRECT);
}

/* --- io_uring --- */

struct ring {
	int fd;
	struct io_uring_params parameters;
	char *queue;
	struct io_uring_sqe *entries;
};

static bool open_ring(struct ring *ring)
{
	memset(ring, 0, sizeof *ring);
	ring->fd = (int)syscall(SYS_io_uring_setup, 4, &ring->parameters);
	if (ring->fd < 0 || !(ring->parameters.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	ring->queue = (char *)syscall(SYS_mmap, NULL, PAGE, RW, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->entries = (struct io_uring_sqe *)syscall(
		SYS_mmap, NULL, PAGE, RW, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->queue != MAP_FAILED && ring->entries != MAP_FAILED;
}

/* One operation on registered buffer 0; returns its result. */
static int operate(struct ring *ring, int operation, int file, char *at, unsigned length, uint64_t offset)
{
	const struct io_sqring_offsets *sq = &ring->parameters.sq_off;
	const struct io_cqring_offsets *cq = &ring->parameters.cq_off;
	uint32_t *tail = (uint32_t *)(ring->queue + sq->tail), *head = (uint32_t *)(ring->queue + cq->head);
	uint32_t mask = *(uint32_t *)(ring->queue + sq->ring_mask);
	uint32_t *array = (uint32_t *)(ring->queue + sq->array);
	struct io_uring_cqe *answer;

	ring->entries[*tail & mask] = (struct io_uring_sqe){.opcode = (uint8_t)operation,
		.fd = file,
		.addr = (uint64_t)(uintptr_t)at,
		.len = length,
		.off = offset};
	array[*tail & mask] = *tail & mask;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -errno;
	answer = (struct io_uring_cqe *)(ring->queue + cq->cqes) +
		 (*head & *(uint32_t *)(ring->queue + cq->ring_mask));
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return answer->res;
}

static void registered_buffers(const struct calls *c)
{
	struct ring ring;
	int file = make_file(256 * KB, 0);
	struct iovec buffer = {AT(2 * MB - 64 * KB), 128 * KB};

	fresh(c, AT(0), 8 * MB);
	store(AT(2 * MB), 77);
	if (!open_ring(&ring)) {
		skip(c, "io_uring");
		close(file);
		return;
	}
	INT(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1));
	VALUE(operate(&ring, IORING_OP_WRITE_FIXED, file, AT(2 * MB - 8 * KB), 16 * KB, 0));
	store(AT(2 * MB + 8), 78); /* after it was pinned: must still be the same page */
	VALUE(operate(&ring, IORING_OP_WRITE_FIXED, file, AT(2 * MB), 8 * KB, 32 * KB));
	VALUE(operate(&ring, IORING_OP_READ_FIXED, file, AT(2 * MB + 32 * KB), 32 * KB, 64 * KB));
	VALUE(operate(&ring, IORING_OP_READ, file, AT(5 * MB), 64 * KB, 0));
	VALUE(sum_of(AT(2 * MB - 64 * KB), 128 * KB));
	VALUE(sum_of(AT(5 * MB), 64 * KB));
	syscall(SYS_munmap, ring.queue, PAGE);
	syscall(SYS_munmap, ring.entries, PAGE);
	close(ring.fd);
	close(file);
}

/* --- userfaultfd --- */

static void *answer_faults(void *argument)
{
	int fd = *(int *)argument;
	struct pollfd wait = {fd, POLLIN, 0};
	static char page[4096] __attribute__((aligned(4096)));
	struct uffd_msg message;
	long answered = 0;

	while (poll(&wait, 1, 2000) == 1 && read(fd, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = {.dst = message.arg.pagefault.address & ~(PAGE - 1),
			.src = (uint64_t)(uintptr_t)page,
			.len = PAGE};

		memset(page, 0x40 + (int)(copy.dst / PAGE % 16), PAGE);
		if (syscall(SYS_ioctl, fd, UFFDIO_COPY, &copy) != 0)
			break;
		answered++;
		if (copy.dst == (uint64_t)(uintptr_t)AT(7 * MB))
			break; /* the last one */
	}
	return (void *)answered;
}

static void user_faults(const struct calls *c)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {(uint64_t)(uintptr_t)AT(2 * MB), 6 * MB}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	pthread_t thread;
	void *answered;
	uint64_t value = 0;

	fresh(c, AT(0), 8 * MB);
	if (fd < 0 || c->control(fd, UFFDIO_API, &api) != 0) {
		skip(c, "userfaultfd");
		close(fd);
		return;
	}
	load(AT(MB), &value);
	store(AT(3 * MB), 3);
	store(AT(3 * MB + PAGE), 0); /* written with zeros: not missing */
	INT(c->control(fd, UFFDIO_REGISTER, &range));
	if (pthread_create(&thread, NULL, answer_faults, &fd) != 0)
		return;
	for (size_t at = 2 * MB; at < 4 * MB; at += 64 * KB) {
		load(AT(at), &value);
		VALUE(value);
	}
	load(AT(3 * MB + PAGE), &value);
	VALUE(value);
	VALUE(store(AT(5 * MB), 5));
	load(AT(5 * MB + 8), &value);
	VALUE(value);
	load(AT(7 * MB), &value);
	VALUE(value);
	pthread_join(thread, &answered);
	VALUE((long)answered);
	close(fd);
}

/* --- processes --- */

/* What a child reads from a region; the parent must not see the child's stores. */
static uint64_t seen_by_child(void)
{
	uint64_t sum = 0;
	int ends[2], status;
	pid_t child;

	if (pipe(ends) != 0)
		return 1;
	child = fork();
	if (child == 0) {
		for (size_t at = 0; at < 16 * MB; at += 64 * KB)
			sum = sum * 31 + peek(AT(at));
		for (size_t at = 8; at < 16 * MB; at += MB)
			sum = sum * 31 + (uint64_t)store(AT(at), at) + peek(AT(at));
		_exit(write(ends[1], &sum, sizeof sum) != sizeof sum);
	}
	for (size_t at = 16; at < 16 * MB; at += MB)
		store(AT(at), at);
	CHECK(read(ends[0], &sum, sizeof sum) == sizeof sum, "no report from the child");
	CHECK(waitpid(child, &status, 0) == child && status == 0, "the child died: %#x", status);
	close(ends[0]);
	close(ends[1]);
	return sum;
}

static void forks(const struct calls *c)
{
	fresh(c, AT(0), 16 * MB);
	for (size_t at = 0; at < 16 * MB; at += 512 * KB)
		store(AT(at), at + 1);
	VALUE(seen_by_child());
	VALUE(sum_of(AT(0), 16 * KB));
	INT(c->advise(AT(2 * MB + 64 * KB), 4 * MB, MADV_WIPEONFORK));
	INT(c->advise(AT(8 * MB), 3 * MB, MADV_DONTFORK));
	VALUE(seen_by_child());
	INT(c->advise(AT(3 * MB), MB, MADV_KEEPONFORK));
	INT(c->advise(AT(9 * MB), MB, MADV_DOFORK));
	VALUE(seen_by_child());
	for (size_t at = 0; at < 16 * MB; at += 512 * KB)
		VALUE(peek(AT(at)));
}

/* Another process writes here, and reads. */
static void other_process_access(const struct calls *c)
{
	uint64_t words[2] = {11, 12};
	pid_t parent = getpid(), child;
	int status = 0;

	fresh(c, AT(0), 8 * MB);
	store(AT(2 * MB), 5);
	child = fork();
	if (child == 0) {
		struct iovec here = {words, sizeof words}, there = {AT(4 * MB - 8), sizeof words};
		bool ok = process_vm_writev(parent, &here, 1, &there, 1, 0) == sizeof words;

		there.iov_base = AT(2 * MB - 8);
		_exit(!ok || process_vm_readv(parent, &here, 1, &there, 1, 0) != sizeof words ||
			words[0] != 0 || words[1] != 5);
	}
	waitpid(child, &status, 0);
	VALUE(status);
	VALUE(peek(AT(4 * MB - 8)));
	VALUE(peek(AT(4 * MB)));
}

/* A value that occurs in the program only where it is stored. */
static uint64_t mark(uint64_t number)
{
	return (number + opaque(3)) * opaque(0x9E3779B97F4A7C15);
}

static size_t marks_in(const char *path, size_t count)
{
	FILE *core = fopen(path, "re");
	static uint64_t block[8192];
	size_t found = 0, got;

	while (core != NULL && (got = fread(block, 8, 8192, core)) > 0)
		for (size_t i = 0; i < got; i++)
			for (size_t n = 0; block[i] != 0 && n < count; n++)
				found += block[i] == mark(n);
	if (core != NULL)
		fclose(core);
	return found;
}

static void core_dump(const struct calls *c)
{
	struct rlimit unlimited = {256 * MB, RLIM_INFINITY};
	char pattern[256] = "", directory[] = "/tmp/lazyzero-core-XXXXXX", path[64];
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	int status = 0;
	pid_t child;

	if (file == NULL || fgets(pattern, sizeof pattern, file) == NULL || strcmp(pattern, "core\n") != 0 ||
		mkdtemp(directory) == NULL) {
		if (is_named(c))
			printf("not tested: core dumps (kernel.core_pattern is %s)\n", pattern);
		if (file != NULL)
			fclose(file);
		return;
	}
	fclose(file);
	fresh(c, AT(0), 8 * MB);
	child = fork();
	if (child == 0) {
		for (size_t n = 0; n < 3; n++)
			store(AT(MB + n * 2 * MB), mark(n));
		c->protect(AT(3 * MB), PAGE, PROT_READ);
		signal(SIGABRT, SIG_DFL);
		if (chdir(directory) != 0 || setrlimit(RLIMIT_CORE, &unlimited) != 0)
			_exit(1);
		abort();
	}
	waitpid(child, &status, 0);
	snprintf(path, sizeof path, "%s/core", directory);
	if (access(path, F_OK) != 0)
		snprintf(path, sizeof path, "%s/core.%d", directory, (int)child);
	if (WIFSIGNALED(status) && WCOREDUMP(status) && access(path, R_OK) == 0)
		VALUE(marks_in(path, 3));
	else if (is_named(c))
		printf("not tested: core dumps (none was written)\n");
	unlink(path);
	rmdir(directory);
}

/* --- threads --- */

#define ROUNDS 40u
#define WORKERS 4u

static _Atomic bool finished;
static uint64_t last_seen[32][WORKERS];

/* Each thread writes words of its own on pages that all threads write to. */
static void *write_words(void *argument)
{
	size_t own = (size_t)argument;

	for (uint64_t round = 1; round <= ROUNDS; round++)
		for (size_t at = 0; at < 4 * MB; at += 128 * KB)
			*(volatile uint64_t *)AT(at + 8 * own) = round * (own + 1);
	return NULL;
}

/* A word always has a value that its writer wrote, and never decreases. */
static void *read_words(void *argument)
{
	size_t wrong = 0;

	(void)argument;
	while (!finished)
		for (size_t i = 0; i < 32; i++)
			for (size_t own = 0; own < WORKERS; own++) {
				uint64_t value = *(volatile uint64_t *)AT(i * 128 * KB + 8 * own);

				wrong += value % (own + 1) != 0 || value < last_seen[i][own];
				last_seen[i][own] = value;
			}
	return (void *)wrong;
}

static void threads(const struct calls *c)
{
	pthread_t writer[WORKERS], reader;
	void *wrong;

	fresh(c, AT(0), 8 * MB);
	finished = false;
	memset(last_seen, 0, sizeof last_seen);
	pthread_create(&reader, NULL, read_words, NULL);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&writer[i], NULL, write_words, (void *)i);
	/* Calls made at the same time. */
	for (int i = 0; i < 20; i++) {
		store(AT(6 * MB), 1);
		c->advise(AT(5 * MB), 2 * MB, i % 2 ? MADV_FREE : MADV_DONTNEED);
		c->protect(AT(4 * MB + 64 * KB), MB, i % 2 ? RW : PROT_READ);
	}
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(writer[i], NULL);
	finished = true;
	pthread_join(reader, &wrong);
	VALUE((long)wrong);
	for (size_t at = 0; at < 4 * MB; at += 128 * KB)
		for (size_t own = 0; own < WORKERS; own++)
			CHECK_EQUAL(peek(AT(at + 8 * own)), ROUNDS * (own + 1));
}

/* Two threads alternate through a futex on the window, private or shared. */
static int shared_flag;

static void *alternate(void *argument)
{
	uint32_t own = (uint32_t)(size_t)argument;
	uint32_t *word = (uint32_t *)AT(2 * MB - 8);

	for (uint32_t i = 0; i < 20; i++) {
		uint32_t value;

		while ((value = __atomic_load_n(word, __ATOMIC_SEQ_CST)) % 2 != own) {
			struct timespec limit = {5, 0};

			if (syscall(SYS_futex, word, FUTEX_WAIT | shared_flag, value, &limit, NULL, 0) != 0 &&
				errno == ETIMEDOUT)
				return (void *)1;
		}
		__atomic_store_n(word, value + 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, word, FUTEX_WAKE | shared_flag, 1, NULL, NULL, 0);
	}
	return NULL;
}

static void futexes(const struct calls *c)
{
	for (int round = 0; round < 2; round++) {
		pthread_t thread;
		void *late;

		fresh(c, AT(0), 8 * MB);
		shared_flag = round ? 0 : FUTEX_PRIVATE_FLAG;
		pthread_create(&thread, NULL, alternate, (void *)1);
		VALUE((long)alternate((void *)0));
		pthread_join(thread, &late);
		VALUE((long)late);
		VALUE(peek(AT(2 * MB - 8)));
		INT(c->unmap(AT(0), 8 * MB));
	}
}

/* --- descriptors: the library's are not visible, closed or replaced --- */

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static bool is_sound(const struct calls *c, char *at)
{
	uint64_t value = 1;

	if (fresh(c, at, 4 * MB) != at || on_window(at, 4 * MB) != (is_named(c) && probe_preloaded()))
		return false;
	if (load(at + 3 * MB, &value) != 0 || value != 0 || store(at + MB, 5) != 0)
		return false;
	return load(at + MB, &value) == 0 && value == 5;
}

/* A daemon closes unknown descriptors; another opens its files at numbers that the library might use. */
static int run_daemon(const struct calls *c)
{
	unsigned before = open_descriptors();
	int null;

	if (!is_sound(c, AT(0)) || open_descriptors() != before)
		return 1;
	for (int fd = 0; fd < 256; fd++)
		close(fd);
	if (!is_sound(c, AT(8 * MB)) || open_descriptors() != 0)
		return 2;
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 256; fd++)
		dup2(null, fd);
	return is_sound(c, AT(16 * MB)) && open_descriptors() == 256 ? 0 : 3;
}

static void descriptors(const struct calls *c)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(run_daemon(c));
	waitpid(child, &status, 0);
	VALUE(status);
	CHECK(status == 0, "a daemon's descriptors: status %#x", (unsigned)status);
}

void io_cases(void)
{
	run_case("descriptors", descriptors);
	run_case("read and write", plain_files);
	run_case("O_DIRECT", direct_files);
	run_case("io_uring", registered_buffers);
	if (tells_written())
		run_case("userfaultfd", user_faults);
	else
		puts("not tested: userfaultfd (before Linux 6.7)");
	run_case("fork", forks);
	run_case("process_vm", other_process_access);
	run_case("core dump", core_dump);
	run_case("threads", threads);
	run_case("futexes", futexes);
}
