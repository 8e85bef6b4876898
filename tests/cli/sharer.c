/*
 * sharer KIND MIB PERCENT CHILDREN [WITH [FILE]]: processes over one shared memory, for
 * tests/cli/collapse.sh.
 *
 * Maps MIB of memory of the KIND (anonymous, sysv, memfd, or file: FILE), at a multiple of 2 MiB. PERCENT of
 * the pages are written, by each of CHILDREN, or by itself if there are none. Prints its address and the
 * process IDs of the children, and waits for signals:
 *   SIGUSR1  makes a hole of one page in each block of the upper half
 *   SIGUSR2  cuts the object in half
 * WITH is a comma-separated list of what is special: skew (a page beside a multiple of 2 MiB), lock (a child
 * locks the memory), nohuge, bind (a NUMA policy), watch (userfaultfd), closed (its descriptor).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK ((size_t)2 << 20)

static char *memory;
static size_t size, page;
static int fd = -1;

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "sharer: %s: %s\n", what, strerror(errno));
	exit(2);
}

static char *aligned_address(void)
{
	char *area = mmap(NULL, size + 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		fail("reserve");
	munmap(area, size + 2 * BLOCK);
	return (char *)(((uintptr_t)area + BLOCK - 1) & ~(BLOCK - 1));
}

static void map(const char *kind, char *address, const char *file)
{
	if (strcmp(kind, "sysv") == 0) {
		int id = shmget(IPC_PRIVATE, size, 0600 | IPC_CREAT);

		memory = shmat(id, address, 0);
		shmctl(id, IPC_RMID, NULL);
	} else {
		if (strcmp(kind, "memfd") == 0)
			fd = memfd_create("buffers", MFD_CLOEXEC);
		else if (strcmp(kind, "file") == 0)
			fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0 && ftruncate(fd, (off_t)size) != 0)
			fail("ftruncate");
		memory = mmap(address, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	}
	if (memory != address)
		fail("map");
}

static void watch(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register registration = {
		.range = {(uintptr_t)memory, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0 ||
		ioctl(uffd, UFFDIO_REGISTER, &registration) != 0)
		fail("userfaultfd");
}

static void bind_to_node(void)
{
	unsigned long node = 1;

	if (syscall(SYS_mbind, memory, size, MPOL_BIND, &node, 8 * sizeof node, 0) != 0)
		fail("mbind");
}

static void write_pages(unsigned percent)
{
	for (size_t i = 0; i < size / page; i++)
		if (i % 100 < percent)
			memory[i * page] = (char)(i | 1);
}

static void start_child(unsigned percent, bool lock)
{
	int ready[2];
	char done = 0;
	pid_t pid;

	if (pipe(ready) != 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_pages(percent);
		if (lock && mlock(memory, size) != 0)
			fail("mlock");
		if (write(ready[1], &done, 1) != 1)
			fail("write");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &done, 1) != 1)
		fail("child");
	close(ready[0]);
	printf(" %d", (int)pid);
}

static void obey(int signal)
{
	if (signal == SIGUSR2 && ftruncate(fd, (off_t)(size / 2)) != 0)
		fail("ftruncate");
	for (size_t at = size / 2; signal == SIGUSR1 && at < size; at += BLOCK)
		if (madvise(memory + at, page, MADV_REMOVE) != 0)
			fail("MADV_REMOVE");
	puts("done");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *with = argc > 5 ? argv[5] : "";
	unsigned percent;
	int children, signal;
	sigset_t orders;

	if (argc < 5)
		return 2;
	sigemptyset(&orders);
	sigaddset(&orders, SIGUSR1);
	sigaddset(&orders, SIGUSR2);
	sigprocmask(SIG_BLOCK, &orders, NULL);
	page = (size_t)sysconf(_SC_PAGESIZE);
	size = strtoul(argv[2], NULL, 10) << 20;
	percent = (unsigned)strtoul(argv[3], NULL, 10);
	children = atoi(argv[4]);
	map(argv[1], aligned_address() + (strstr(with, "skew") != NULL ? page : 0), argc > 6 ? argv[6] : "");
	if (strstr(with, "nohuge") != NULL && madvise(memory, size, MADV_NOHUGEPAGE) != 0)
		fail("MADV_NOHUGEPAGE");
	if (strstr(with, "bind") != NULL)
		bind_to_node();
	if (strstr(with, "closed") != NULL)
		close(fd);
	printf("%lx", (unsigned long)memory);
	for (int i = 0; i < children; i++)
		start_child(percent, strstr(with, "lock") != NULL && i == 0);
	if (children == 0)
		write_pages(percent);
	if (strstr(with, "watch") != NULL)
		watch();
	puts("");
	fflush(stdout);
	while (sigwait(&orders, &signal) == 0)
		obey(signal);
	return 0;
}
