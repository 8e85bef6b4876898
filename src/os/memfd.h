/* Memory files (memfd_create(2)) on descriptor numbers that programs do not use. Thread-safe; no locks. */
#ifndef LZ_OS_MEMFD_H
#define LZ_OS_MEMFD_H

#include "os/os.h"

/*
 * Creates an empty memfd with a high descriptor number. The kernel assigns the lowest free number. A program
 * that assumes low numbers are free (dup2 and close in a loop) could replace it during the milliseconds in
 * which the file is set up: its file would be truncated, or its descriptor closed. The duplicated descriptor
 * must be an empty memfd that can be sealed. Returns the descriptor or -errno.
 */
int lz_memfd_create_high(const struct lz_os *os, const char *name);

#endif
