/*
 * Control groups: which one a process is in, and the page tables and the memory of each.
 *
 * The group of a process is that of the hierarchy that has the memory controller: of version 1 if
 * /proc/PID/cgroup has a line for it (also on a hybrid system), else of version 2. `root` is as in process.h,
 * and is a prefix of the cgroup mounts as well.
 */
#ifndef LZ_CLI_PROCESS_CGROUPS_H
#define LZ_CLI_PROCESS_CGROUPS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/process/process.h"
#include "os/cgroup_walk.h"

/* Numbers are bytes. LZ_UNKNOWN: the group cannot be read, or the kernel does not say. */
struct lz_cgroup {
	char *path; /* as in /proc/PID/cgroup: relative to the root of our cgroup namespace */
	enum lz_cgroup_hierarchy hierarchy;
	bool readable;      /* its directory is there, below one of the mounts */
	uint64_t processes; /* with memory of their own, in the group itself */
	uint64_t tables;    /* sum of their VmPTE */

	/* By the kernel, and with the groups below this one. Memory stays charged to a group that a process
	 * left. */
	uint64_t charged,
		charged_secondary; /* `pagetables` and `sec_pagetables` of memory.stat; version 2 only */
	uint64_t usage;            /* memory.current, or memory.usage_in_bytes */
	uint64_t limit;            /* smallest of the group and those above it; UINT64_MAX: none */
};

struct lz_cgroups {
	struct lz_cgroup *group; /* the group with most page tables first */
	size_t count;
	uint64_t processes, tables; /* sums over the groups */
};

/*
 * Finds the group of a process. Returns LZ_CGROUP_OTHER if it is in none or has ended. A path of more than
 * 4,000 bytes is cut.
 */
enum lz_cgroup_hierarchy lz_cgroup_of_process(const char *root, pid_t pid, char path[PATH_MAX]);

/*
 * The visible processes in the group at `below`, which is as for lz_cgroups_read, and in those below it;
 * ascending, in an array to be freed. Returns 0 or -errno.
 */
int lz_cgroup_processes(const char *root, const char *below, pid_t **pids, size_t *count);

/*
 * Reads the groups of all visible processes: those at `below` and below it, which is a path as in
 * /proc/PID/cgroup or the group's directory; "" for all. Returns 0 or -errno. Call lz_cgroups_free in
 * either case.
 */
int lz_cgroups_read(const char *root, const char *below, struct lz_cgroups *groups);
void lz_cgroups_free(struct lz_cgroups *groups);

#endif
