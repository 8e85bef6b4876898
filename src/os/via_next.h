/*
 * Our own calls on memory that the program had: made by the next definition of the function, so that other
 * libraries that interpose it hear of them (registration caches of RDMA libraries), or, where this thread is
 * in such a call already (a library that frees blocks when it hears of one), by the kernel. Without a lock
 * held. Thread-safe.
 */
#ifndef LZ_OS_VIA_NEXT_H
#define LZ_OS_VIA_NEXT_H

#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

/* `os` is the kernel, `calls` the next definition. 0 or -errno. */
int lz_munmap_via_next(const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length);
int lz_madvise_via_next(
	const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length, int advice);

#endif
