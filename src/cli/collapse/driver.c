/* Collapses one block; see driver.h. */
#include "cli/collapse/driver.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/process/cgroups.h"
#include "os/mman.h"

static int collapse_remotely(int pidfd, uint64_t address, uint64_t length)
{
	struct iovec range = {(void *)(uintptr_t)address, length};
	long done = syscall(SYS_process_madvise, pidfd, &range, 1ul, MADV_COLLAPSE, 0u);

	return done < 0 ? -errno : 0;
}

/* Whether memory that is charged to this process is charged to the group of that one. */
static bool shares_cgroup(pid_t pid)
{
	char own[PATH_MAX], other[PATH_MAX];
	enum lz_cgroup_hierarchy hierarchy = lz_cgroup_of_process("", getpid(), own);

	return lz_cgroup_of_process("", pid, other) == hierarchy &&
	       (hierarchy == LZ_CGROUP_OTHER || strcmp(own, other) == 0);
}

int lz_drive_block(const struct lz_sharing *sharing, const struct lz_view *view,
	const struct lz_shared_mapping *mapping, size_t block)
{
	const struct lz_sharer *sharer = &sharing->sharers[mapping->sharer];
	int error = collapse_remotely(
		sharer->pidfd, mapping->start + (block * sharing->block - mapping->offset), sharing->block);

	if (error == -EPERM && view->fd >= 0 && shares_cgroup(sharer->pid))
		error = lz_view_collapse(view, block);
	return error;
}
