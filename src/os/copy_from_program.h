/* Reads memory through a pointer that the program passed, which may be invalid. */
#ifndef LZ_OS_COPY_FROM_PROGRAM_H
#define LZ_OS_COPY_FROM_PROGRAM_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "os/os.h"

/* Copies length bytes. Returns false if the kernel would answer EFAULT. Thread-safe. */
static inline bool lz_copy_from_program(const struct lz_os *os, const void *from, void *to, size_t length)
{
	ssize_t got = os->read_memory(from, to, length);

	if (got >= 0 || got == -EFAULT)
		return got == (ssize_t)length;
	/* If a sandbox denies process_vm_readv(2), assume that the pointer is valid. */
	memcpy(to, from, length);
	return true;
}

#endif
