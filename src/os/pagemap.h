/*
 * The state of the pages of a range: the PAGEMAP_SCAN ioctl of /proc/PID/pagemap (Linux 6.7,
 * Documentation/admin-guide/mm/pagemap.rst). It needs no privilege beyond opening that file, and tells
 * written pages from those that map the zero page.
 */
#ifndef LZ_OS_PAGEMAP_H
#define LZ_OS_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/descriptors.h"
#include "os/os.h"

/* A run of adjacent pages in the same state. */
struct lz_page_run {
	uint64_t start, end; /* [start, end) */
	bool zero;           /* maps the zero page */
	bool file; /* of a file or shared memory; if neither this nor zero: an anonymous page, in memory or
		      swapped */
	bool huge; /* mapped by an entry above the lowest level */
	bool not_present; /* swapped, or a guard page (MADV_GUARD_INSTALL, Linux 6.13), which must not be
			     accessed */
	bool guard;       /* known to be a guard page; set only by lz_pagemap_walk_step, from Linux 6.15 on */
};

/* Called for each run of populated pages, in ascending order of addresses. */
typedef void lz_page_run_visitor(void *context, const struct lz_page_run *run);

/*
 * Walks [start, end), which must be page-aligned. One page takes 3.4 us with the persistent descriptor, and
 * 6.8 us if the file is opened and closed each time (a bare system call takes 1.0 us). Returns 0 or -errno:
 * -ENOTTY before Linux 6.7. Thread-safe; takes no lock.
 */
int lz_pagemap_walk(
	const struct lz_os *os, uint64_t start, uint64_t end, lz_page_run_visitor *visit, void *context);

/* The same for another process, whose pagemap is open at fd (ptrace read access opens it). */
int lz_pagemap_walk_of(const struct lz_os *os, int fd, uint64_t start, uint64_t end,
	lz_page_run_visitor *visit, void *context);

/*
 * One step of such a walk: one system call, which stops after `most_pages` populated pages and advances *at
 * to the end of what was looked at. The kernel holds the lock of the process's mappings during the call; the
 * limit of pages, and the distance from *at to end, limit how long. 256 MiB take at most 0.4 ms (16 to 50 ns
 * for a populated page, 1 ns for an empty entry of a table that exists) if most_pages is 4,096. Returns 0 or
 * -errno: -ENOTTY before Linux 6.7.
 */
int lz_pagemap_walk_step(const struct lz_os *os, int fd, uint64_t *at, uint64_t end, unsigned most_pages,
	lz_page_run_visitor *visit, void *context);

/*
 * Scans that return their result to the caller, so that nothing is held while it uses the pages:
 * lz_scan_begin, then lz_scan_written as often as needed if that returned 0, then lz_scan_end in any case.
 * Not shared between threads.
 */
struct lz_scan {
	struct lz_file file;
};

int lz_scan_begin(struct lz_scan *scan, const struct lz_os *os);

/* A run of adjacent written pages. The layout is that of the kernel. */
struct lz_written_run {
	uint64_t start, end; /* [start, end) */
	uint64_t is_huge; /* not 0: mapped by an entry above the lowest level. On kernels that do not report
			     the huge zero page as a zero page, it may be that page. */
};

/*
 * Finds the written pages of [*at, end), which must be page-aligned: anonymous pages that are present,
 * swapped out or guard pages. Pages of files and the zero page are not reported, so on a zero window exactly
 * the pages with contents of their own are. Stops after `most_runs` runs or `most_pages` pages, and advances
 * *at to the end of what was looked at. Returns the number of runs or -errno: -ENOTTY before Linux 6.7. Needs
 * no scratch memory and takes no lock.
 */
int lz_scan_written(struct lz_scan *scan, uint64_t *at, uint64_t end, struct lz_written_run *runs,
	unsigned most_runs, unsigned most_pages);

void lz_scan_end(struct lz_scan *scan);

/*
 * Whether the page at an address is an anonymous one and in memory: neither of a file nor the huge zero page,
 * which the kernel shows like a page of a file. Reads the page's entry in /proc/self/pagemap. Returns 0, 1 or
 * -errno. Thread-safe; takes no lock.
 */
int lz_pagemap_is_anonymous(const struct lz_os *os, uint64_t address);

#endif
