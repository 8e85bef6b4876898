/*
 * Makes each system call that lazyzero interposes once, checks its effect, and prints how often a library
 * preloaded as well (syscall_wrapper.c) saw it. The output must be the same with and without lazyzero, in
 * either order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "syscall_wrapper.h"

#define MIB ((size_t)1 << 20)
#define MAPPED (PROT_READ | PROT_WRITE), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
#define UNTOUCHED 1234 /* value of errno */

/* libnuma's; without lazyzero, only the other preloaded library defines it. */
extern __attribute__((weak)) long mbind(void *address, unsigned long length, int mode,
	const unsigned long *nodes, unsigned long nodes_max, unsigned flags);

static unsigned count(const char *name)
{
	return wrapper_count != NULL ? wrapper_count(name) : 0;
}

/* Prints the result of a call, whether errno was preserved, and how often the call was seen. */
#define CALL(name, call)                                                                                     \
	({                                                                                                   \
		unsigned before = count(#name), heard;                                                       \
		errno = UNTOUCHED;                                                                           \
		__typeof__(call) result = (call);                                                            \
		int error = errno;                                                                           \
		heard = count(#name) - before;                                                               \
		printf("%s: %s, seen %u\n", #name, error == UNTOUCHED ? "done" : strerror(error), heard);    \
		result;                                                                                      \
	})

static void check(int line, int holds)
{
	if (!holds)
		printf("line %d: wrong\n", line);
}
#define CHECK(condition) check(__LINE__, condition)

static void on_mappings(void)
{
	static unsigned char pages[PROGRAM_RANGE_LENGTH / 4096];
	char *p = CALL(mmap, mmap(NULL, PROGRAM_RANGE_LENGTH, MAPPED)), *q;

	p[MIB] = 1;
	CHECK(p[MIB + 1] == 0);
	CALL(mprotect, mprotect(p, PROGRAM_RANGE_LENGTH, PROT_READ));
	CHECK(p[MIB] == 1);
	CALL(mprotect, mprotect(p, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE));
	CALL(pkey_mprotect, pkey_mprotect(p, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE, -1));
	CALL(mincore, mincore(p, PROGRAM_RANGE_LENGTH, pages));
	CHECK(pages[MIB / 4096] & 1);
	CALL(munmap, munmap(p, PROGRAM_RANGE_LENGTH));
	q = CALL(mmap64, mmap64(NULL, PROGRAM_RANGE_LENGTH, MAPPED));
	q[5] = 1;
	/* Over an existing mapping. */
	p = CALL(mmap, mmap(q, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	CHECK(p == q && p[5] == 0);
	CALL(mmap, mmap(q, PROGRAM_RANGE_LENGTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			   -1, 0));
	CALL(munmap, munmap(p, PROGRAM_RANGE_LENGTH));
	p = CALL(mmap, mmap(q, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	CHECK(p == q && p[5] == 0);
	CALL(munmap, munmap(p, PROGRAM_RANGE_LENGTH));
	CALL(mmap, mmap(NULL, PROGRAM_RANGE_LENGTH, PROT_READ, MAP_PRIVATE, -1, 0));
	CALL(munmap, munmap((char *)NULL + 1, PROGRAM_RANGE_LENGTH));
	CALL(mmap, mmap(NULL, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			   open("/dev/zero", O_RDWR), 0));
}

/*
 * Calls that are emulated piece by piece on a window are also seen so; these are made only on plain memory.
 */
static void on_plain_memory(void)
{
	char *p = mmap(NULL, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	     *q;
	struct iovec range = {p, PROGRAM_RANGE_LENGTH};

	p[MIB] = 1;
	CALL(madvise, madvise(p, PROGRAM_RANGE_LENGTH, MADV_RANDOM));
	CALL(mlock, mlock(p, PROGRAM_RANGE_LENGTH) * 0);
	munlock(p, PROGRAM_RANGE_LENGTH);
	CALL(mlock2, mlock2(p, PROGRAM_RANGE_LENGTH, 1) * 0);
	munlock(p, PROGRAM_RANGE_LENGTH);
	if (mbind != NULL && wrapper_count != NULL)
		CALL(mbind, mbind(p, PROGRAM_RANGE_LENGTH, 0, NULL, 0, 0) * 0);
	CALL(process_madvise, process_madvise(-1, &range, 1, MADV_COLD, 0));
	q = CALL(mremap, mremap(p, PROGRAM_RANGE_LENGTH, PROGRAM_RANGE_LENGTH + MIB, MREMAP_MAYMOVE));
	CHECK(q[MIB] == 1);
	munmap(q, PROGRAM_RANGE_LENGTH + MIB);
	p = mmap(NULL, PROGRAM_RANGE_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	q = mmap(NULL, PROGRAM_RANGE_LENGTH, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[MIB] = 2;
	p = CALL(mremap,
		mremap(p, PROGRAM_RANGE_LENGTH, PROGRAM_RANGE_LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	CHECK(p == q && p[MIB] == 2);
	munmap(p, PROGRAM_RANGE_LENGTH);
}

static void on_limits(void)
{
	struct rlimit limit;
	struct rlimit64 limit64;

	CALL(prlimit, prlimit(0, RLIMIT_CORE, NULL, &limit));
	CALL(prlimit64, prlimit64(0, RLIMIT_CORE, NULL, &limit64));
	limit.rlim_cur = limit64.rlim_cur = 0;
	CALL(setrlimit, setrlimit(RLIMIT_CORE, &limit));
	CALL(setrlimit64, setrlimit64(RLIMIT_CORE, &limit64));
	CALL(prlimit, prlimit(0, RLIMIT_CORE, &limit, NULL));
	CALL(setrlimit, setrlimit((__rlimit_resource_t)-1, &limit));
}

static void on_others(void)
{
	int ends[2], pending = -1, socket_fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	static char bytes[4096] = "bytes", back[6];
	struct iovec range = {bytes, 5};
	int segment = shmget(IPC_PRIVATE, 2 * MIB, IPC_CREAT | 0600);
	char name[20] = "";
	void *at;

	CHECK(pipe(ends) == 0);
	CHECK(CALL(vmsplice, vmsplice(ends[1], &range, 1, 0)) == 5);
	CHECK(CALL(ioctl, ioctl(ends[0], FIONREAD, &pending)) == 0 && pending == 5);
	CHECK(read(ends[0], back, 5) == 5 && memcmp(back, "bytes", 5) == 0);
	CALL(ioctl, ioctl(-1, FIONREAD, &pending));
	CALL(setsockopt, setsockopt(socket_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
	CALL(setsockopt, setsockopt(socket_fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) * 0);
	at = CALL(shmat, shmat(segment, NULL, 0));
	CHECK(at != (void *)-1);
	CALL(shmdt, shmdt(at));
	CALL(shmdt, shmdt(at));
	shmctl(segment, IPC_RMID, NULL);
	CALL(prctl, prctl(PR_SET_NAME, "calls-program", 0, 0, 0));
	CALL(prctl, prctl(PR_GET_NAME, name, 0, 0, 0));
	CHECK(strcmp(name, "calls-program") == 0);
	CHECK(CALL(syscall, syscall(SYS_getppid)) == getppid());
	CALL(syscall, syscall(SYS_io_uring_register, -1L, 0L, NULL, 0L));
	/* Last, because later mappings would be locked, as far as the limit allows. */
	CALL(mlockall, mlockall(0));
}

int main(void)
{
	if (freopen("/dev/null", "r", stdin) == NULL)
		return 1;
	on_mappings();
	on_plain_memory();
	on_limits();
	on_others();
	return 0;
}
