/*
 * The mapping at one address: the PROCMAP_QUERY ioctl of /proc/PID/maps (Linux 6.11,
 * Documentation/filesystems/proc.rst). The kernel looks up one mapping in its tree, which takes 2.8 us where
 * a bare system call takes 1.0 us. Reading maps or smaps up to the address takes 0.3 us for each mapping
 * below it, and smaps also walks their page tables.
 *
 * Thread-safe and async-signal-safe; no locks.
 */
#ifndef LZ_OS_VMA_H
#define LZ_OS_VMA_H

#include <stdbool.h>
#include <stdint.h>

#include "os/descriptors.h"
#include "os/os.h"

/* One mapping, without its name. */
struct lz_vma {
	uint64_t start, end; /* [start, end), bytes */
	uint64_t offset;     /* offset of start in the file, bytes */
	uint64_t device;     /* major << 32 | minor; 0 for anonymous memory */
	uint64_t inode;      /* 0 for anonymous memory */
	uint64_t page_size;  /* bytes; for hugetlb memory the huge page size, else the base page size */
	bool readable, writable, executable, shared;
};

/*
 * Describes the mapping that contains the address. Returns 0; -ENOENT if nothing is mapped there; -ENOTTY
 * before Linux 6.11; or another -errno, which says nothing about the address. Advice, locks, protection keys
 * and names are not reported.
 */
int lz_vma_query(const struct lz_os *os, uintptr_t address, struct lz_vma *vma);

/*
 * Also returns the name that /proc/PID/maps shows, "" if there is none. Returns -ENAMETOOLONG if it does not
 * fit into `size` bytes.
 */
int lz_vma_query_named(
	const struct lz_os *os, uintptr_t address, struct lz_vma *vma, char *name, size_t size);

/*
 * The page size, as in struct lz_vma, of the mapping of another process whose maps file is open at fd.
 * Returns 0 or -errno as lz_vma_query.
 */
int lz_vma_page_size_of(const struct lz_os *os, int fd, uint64_t address, uint64_t *page_size);

/*
 * Several queries, which need the file checked only once: lz_vma_begin, then lz_vma_query_next as often as
 * needed if that returned 0, then lz_vma_end in any case. Not shared between threads.
 */
struct lz_vma_queries {
	struct lz_file file;
	void *query; /* scratch memory; NULL if the file is not open */
};

int lz_vma_begin(struct lz_vma_queries *queries, const struct lz_os *os);
int lz_vma_query_next(
	struct lz_vma_queries *queries, uintptr_t address, struct lz_vma *vma, char *name, size_t size);
void lz_vma_end(struct lz_vma_queries *queries);

#endif
