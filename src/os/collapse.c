/* Huge pages in shared memory that exists already; see collapse.h. */
#include "os/collapse.h"

#include <errno.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "os/cgroup.h"
#include "os/mman.h"

#define PAGES_AT_ONCE 512u

int lz_collapse_count_pages(const struct lz_os *os, uintptr_t address, size_t length, uint64_t *pages)
{
	size_t page = os->page_size();
	unsigned char present[PAGES_AT_ONCE];

	*pages = 0;
	for (size_t done = 0; done < length; done += PAGES_AT_ONCE * page) {
		size_t part = lz_min_u64(length - done, PAGES_AT_ONCE * page);
		int error = os->mincore((void *)(address + done), part, present);

		if (error)
			return error;
		for (size_t i = 0; i < (part + page - 1) / page; i++)
			*pages += present[i] & 1;
	}
	return 0;
}

enum lz_collapse_result lz_collapse_block(const struct lz_os *os, uintptr_t address, size_t block, int *error)
{
	*error = os->madvise((void *)address, block, MADV_COLLAPSE);
	switch (*error) {
	case 0:
		return LZ_COLLAPSED;
	case -EINVAL:
		return LZ_COLLAPSE_EMPTY;
	case -EAGAIN:
	case -EBUSY:
		return LZ_COLLAPSE_BUSY;
	case -ENOMEM:
		return LZ_COLLAPSE_NO_MEMORY;
	default:
		return LZ_COLLAPSE_FAILED;
	}
}

uint64_t lz_room_reserve(uint64_t total)
{
	return lz_max_u64(LZ_ROOM_RESERVE, total / LZ_ROOM_SHARE);
}

/* What is left of a file system; UINT64_MAX if it has no limit (memfds, shared anonymous memory). */
static uint64_t file_system_room(const struct lz_os *os, int fd)
{
	struct statfs status;
	uint64_t total, free;

	if (fd < 0 || os->any_syscall(SYS_fstatfs, fd, (long)&status, 0, 0, 0, 0) != 0 ||
		status.f_blocks == 0)
		return UINT64_MAX;
	total = (uint64_t)status.f_blocks * (uint64_t)status.f_bsize;
	free = (uint64_t)status.f_bavail * (uint64_t)status.f_bsize;
	return lz_sub_clamped(free, lz_room_reserve(total));
}

uint64_t lz_room(const struct lz_os *os, int fd, uint64_t reserve)
{
	uint64_t available = lz_memory_available(os, "");
	uint64_t room = available == UINT64_MAX ? available : lz_sub_clamped(available, reserve);

	return lz_min_u64(room, file_system_room(os, fd));
}

uint64_t lz_room_of(const struct lz_os *os, pid_t pid, int fd)
{
	return lz_min_u64(lz_memory_available_beyond(os, "", pid, lz_room_reserve), file_system_room(os, fd));
}

intptr_t lz_collapse_reserve(const struct lz_os *os, size_t length, size_t block)
{
	size_t whole;
	uintptr_t start;
	intptr_t at;

	if (__builtin_add_overflow(length, block, &whole))
		return -ENOMEM;
	at = os->mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return at;
	start = lz_round_down((uintptr_t)at + block - 1, block);
	if (start > (uintptr_t)at)
		os->munmap((void *)at, start - (uintptr_t)at);
	os->munmap((void *)(start + length), (uintptr_t)at + whole - start - length);
	return (intptr_t)start;
}

intptr_t lz_collapse_map_file(const struct lz_os *os, int fd, size_t length, size_t block)
{
	intptr_t at = lz_collapse_reserve(os, length, block), mapped;

	if (lz_os_failed(at))
		return at;
	mapped = os->mmap((void *)at, length, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (lz_os_failed(mapped))
		os->munmap((void *)at, length);
	return mapped;
}
