/*
 * Which pages of a range are there: the PAGEMAP_SCAN ioctl of /proc/self/pagemap (Linux 6.7,
 * Documentation/admin-guide/mm/pagemap.rst). Needs no privilege; tells written pages from those mapped to the
 * zero page.
 */
#ifndef LZ_OS_PAGEMAP_H
#define LZ_OS_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/* A run of pages that are all alike. */
struct lz_page_run {
	uint64_t start, end; /* [start, end) */
	bool zero;           /* mapped to the zero page */
	bool file;        /* of a file or shared memory; neither: a page of its own, in memory or swapped */
	bool huge;        /* mapped by an entry above the lowest level */
	bool not_present; /* not in memory: swapped, or a guard (MADV_GUARD_INSTALL, Linux 6.13), which no one
		      may touch */
};

/* Receives each run of present pages, in order of address. */
typedef void lz_page_run_visitor(void *context, const struct lz_page_run *run);

/*
 * Walks [start, end), page-aligned. On the descriptor that is kept a page takes 3.4 us here, where opening
 * and closing one made it 6.8 (a bare system call takes 1.0). Returns 0 or -errno: -ENOTTY before Linux 6.7.
 */
int lz_pagemap_walk(
	const struct lz_os *os, uint64_t start, uint64_t end, lz_page_run_visitor *visit, void *context);

#endif
