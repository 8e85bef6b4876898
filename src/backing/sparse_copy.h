/*
 * Copies of anonymous memory, or of memory on a window, to memory that reads as zero. Pages that were never
 * written are left out: reading one makes a page-table entry, writing its copy a page. Without PAGEMAP_SCAN
 * (before Linux 6.7) all of them are read. The caller sees to it that nobody writes meanwhile. Take no lock.
 */
#ifndef LZ_BACKING_SPARSE_COPY_H
#define LZ_BACKING_SPARSE_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

/* Copies the written pages of [start, end), whole pages, to `to`. */
void lz_sparse_copy_pages(struct lz_backings *backings, uintptr_t start, uintptr_t end, uintptr_t to);

/* The same for any addresses. */
void lz_sparse_copy(struct lz_backings *backings, const void *from, size_t size, void *to);

#endif
