/*
 * Buffers for text, file contents and results of system calls. They take no space on the stacks of the
 * program's threads, which may be as small as PTHREAD_STACK_MIN (16 KiB), or on its signal stacks, which may
 * be smaller.
 *
 * There are eight static buffers of 4 KiB, each acquired by an atomic exchange. If all are in use, a page is
 * mapped and unmapped instead: 10 us instead of 0.02 us. There is no lock. Safe in threads, signal handlers
 * and forked children: buffers that other threads of the parent used are free in the child. If a user never
 * returns (siglongjmp out of a handler, a cancelled thread), its buffer stays in use.
 */
#ifndef LZ_OS_SCRATCH_H
#define LZ_OS_SCRATCH_H

#include "os/os.h"

#define LZ_SCRATCH_BYTES 4096u

/*
 * Returns a buffer of LZ_SCRATCH_BYTES with undefined contents, aligned to 64 bytes; NULL if there is no
 * memory.
 */
void *lz_scratch_take(const struct lz_os *os);

/* Releases a buffer. Does nothing for NULL. */
void lz_scratch_release(const struct lz_os *os, void *buffer);

#endif
