/*
 * What the interposers of system calls share: what the C library makes of a kernel's answer, and when calls
 * are followed.
 */
#ifndef LZ_SHIM_INTERPOSE_H
#define LZ_SHIM_INTERPOSE_H

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

static inline void *pointer_result(intptr_t result)
{
	if (!lz_os_failed(result))
		return (void *)result;
	errno = (int)-result;
	return MAP_FAILED;
}

static inline long long_result(long result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

static inline int int_result(long result)
{
	return (int)long_result(result);
}

/* Whether the mmap family is followed. The first call of a process may be one of it. */
static inline bool mmap_is_followed(void)
{
	return __atomic_load_n(&lz_mappings_followed, __ATOMIC_ACQUIRE) ||
	       (lz_ensure_ready() && lz_mappings_followed);
}

/* Whether anything is done in this program: where not, calls are passed on as they are. */
static inline bool is_active(void)
{
	return lz_ensure_ready() && lz_core.active;
}

#endif
