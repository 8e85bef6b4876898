/* Reading what a program's pointer points to, which may be any. */
#ifndef LZ_OS_COPY_FROM_PROGRAM_H
#define LZ_OS_COPY_FROM_PROGRAM_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "os/os.h"

/* Copies length bytes; false where the kernel will answer EFAULT. */
static inline bool lz_copy_from_program(const struct lz_os *os, const void *from, void *to, size_t length)
{
	ssize_t got = os->read_memory(from, to, length);

	if (got >= 0 || got == -EFAULT)
		return got == (ssize_t)length;
	/* In a sandbox that denies the look, the pointer has to be believed. */
	memcpy(to, from, length);
	return true;
}

#endif
