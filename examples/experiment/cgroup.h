/*
 * A memory control group of our own, for the one experiment that must not be let loose on the machine.
 * Versions 1 and 2 of the interface.
 */
#ifndef LZ_EXPERIMENT_CGROUP_H
#define LZ_EXPERIMENT_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_cgroup {
	char path[PATH_MAX]; /* "" when there is none */
	int version;
};

/*
 * Makes a group with a limit of `limit` bytes, below the group of this process or the nearest one above it
 * that lets us. False with the reason in why. At most one exists at a time; memory_cgroup_remove takes it
 * away.
 */
bool memory_cgroup_make(struct memory_cgroup *group, uint64_t limit, char *why, size_t capacity);

/* Moves the calling process into the group. */
bool memory_cgroup_enter(const struct memory_cgroup *group);

/* Processes of the group that the kernel has killed for want of memory; UNKNOWN when it does not tell. */
uint64_t memory_cgroup_oom_kills(const struct memory_cgroup *group);

/* The group's processes must have ended and been waited for. */
void memory_cgroup_remove(struct memory_cgroup *group);

#endif
