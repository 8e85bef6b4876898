/*
 * How much may be allocated that nobody asked for, such as the holes that a huge page fills: a reserve stays
 * free of the control group, the file system and the machine, for whoever allocates next. Without it, a
 * collapse took the last pages of a full tmpfs, and the next writer of another file got SIGBUS.
 *
 * The values are true only when they are read, so they are read before each allocation. Thread-safe.
 */
#ifndef LZ_OS_HEADROOM_H
#define LZ_OS_HEADROOM_H

#include <stdint.h>

#include "os/os.h"

/* What stays free at least, in bytes; of something larger than 1.25 GiB, a twentieth does. */
#define LZ_HEADROOM_RESERVE (UINT64_C(64) << 20)
#define LZ_HEADROOM_SHARE 20u

/* What may be taken of `left` bytes that something of `size` bytes has left; UINT64_MAX if it has no limit.
 */
static inline uint64_t lz_headroom(uint64_t left, uint64_t size)
{
	uint64_t share = size / LZ_HEADROOM_SHARE;
	uint64_t reserve = share > LZ_HEADROOM_RESERVE ? share : LZ_HEADROOM_RESERVE;

	return left == UINT64_MAX ? left : left > reserve ? left - reserve : 0;
}

/*
 * Stores how many bytes may be allocated on the file system of fd; UINT64_MAX if it has no limit, as that of
 * memfds and shared anonymous memory. Returns 0 or -errno (fstatfs(2)).
 */
int lz_file_headroom(const struct lz_os *os, int fd, uint64_t *bytes);

#endif
