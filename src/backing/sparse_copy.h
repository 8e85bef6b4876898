/*
 * Copies anonymous memory, or memory on a window, to memory that reads as zero. Pages that were never written
 * are skipped: reading such a page would create a page-table entry, and writing its copy would allocate a
 * page. Without PAGEMAP_SCAN (before Linux 6.7) all pages are read. The caller must ensure that no other
 * thread writes to the source meanwhile. The functions take no lock.
 */
#ifndef LZ_BACKING_SPARSE_COPY_H
#define LZ_BACKING_SPARSE_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

/* Copies the written pages of [start, end), both page-aligned, to `to`. */
void lz_sparse_copy_pages(struct lz_backings *backings, uintptr_t start, uintptr_t end, uintptr_t to);

/* The same for any addresses and sizes. */
void lz_sparse_copy(struct lz_backings *backings, const void *from, size_t size, void *to);

#endif
