/*
 * The memory that this process may use: RAM, and the smallest memory limit of its control groups and all
 * their ancestors, in version 2 or version 1. Sources: Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst.
 *
 * All reads go through the os table. The state of a lookup is mapped for the duration of the call, because
 * the stack of a thread may be small. lz_memory_limit must not run in two threads at once; its callers hold
 * the lock of the books. The other functions are thread-safe.
 */
#ifndef LZ_OS_CGROUP_H
#define LZ_OS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/*
 * The limit of a version 1 group without one: LONG_MAX rounded down to a page (PAGE_COUNTER_MAX in
 * include/linux/page_counter.h), here to the largest page, 64 KiB.
 */
#define LZ_CGROUP_V1_UNLIMITED ((uint64_t)INT64_MAX & ~UINT64_C(0xffff))

struct lz_memory_limit {
	uint64_t bytes;   /* min(RAM, every limit found); UINT64_MAX if nothing could be read */
	bool from_cgroup; /* the limit of a control group is smaller than RAM */
	bool known;       /* the control groups of this process could be found */
};

/*
 * Reads the limit below `root`, a prefix of /proc and of the cgroup mounts ("" for the running system). Files
 * that cannot be read impose no limit. Limits can change while a process runs, so the result is valid only at
 * the time of the call.
 */
struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root);

/*
 * Reads the memory usage, in bytes, of the group whose limit lz_memory_limit found last on the running
 * system. The file stays open (descriptors.h). Returns 0 or -errno: -ENOENT if no group's limit was smaller
 * than RAM.
 */
int lz_memory_cgroup_usage(const struct lz_os *os, uint64_t *bytes);

/*
 * Returns how much memory, in bytes, this process can allocate now: the minimum of MemAvailable and of what
 * each control group on its path has left. A group has left its limit (memory.max and memory.high, or
 * memory.limit_in_bytes) minus its usage; inactive file pages do not count as usage. Returns UINT64_MAX if
 * nothing could be read. Takes 0.1 to 0.3 ms.
 */
uint64_t lz_memory_available(const struct lz_os *os, const char *root);

/*
 * Returns how many bytes process `pid` (0: this process) can allocate now while a reserve stays free of the
 * machine and of each control group on its path: the minimum of what each has left, as above, less
 * reserve(its size). 0 if there is no memory for the lookup.
 */
uint64_t lz_memory_available_beyond(
	const struct lz_os *os, const char *root, pid_t pid, uint64_t (*reserve)(uint64_t total));

/*
 * The machine's memory, and what is free of it, in bytes, by sysinfo(2): 0.2 us, without /proc. Page cache
 * that could be reclaimed does not count as free. Returns 0 or -errno; then neither is changed.
 */
int lz_memory_by_sysinfo(const struct lz_os *os, uint64_t *total, uint64_t *free);

/*
 * Reads a value of memory.stat (such as "pagetables ", including the space) of this process's own group, in
 * bytes, below `root` as above. Returns 0 or -errno: -ENOENT without the memory controller of version 2.
 * Version 1 does not count page tables.
 */
int lz_memory_cgroup_stat(const struct lz_os *os, const char *root, const char *key, uint64_t *bytes);

#endif
