/* System calls of a kernel without some features; see hide.h. */
#include "hide.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/mman.h"

#ifdef LZ_HAVE_RAW_SYSCALL
#undef lz_raw_syscall

#define PAGE 4096u /* of all architectures that have inline system calls and a zero window */

enum {
	VMPTE = 1,
	PAGEMAP_SCAN = 2,
	PROCMAP_QUERY = 4,
	WIPE_ON_FORK = 8,
	POPULATE = 16,
	COLLAPSE = 32,
	GUARD_REGIONS = 64,
	FIXED_NOREPLACE = 128,
	DONTUNMAP = 256,
	MREMAP_MANY = 512,
	SEALING = 1024,
	NOEXEC_SEAL = 2048,
	DECIDED = 4096
};

static const struct {
	const char *id;
	unsigned bit;
} names[] = {
	{"vmpte", VMPTE},
	{"pagemap_scan", PAGEMAP_SCAN},
	{"procmap_query", PROCMAP_QUERY},
	{"wipe_on_fork", WIPE_ON_FORK},
	{"populate", POPULATE},
	{"collapse", COLLAPSE},
	{"guard_regions", GUARD_REGIONS},
	{"fixed_noreplace", FIXED_NOREPLACE},
	{"mremap_dontunmap", DONTUNMAP},
	{"mremap_many", MREMAP_MANY},
	{"sealing", SEALING},
	{"noexec_seal", NOEXEC_SEAL},
};

static unsigned parse(const char *list)
{
	unsigned bits = 0;

	while (*list != '\0') {
		size_t length = strcspn(list, ",");

		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (strlen(names[i].id) == length && memcmp(names[i].id, list, length) == 0)
				bits |= names[i].bit;
		list += length + (list[length] == ',');
	}
	return bits;
}

/* Whether a feature is hidden. None is until libc has its environment; ld.so allocates before that. */
static bool is_hidden(unsigned feature)
{
	static const char variable[] = "LZ_HIDE_FACTS=";
	static _Atomic unsigned known;
	unsigned bits = atomic_load_explicit(&known, memory_order_relaxed);

	if ((bits & DECIDED) == 0 && environ != NULL) {
		for (char **entry = environ; *entry != NULL; entry++)
			if (strncmp(*entry, variable, sizeof variable - 1) == 0)
				bits |= parse(*entry + sizeof variable - 1);
		bits |= DECIDED;
		atomic_store_explicit(&known, bits, memory_order_relaxed);
	}
	return (bits & feature) != 0;
}

static bool is_ioctl_hidden(unsigned request)
{
	if (_IOC_TYPE(request) != 'f')
		return false;
	return (_IOC_NR(request) == 16 && is_hidden(PAGEMAP_SCAN)) ||
	       (_IOC_NR(request) == 17 && is_hidden(PROCMAP_QUERY));
}

static bool is_advice_hidden(int advice)
{
	switch (advice) {
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		return is_hidden(WIPE_ON_FORK);
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return is_hidden(POPULATE);
	case MADV_COLLAPSE:
		return is_hidden(COLLAPSE);
	case MADV_GUARD_INSTALL:
	case MADV_GUARD_REMOVE:
		return is_hidden(GUARD_REGIONS);
	default:
		return false;
	}
}

/* struct procmap_query of include/uapi/linux/fs.h (Linux 6.11), which every kernel has that moves several
 * mappings in one call (6.17). */
struct query {
	uint64_t size, flags, address, start, end, rest[8];
};

/* The end of the mapping that holds an address; 0 where none does. */
static uintptr_t mapping_end(uintptr_t address)
{
	struct query query = {.size = sizeof query, .address = address};
	long fd = lz_raw_syscall(
		SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long error = lz_raw_syscall(SYS_ioctl, fd, (long)_IOWR('f', 17, struct query), (long)&query, 0, 0, 0);

	lz_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return error == 0 ? query.end : 0;
}

/*
 * Whether a call moves several mappings. If so, does what a kernel before 6.17 does: it unmaps the target and
 * the tail of the old range before it looks for the mapping, and then fails with EFAULT because the range
 * goes beyond the mapping (mremap_to and vma_to_resize in mm/mremap.c). Calls that are invalid on any kernel
 * are left to this one.
 */
static bool unmap_as_before_6_17(
	uintptr_t from, size_t old_length, size_t new_length, long flags, uintptr_t to)
{
	size_t kept;
	uintptr_t end;

	old_length = (old_length + PAGE - 1) & ~(size_t)(PAGE - 1);
	new_length = (new_length + PAGE - 1) & ~(size_t)(PAGE - 1);
	kept = old_length < new_length ? old_length : new_length;

	if ((flags & (MREMAP_MAYMOVE | MREMAP_FIXED)) != (MREMAP_MAYMOVE | MREMAP_FIXED) || kept == 0 ||
		((flags & MREMAP_DONTUNMAP) != 0 && old_length != new_length) ||
		((from | to) & (PAGE - 1)) != 0 || (to < from + old_length && from < to + new_length))
		return false;
	end = mapping_end(from);
	if (end == 0 || end >= from + kept)
		return false;
	lz_raw_syscall(SYS_munmap, (long)to, (long)new_length, 0, 0, 0, 0);
	if (old_length > kept)
		lz_raw_syscall(SYS_munmap, (long)(from + kept), (long)(old_length - kept), 0, 0, 0, 0);
	return true;
}

/* Renames the line of /proc/PID/status. */
static long hide_line(char *text, long length)
{
	char *line = length > 0 ? memmem(text, (size_t)length, "VmPTE:", 6) : NULL;

	if (line != NULL)
		line[2] = 'X';
	return length;
}

long lz_hidden_call(long number, long a, long b, long c, long d, long e, long f)
{
	switch (number) {
	case SYS_ioctl:
		if (is_ioctl_hidden((unsigned)b))
			return -ENOTTY;
		break;
	case SYS_madvise:
		if (is_advice_hidden((int)c))
			return -EINVAL;
		break;
#ifdef SYS_process_madvise
	case SYS_process_madvise:
		if (is_advice_hidden((int)d))
			return -EINVAL;
		break;
#endif
	case SYS_mmap:
		if (is_hidden(FIXED_NOREPLACE))
			d &= ~(long)MAP_FIXED_NOREPLACE;
		break;
	case SYS_mremap:
		if ((d & MREMAP_DONTUNMAP) != 0 && is_hidden(DONTUNMAP))
			return -EINVAL;
		if (is_hidden(MREMAP_MANY) &&
			unmap_as_before_6_17((uintptr_t)a, (size_t)b, (size_t)c, d, (uintptr_t)e))
			return -EFAULT;
		break;
	case SYS_memfd_create:
		if (is_hidden(SEALING))
			return -ENOSYS;
		if ((b & MFD_NOEXEC_SEAL) != 0 && is_hidden(NOEXEC_SEAL))
			return -EINVAL;
		break;
	case SYS_read:
	case SYS_pread64:
		if (is_hidden(VMPTE))
			return hide_line((char *)b, lz_raw_syscall(number, a, b, c, d, e, f));
		break;
	default:
		break;
	}
	return lz_raw_syscall(number, a, b, c, d, e, f);
}
#endif
