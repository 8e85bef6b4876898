/*
 * What the interposers of system calls share: what the C library makes of a kernel's answer.
 */
#ifndef LZ_SHIM_ANSWER_H
#define LZ_SHIM_ANSWER_H

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

static inline void *pointer_answer(intptr_t result)
{
	if (!lz_os_failed(result))
		return (void *)result;
	errno = (int)-result;
	return MAP_FAILED;
}

static inline int int_answer(long result)
{
	if (result >= 0)
		return (int)result;
	errno = (int)-result;
	return -1;
}

/* Whether the mmap family is followed. The first call of a process may be one of it. */
static inline bool followed(void)
{
	return __atomic_load_n(&lz_mappings_followed, __ATOMIC_ACQUIRE) ||
	       (lz_configure() && lz_mappings_followed);
}

#endif
