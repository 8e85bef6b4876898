/*
 * The system calls that we interpose, as the next definition makes them: libc's, or that of a library
 * preloaded behind us (umockdev, v4l1compat, padsp), which must hear what the program calls.
 *
 * The table starts out with functions that ask the kernel directly, and holds those until start-up has looked
 * up the others: an allocator beneath us maps memory while it initialises, and dlsym may allocate. Written
 * once, by lz_next_calls_find; a name that nobody behind us defines keeps its direct function. Thread-safe.
 *
 * All are as the C library declares them: -1 or MAP_FAILED and errno.
 */
#ifndef LZ_SHIM_NEXT_CALLS_H
#define LZ_SHIM_NEXT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "os/os.h"

struct lz_next_calls {
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mmap64)(void *, size_t, int, int, int, off64_t);
	int (*munmap)(void *, size_t);
	void *(*mremap)(void *, size_t, size_t, int, ...);
	int (*mprotect)(void *, size_t, int);
	int (*madvise)(void *, size_t, int);
	int (*mincore)(void *, size_t, unsigned char *);
	int (*ioctl)(int, unsigned long, ...);
	void *(*shmat)(int, const void *, int);
	int (*shmdt)(const void *);
	int (*pkey_mprotect)(void *, size_t, int, int);
	int (*mlock)(const void *, size_t);
	int (*mlock2)(const void *, size_t, unsigned);
	int (*mlockall)(int);
	int (*setrlimit)(__rlimit_resource_t, const struct rlimit *);
	int (*setrlimit64)(__rlimit_resource_t, const struct rlimit64 *);
	int (*prlimit)(pid_t, __rlimit_resource_t, const struct rlimit *, struct rlimit *);
	int (*prlimit64)(pid_t, __rlimit_resource_t, const struct rlimit64 *, struct rlimit64 *);
	int (*prctl)(int, ...);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	ssize_t (*vmsplice)(int, const struct iovec *, size_t, unsigned);
	/* Calls that few programs make: NULL until the first, when interpose_memory.c looks them up. Atomic.
	 */
	long (*mbind)(void *, unsigned long, int, const unsigned long *, unsigned long, unsigned);
	ssize_t (*process_madvise)(int, const struct iovec *, size_t, int, unsigned);
};

#pragma GCC visibility push(hidden)

extern struct lz_next_calls lz_next_calls;

/* Looks all of them up behind us; part of start-up, with what that has for re-entry. */
void lz_next_calls_find(void);

/*
 * The running kernel as in lz_os_linux, but for these calls of the program, which go through the table above:
 * the core's `calls`. Results and errno as os.h says.
 */
const struct lz_os *lz_next_calls_os(void);

/*
 * The name by which the program called, where the core has one function for two: the calling thread's mmap
 * goes to mmap64, its mprotect to pkey_mprotect with key -1. Returns what it was before.
 */
enum lz_called_as { LZ_CALLED_BY_STANDARD_NAME, LZ_CALLED_AS_MMAP64, LZ_CALLED_AS_PKEY_MPROTECT };
enum lz_called_as lz_next_calls_set_name(enum lz_called_as name);

#pragma GCC visibility pop

#endif
