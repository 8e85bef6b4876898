/*
 * What is mapped at one address: the PROCMAP_QUERY ioctl of /proc/PID/maps (Linux 6.11,
 * Documentation/filesystems/proc.rst). It looks up one mapping in the kernel's tree; reading maps or smaps up
 * to it takes 0.3 us for each mapping below, and smaps walks over their page tables. 2.8 us
 * here, where a bare system call takes 1.0.
 */
#ifndef LZ_OS_VMA_H
#define LZ_OS_VMA_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/* One mapping, without its name. */
struct lz_vma {
	uint64_t start, end; /* [start, end), bytes */
	uint64_t offset;     /* of start in the file, bytes */
	uint64_t device;     /* major << 32 | minor; 0 for anonymous memory */
	uint64_t inode;      /* 0 for anonymous memory */
	uint64_t page_size;  /* bytes: of hugetlb memory that of its pages, else the base page */
	bool readable, writable, executable, shared;
};

/*
 * The mapping that holds the address. Returns 0; -ENOENT where nothing is mapped there; -ENOTTY before Linux
 * 6.11; or another -errno, which says nothing about the address. Advice, locks, keys and names are not told.
 */
int lz_vma_query(const struct lz_os *os, uintptr_t address, struct lz_vma *vma);

/*
 * The same, with the name that /proc/PID/maps shows: empty where there is none. -ENAMETOOLONG where it does
 * not fit into `size` bytes.
 */
int lz_vma_query_named(
	const struct lz_os *os, uintptr_t address, struct lz_vma *vma, char *name, size_t size);

#endif
