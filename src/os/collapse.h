/*
 * Huge pages in shared memory that exists already: how full each block of it is, whether there is room to
 * fill a block up, and collapsing it (MADV_COLLAPSE, Linux 6.1). A block is what one PMD entry maps, 2 MiB on
 * x86-64.
 *
 * The kernel collapses a block of a file in tmpfs, of a memfd, of shared anonymous memory and of a System V
 * segment through any mapping of it whose address and offset are congruent modulo the block, whatever that
 * mapping's protection is; it needs no privilege, and frees the page tables of all processes that map the
 * block. It allocates the pages that the block lacks, so holes are filled (collapse_file in mm/khugepaged.c).
 * Hence the room that must be left.
 *
 * A collapse takes 0.3 to 1 ms if one process maps the block, 6 ms with 4 and 11 ms with 50 of them.
 *
 * Nothing here reads or writes the memory, so a file that is truncated meanwhile raises no SIGBUS.
 * Thread-safe; no locks, no heap.
 */
#ifndef LZ_OS_COLLAPSE_H
#define LZ_OS_COLLAPSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

/* Of the file system and of the memory, this much stays free: 64 MiB, or 5% if that is more. */
#define LZ_ROOM_RESERVE (UINT64_C(64) << 20)
#define LZ_ROOM_SHARE 20u

/* What became of a collapse. */
enum lz_collapse_result {
	LZ_COLLAPSED,          /* the block is huge */
	LZ_COLLAPSE_EMPTY,     /* EINVAL: no page exists, or the memory cannot be huge */
	LZ_COLLAPSE_BUSY,      /* EAGAIN, EBUSY: pages are in use or locked, or the control group is full */
	LZ_COLLAPSE_NO_MEMORY, /* ENOMEM: no huge page is free */
	LZ_COLLAPSE_FAILED     /* any other error: the kernel cannot do it */
};

/*
 * Counts the pages that the object holds of [address, address + length), which must be mapped, by mincore(2):
 * for a file it looks at the page cache, not at page tables. Pages in swap do not count. 77 ns a page: 40 us
 * for 2 MiB. Returns 0 or -errno.
 */
int lz_collapse_count_pages(const struct lz_os *os, uintptr_t address, size_t length, uint64_t *pages);

/* Collapses one block, which must be mapped. Sets *error to 0 or -errno. */
enum lz_collapse_result lz_collapse_block(
	const struct lz_os *os, uintptr_t address, size_t block, int *error);

/* How many of `total` bytes (of memory, as lz_memory_limit finds it, or of a file system) must stay free. */
uint64_t lz_room_reserve(uint64_t total);

/*
 * How many bytes may be allocated now: what is left of the memory beyond `reserve`, and of the file system of
 * `fd` (-1: none) beyond its own reserve. 0.1 to 0.3 ms; UINT64_MAX if nothing could be read.
 */
uint64_t lz_room(const struct lz_os *os, int fd, uint64_t reserve);

/*
 * The same for the memory of another process: what its control groups, each with its own reserve, and the
 * machine have left. A huge page is charged to the process in whose mapping the block is collapsed.
 */
uint64_t lz_room_of(const struct lz_os *os, pid_t pid, int fd);

/*
 * Maps `length` bytes of the file from its start, without access, at an address that is a multiple of
 * `block`. Returns the address or -errno.
 */
intptr_t lz_collapse_map_file(const struct lz_os *os, int fd, size_t length, size_t block);

/* Reserves inaccessible address space at a multiple of `block`. Returns the address or -errno. */
intptr_t lz_collapse_reserve(const struct lz_os *os, size_t length, size_t block);

#endif
