/*
 * Visits the memory control groups of a process: its own and all their ancestors, in each hierarchy that
 * is mounted, of version 2 or of version 1's memory controller. Sources: cgroups(7), proc(5) (mountinfo,
 * cgroup).
 *
 * For cgroup.c; the command uses the parsers. The state is mapped for the duration of a walk, because the
 * stack of a thread may be small. Thread-safe; a walk belongs to one thread.
 */
#ifndef LZ_OS_CGROUP_WALK_H
#define LZ_OS_CGROUP_WALK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "os/os.h"
#include "os/procfs.h"

/* The cgroup hierarchy that a mount or a membership line belongs to. */
enum lz_cgroup_hierarchy { LZ_CGROUP_OTHER, LZ_CGROUP_V1, LZ_CGROUP_V2 };

struct lz_cgroup_mount {
	enum lz_cgroup_hierarchy hierarchy;
	char root[PATH_MAX];  /* the group that is mounted there */
	char point[PATH_MAX]; /* mount point */
};

/* Parses a line of /proc/PID/mountinfo, which it changes. */
void lz_cgroup_mount_parse(char *line, struct lz_cgroup_mount *mount);

/*
 * Parses a line of /proc/PID/cgroup, which it changes: "0::/path" for version 2, "N:controllers:/path" for
 * version 1, of which only the hierarchy with the memory controller is not LZ_CGROUP_OTHER. *path is set
 * unless it is LZ_CGROUP_OTHER, and points into the line.
 */
enum lz_cgroup_hierarchy lz_cgroup_membership_parse(char *line, const char **path);

/* Bytes reserved for a path. A longer path is not stored. */
#define LZ_USAGE_PATH_BYTES 512u

/* Three files that are open at the same time, and a name for each. */
struct lz_cgroup_walk {
	const struct lz_os *os;
	const char *root; /* prefix of every path */
	pid_t pid;        /* whose groups are visited; 0: of this process */
	struct lz_line_reader mounts, memberships, limit;
	struct lz_cgroup_mount mount; /* of the group that is visited */
	char name[PATH_MAX];
	char group[2 * PATH_MAX + 64];

	bool unreadable; /* the mounts or the memberships could not be read */

	/* What the measures of cgroup.c collect. */
	uint64_t tightest;                    /* smallest limit so far */
	char usage_file[LZ_USAGE_PATH_BYTES]; /* the file that holds the usage of the group with that limit */
	const char *stat_key;
	uint64_t stat;
	int stat_error;
	bool stat_read;
	uint64_t (*reserve)(uint64_t total); /* of lz_memory_available_beyond */
};

/*
 * Measures one group, whose directory is in `group`, in bytes; UINT64_MAX: nothing is known. It may append to
 * `group`.
 */
typedef uint64_t lz_cgroup_measure(struct lz_cgroup_walk *walk, struct lz_text *group);

/*
 * `root` is a prefix of /proc and of the cgroup mounts. Visits the groups of this process, unless `pid` is
 * set afterwards. Returns NULL if there is no memory.
 */
struct lz_cgroup_walk *lz_cgroup_walk_begin(const struct lz_os *os, const char *root);
void lz_cgroup_walk_end(struct lz_cgroup_walk *walk);

/* Returns the smallest measure of all groups visited. In each hierarchy the process's own group comes first.
 */
uint64_t lz_cgroup_walk_smallest(struct lz_cgroup_walk *walk, lz_cgroup_measure *measure);

/* Reads the number in a file of the group. Returns UINT64_MAX for "max", or if there is none. */
uint64_t lz_cgroup_number(struct lz_cgroup_walk *walk, struct lz_text *group, const char *file);

#endif
