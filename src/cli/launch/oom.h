/*
 * Whether the kernel's out-of-memory killer ended a process: a process that dies of SIGKILL does not say who
 * sent it, but the kernel counts what it killed for want of memory, for each control group (oom_kill of
 * memory.events; of memory.oom_control in version 1) and for the machine (oom_kill of /proc/vmstat). Sources:
 * Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 */
#ifndef LZ_CLI_LAUNCH_OOM_H
#define LZ_CLI_LAUNCH_OOM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is known of a process's group while it runs. All zero: nothing yet. */
struct lz_oom_state {
	bool known;
	char events[PATH_MAX]; /* the file with the count of its group; "": there is none */
	uint64_t limit;        /* smallest limit of the group and those above it; UINT64_MAX: none */
	uint64_t group_kills, machine_kills; /* when the process was first seen in the group */
};

/* Notes the group that a running process is in. */
void lz_oom_watch(struct lz_oom_state *state, pid_t pid);

/* Whether a process was killed for want of memory in that group, or on the machine, since. */
bool lz_oom_has_killed(const struct lz_oom_state *state);

/*
 * "killed by the out-of-memory killer of its control group (64.0 MiB; page tables in the last sample, 0.3 s
 * before: 63.4 MiB)".
 */
void lz_oom_describe(
	const struct lz_oom_state *state, uint64_t page_tables, double age, char *text, size_t capacity);

#endif
