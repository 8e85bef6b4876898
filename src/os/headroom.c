/* The room of a file system; see headroom.h. */
#include "os/headroom.h"

#include <sys/syscall.h>
#include <sys/vfs.h>

int lz_file_headroom(const struct lz_os *os, int fd, uint64_t *bytes)
{
	struct statfs stat;
	int error = (int)os->any_syscall(SYS_fstatfs, fd, (long)&stat, 0, 0, 0, 0);
	uint64_t unit;

	if (error)
		return error;
	/* A tmpfs without a limit has 0 blocks (shmem_statfs in mm/shmem.c). */
	unit = (uint64_t)stat.f_bsize;
	*bytes = stat.f_blocks == 0 ? UINT64_MAX : lz_headroom(stat.f_bavail * unit, stat.f_blocks * unit);
	return 0;
}
