/*
 * The pages of another process, read from outside through /proc/PID/pagemap, without stopping it.
 *
 * The kernel holds the lock of the process's mappings while it answers, for which mmap and munmap of its
 * threads wait. It must not do so for more than 2 ms at a time. So one call covers at most 256 MiB, of which
 * at most 4,096 populated pages: 0.2 to 0.4 ms where a populated page takes 50 ns (in a virtual machine; 16
 * ns without). A call that takes more than 1 ms, on a slower machine, halves the number of pages of those
 * that follow.
 *
 * Before Linux 6.7 (no PAGEMAP_SCAN) the entries of pagemap are read instead. The kernel then holds the lock
 * for 2 MiB at a time. These entries do not tell the zero page from a written page, nor a huge page from
 * small ones.
 */
#ifndef LZ_CLI_INSPECT_PAGES_H
#define LZ_CLI_INSPECT_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/pagemap.h"

struct lz_pages {
	int fd;              /* of /proc/PID/pagemap */
	bool from_entries;   /* the entries of pagemap are read, since the kernel lacks PAGEMAP_SCAN */
	unsigned most_pages; /* populated pages that one call looks at */
	uint64_t page;       /* bytes */
	uint64_t calls;      /* system calls that looked at page tables */
	uint64_t longest_ns; /* the longest of them, by CLOCK_MONOTONIC */
	uint64_t busy_ns;    /* that the calls since the last pause took */
};

/* Opens the pagemap of a process. Returns 0 or -errno. */
int lz_pages_open(struct lz_pages *pages, pid_t pid);

/* Visits the populated pages of [start, end) in ascending order. Returns 0 or -errno. */
int lz_pages_walk(
	struct lz_pages *pages, uint64_t start, uint64_t end, lz_page_run_visitor *visit, void *context);

/*
 * Whether the process still has the memory that was opened. If it ended or executed a program meanwhile, the
 * kernel shows no pages, and no error.
 */
bool lz_pages_are_current(const struct lz_pages *pages);

void lz_pages_close(struct lz_pages *pages);

#endif
