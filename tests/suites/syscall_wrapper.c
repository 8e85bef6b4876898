/*
 * A library that is preloaded to hear of system calls, as umockdev, v4l1compat and padsp do: it counts each,
 * allocates while it handles it, and passes it on to the next definition. It also keeps a range registered,
 * as the registration caches of UCX and libfabric do, until it hears that some of it is unmapped, moved or
 * dropped.
 *
 * A call that it makes itself while it handles one, also by way of the allocator, is passed on alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes, unsigned long nodes_max,
	unsigned flags);

enum name {
	MMAP,
	MMAP64,
	MUNMAP,
	MREMAP,
	MPROTECT,
	PKEY_MPROTECT,
	MADVISE,
	MINCORE,
	IOCTL,
	SHMAT,
	SHMDT,
	MLOCK,
	MLOCK2,
	MLOCKALL,
	MBIND,
	PROCESS_MADVISE,
	SETRLIMIT,
	SETRLIMIT64,
	PRLIMIT,
	PRLIMIT64,
	PRCTL,
	SETSOCKOPT,
	VMSPLICE,
	SYSCALL,
	NAMES
};

static const char *const names[NAMES] = {"mmap", "mmap64", "munmap", "mremap", "mprotect", "pkey_mprotect",
	"madvise", "mincore", "ioctl", "shmat", "shmdt", "mlock", "mlock2", "mlockall", "mbind",
	"process_madvise", "setrlimit", "setrlimit64", "prlimit", "prlimit64", "prctl", "setsockopt",
	"vmsplice", "syscall"};

static unsigned counts[NAMES], callbacks;
static uintptr_t start, end;
static int registered;
static __thread int depth __attribute__((tls_model("initial-exec")));

unsigned hearing_count(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return counts[i];
	abort();
}

void hearing_register(void *address, size_t length)
{
	start = (uintptr_t)address;
	end = start + length;
	registered = 1;
}

int hearing_registered(void)
{
	return registered;
}

unsigned hearing_callbacks(void)
{
	return callbacks;
}

/* What a handler may do: were a lock of the allocator's held, it would hang. */
static void allocate(void)
{
	char *small = malloc(100), *zeros = calloc(1, 64 * MIB), *large = malloc(40 * MIB);

	if (small == NULL || zeros == NULL || large == NULL || zeros[0] + zeros[64 * MIB - 1] != 0)
		abort();
	zeros[5 * MIB] = large[7] = small[7] = 1;
	free(large);
	free(zeros);
	free(small);
}

/* An address is NULL where a call has none; only the program's own ranges count. */
static void hear(enum name name, int counted)
{
	int saved_errno = errno;

	if (depth++ == 0) {
		counts[name] += counted != 0;
		if (counted)
			allocate();
	}
	depth--;
	errno = saved_errno;
}

static void unregister(const void *address, size_t length)
{
	uintptr_t at = (uintptr_t)address;

	if (!registered || at >= end || at + length <= start)
		return;
	registered = 0;
	callbacks++;
	depth++;
	allocate();
	depth--;
}

/* Calls are counted at the outermost level. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))
#define IS_OURS(length) ((length) == HEARD_LENGTH)

#define MAPS(name, NAME)                                                                                     \
	void *name(void *address, size_t length, int protection, int flags, int fd, off_t offset)            \
	{                                                                                                    \
		hear(NAME, IS_OURS(length));                                                                 \
		return NEXT(name)(address, length, protection, flags, fd, offset);                           \
	}
MAPS(mmap, MMAP)
MAPS(mmap64, MMAP64)

int munmap(void *address, size_t length)
{
	hear(MUNMAP, IS_OURS(length));
	unregister(address, length);
	return NEXT(munmap)(address, length);
}

void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...)
{
	va_list arguments;
	void *target;

	va_start(arguments, flags);
	target = va_arg(arguments, void *);
	va_end(arguments);
	hear(MREMAP, IS_OURS(old_length));
	unregister(address, old_length);
	return NEXT(mremap)(address, old_length, new_length, flags, target);
}

int mprotect(void *address, size_t length, int protection)
{
	hear(MPROTECT, IS_OURS(length));
	return NEXT(mprotect)(address, length, protection);
}

int pkey_mprotect(void *address, size_t length, int protection, int key)
{
	hear(PKEY_MPROTECT, IS_OURS(length));
	return NEXT(pkey_mprotect)(address, length, protection, key);
}

int madvise(void *address, size_t length, int advice)
{
	hear(MADVISE, IS_OURS(length));
	if (advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == MADV_FREE)
		unregister(address, length);
	return NEXT(madvise)(address, length, advice);
}

int mincore(void *address, size_t length, unsigned char *pages)
{
	hear(MINCORE, IS_OURS(length));
	return NEXT(mincore)(address, length, pages);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	hear(IOCTL, 1);
	return NEXT(ioctl)(fd, request, argument);
}

void *shmat(int id, const void *address, int flags)
{
	hear(SHMAT, 1);
	return NEXT(shmat)(id, address, flags);
}

int shmdt(const void *address)
{
	hear(SHMDT, 1);
	return NEXT(shmdt)(address);
}

int mlock(const void *address, size_t length)
{
	hear(MLOCK, IS_OURS(length));
	return NEXT(mlock)(address, length);
}

int mlock2(const void *address, size_t length, unsigned flags)
{
	hear(MLOCK2, IS_OURS(length));
	return NEXT(mlock2)(address, length, flags);
}

int mlockall(int flags)
{
	hear(MLOCKALL, 1);
	return NEXT(mlockall)(flags);
}

long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes, unsigned long nodes_max,
	unsigned flags)
{
	hear(MBIND, IS_OURS(length));
	return syscall(SYS_mbind, address, length, mode, nodes, nodes_max, flags);
}

ssize_t process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	hear(PROCESS_MADVISE, 1);
	return syscall(SYS_process_madvise, pidfd, ranges, count, advice, flags);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *changed)
{
	hear(SETRLIMIT, 1);
	return NEXT(setrlimit)(resource, changed);
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *changed)
{
	hear(SETRLIMIT64, 1);
	return NEXT(setrlimit64)(resource, changed);
}

int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *changed, struct rlimit *found)
{
	hear(PRLIMIT, 1);
	return NEXT(prlimit)(pid, resource, changed, found);
}

int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *changed, struct rlimit64 *found)
{
	hear(PRLIMIT64, 1);
	return NEXT(prlimit64)(pid, resource, changed, found);
}

int prctl(int option, ...)
{
	unsigned long argument[4];
	va_list arguments;

	va_start(arguments, option);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	hear(PRCTL, 1);
	return NEXT(prctl)(option, argument[0], argument[1], argument[2], argument[3]);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	hear(SETSOCKOPT, 1);
	return NEXT(setsockopt)(fd, level, option, value, length);
}

ssize_t vmsplice(int fd, const struct iovec *ranges, size_t count, unsigned flags)
{
	hear(VMSPLICE, 1);
	return NEXT(vmsplice)(fd, ranges, count, flags);
}

/* Passes on what a program of this test calls: clone with another stack could not be. */
long syscall(long number, ...)
{
	long argument[6];
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	hear(SYSCALL, number == SYS_getppid || number == SYS_io_uring_register);
	return NEXT(syscall)(
		number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}
