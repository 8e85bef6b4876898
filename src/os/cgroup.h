/*
 * How much memory this process may use: RAM, and the smallest memory limit of its control groups, version 2
 * or version 1, with every group above it. Sources: Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst. All reading goes through the os table; the work area is mapped for the call, because
 * a thread's stack may be small.
 */
#ifndef LZ_OS_CGROUP_H
#define LZ_OS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct lz_memory_limit {
	uint64_t bytes;   /* min(RAM, every limit found); UINT64_MAX when nothing could be read */
	bool from_cgroup; /* a control group's limit is the smaller */
};

/*
 * Reads the limit under `root`, a prefix of /proc and of the cgroup mounts ("" for the machine itself). What
 * cannot be read does not limit. The answer is of this moment: limits can be changed while a process runs.
 */
struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root);

/*
 * How much memory is used, bytes, in the group whose limit lz_memory_limit found last for this machine; its
 * file is kept open from then on (descriptors.h). 0 or -errno: -ENOENT where no group's limit was the
 * smallest.
 */
int lz_memory_cgroup_usage(const struct lz_os *os, uint64_t *bytes);

/*
 * How much memory this process can take now, bytes: the least that the machine (MemAvailable) and any control
 * group on its path have free. Of a group that is its limit (memory.max and memory.high, or
 * memory.limit_in_bytes) less what is used, where inactive pages of files do not count as used. UINT64_MAX
 * when nothing could be read. 0.1 to 0.3 ms.
 */
uint64_t lz_memory_available(const struct lz_os *os, const char *root);

/*
 * A value of memory.stat ("pagetables ", with its space) of this process's own group, bytes, under `root` as
 * above. Returns 0 or -errno: -ENOENT without version 2's memory controller (version 1 does not count page
 * tables).
 */
int lz_memory_cgroup_stat(const struct lz_os *os, const char *root, const char *key, uint64_t *bytes);

#endif
