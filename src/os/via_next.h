/*
 * munmap and madvise on memory that the program has used. They call the next definition of the function
 * (RTLD_NEXT), so that other libraries that interpose it, such as the registration caches of RDMA libraries,
 * see the call. If the calling thread is already inside such a call (a library that frees blocks when it sees
 * one), they make the system call directly.
 *
 * Thread-safe. The caller must not hold a lock, because other libraries' code runs.
 */
#ifndef LZ_OS_VIA_NEXT_H
#define LZ_OS_VIA_NEXT_H

#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

/* `os` is the kernel, `next` holds the next definitions. Return 0 or -errno. */
int lz_munmap_via_next(const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length);
int lz_madvise_via_next(
	const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length, int advice);

#endif
