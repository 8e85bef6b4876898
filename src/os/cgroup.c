/* Memory limits of control groups, and how much memory they leave available; see cgroup.h. */
#include "os/cgroup.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/checked.h"
#include "os/cgroup_walk.h"
#include "os/descriptors.h"

/* The usage file of the group whose limit was found last; "" if there is none. */
static char usage_path[LZ_USAGE_PATH_BYTES];

/* UINT64_MAX: unlimited, or not known. */
static uint64_t group_limit(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	uint64_t limit;

	if (walk->mount.hierarchy == LZ_CGROUP_V2)
		return lz_cgroup_number(walk, group, "/memory.max");
	limit = lz_cgroup_number(walk, group, "/memory.limit_in_bytes");
	return limit >= LZ_CGROUP_V1_UNLIMITED ? UINT64_MAX : limit;
}

/* Not inlined, so that its stack is not in use while files are read. */
__attribute__((noinline)) static void record_usage_file(struct lz_cgroup_walk *walk)
{
	struct lz_text usage_file = lz_text_init(walk->usage_file, sizeof walk->usage_file);

	lz_text_string(&usage_file, walk->group);
	lz_text_string(&usage_file,
		walk->mount.hierarchy == LZ_CGROUP_V2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (usage_file.length >= sizeof walk->usage_file - 1)
		walk->usage_file[0] = '\0';
}

/* Returns the group's limit, and records the usage file of the group with the smallest limit so far. */
static uint64_t limit_and_usage_file(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	uint64_t limit = group_limit(walk, group);

	if (limit < walk->tightest) {
		walk->tightest = limit;
		record_usage_file(walk);
	}
	return limit;
}

/*
 * Returns the bytes of inactive file pages, which the kernel reclaims before it invokes the OOM killer
 * (memory.stat, including all descendants).
 */
static uint64_t group_inactive_file(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	const char *key = walk->mount.hierarchy == LZ_CGROUP_V2 ? "inactive_file " : "total_inactive_file ";
	size_t length = group->length;
	uint64_t bytes;

	lz_text_string(group, "/memory.stat");
	if (lz_proc_value(walk->os, walk->group, key, &bytes) != 0)
		bytes = 0;
	group->length = length;
	group->buffer[length] = '\0';
	return bytes;
}

/* The limit, or memory.high if that is smaller: beyond it the kernel throttles every allocation. */
static uint64_t group_bound(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	uint64_t limit = group_limit(walk, group);

	if (walk->mount.hierarchy == LZ_CGROUP_V2)
		limit = lz_min_u64(limit, lz_cgroup_number(walk, group, "/memory.high"));
	return limit;
}

static uint64_t left_of(struct lz_cgroup_walk *walk, struct lz_text *group, uint64_t limit)
{
	uint64_t used;

	if (limit == UINT64_MAX)
		return UINT64_MAX;
	used = lz_cgroup_number(walk, group,
		walk->mount.hierarchy == LZ_CGROUP_V2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (used == UINT64_MAX)
		return limit;
	return lz_sub_clamped(limit, lz_sub_clamped(used, group_inactive_file(walk, group)));
}

static uint64_t group_available(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	return left_of(walk, group, group_bound(walk, group));
}

static uint64_t group_available_beyond(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	uint64_t bound = group_bound(walk, group);

	return bound == UINT64_MAX ? bound
				   : lz_sub_clamped(left_of(walk, group, bound), walk->reserve(bound));
}

/* Returns a value of /proc/meminfo below the prefix, in bytes; UINT64_MAX if it cannot be read. */
static uint64_t machine_value(struct lz_cgroup_walk *walk, const char *key)
{
	struct lz_text name = lz_text_init(walk->name, sizeof walk->name);
	uint64_t bytes;

	lz_text_string(&name, walk->root);
	lz_text_string(&name, "/proc/meminfo");
	return lz_proc_value(walk->os, walk->name, key, &bytes) == 0 ? bytes : UINT64_MAX;
}

int lz_memory_by_sysinfo(const struct lz_os *os, uint64_t *total, uint64_t *free)
{
	struct sysinfo info;
	int error = (int)os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0);

	if (error == 0) {
		*total = (uint64_t)info.totalram * info.mem_unit;
		*free = ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
	}
	return error;
}

struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root)
{
	struct lz_memory_limit limit = {.bytes = UINT64_MAX};
	struct lz_cgroup_walk *walk = lz_cgroup_walk_begin(os, root);
	uint64_t group, free;

	if (walk == NULL)
		return limit;
	walk->tightest = UINT64_MAX;
	limit.bytes = machine_value(walk, "MemTotal:");
	/* systemd's ProcSubset=pid hides /proc/meminfo. */
	if (limit.bytes == UINT64_MAX)
		lz_memory_by_sysinfo(os, &limit.bytes, &free);
	group = lz_cgroup_walk_smallest(walk, limit_and_usage_file);
	if (group < limit.bytes) {
		limit.bytes = group;
		limit.from_cgroup = true;
		if (*root == '\0' && strcmp(usage_path, walk->usage_file) != 0) {
			memcpy(usage_path, walk->usage_file, sizeof usage_path);
			lz_descriptors_set_cgroup_usage(os, usage_path);
		}
	}
	limit.known = !walk->unreadable;
	lz_cgroup_walk_end(walk);
	return limit;
}

int lz_memory_cgroup_usage(const struct lz_os *os, uint64_t *bytes)
{
	return *usage_path == '\0' ? -ENOENT : lz_proc_number(os, usage_path, bytes);
}

uint64_t lz_memory_available(const struct lz_os *os, const char *root)
{
	struct lz_cgroup_walk *walk = lz_cgroup_walk_begin(os, root);
	uint64_t bytes = walk != NULL ? machine_value(walk, "MemAvailable:") : UINT64_MAX, total;

	if (bytes == UINT64_MAX)
		lz_memory_by_sysinfo(os, &total, &bytes);
	if (walk == NULL)
		return bytes;
	bytes = lz_min_u64(bytes, lz_cgroup_walk_smallest(walk, group_available));
	lz_cgroup_walk_end(walk);
	return bytes;
}

uint64_t lz_memory_available_beyond(
	const struct lz_os *os, const char *root, pid_t pid, uint64_t (*reserve)(uint64_t total))
{
	struct lz_cgroup_walk *walk = lz_cgroup_walk_begin(os, root);
	uint64_t total, left;

	if (walk == NULL)
		return 0;
	walk->pid = pid;
	walk->reserve = reserve;
	total = machine_value(walk, "MemTotal:");
	left = machine_value(walk, "MemAvailable:");
	/* systemd's ProcSubset=pid hides /proc/meminfo. */
	if ((total == UINT64_MAX || left == UINT64_MAX) && lz_memory_by_sysinfo(os, &total, &left) != 0)
		total = left = 0;
	left = lz_min_u64(
		lz_sub_clamped(left, reserve(total)), lz_cgroup_walk_smallest(walk, group_available_beyond));
	lz_cgroup_walk_end(walk);
	return left;
}

/* Reads the value from the first group that is visited, which is the process's own. */
static uint64_t read_own_stat(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	if (walk->mount.hierarchy != LZ_CGROUP_V2 || walk->stat_read)
		return UINT64_MAX;
	walk->stat_read = true;
	lz_text_string(group, "/memory.stat");
	walk->stat_error = lz_proc_value(walk->os, walk->group, walk->stat_key, &walk->stat);
	return UINT64_MAX;
}

int lz_memory_cgroup_stat(const struct lz_os *os, const char *root, const char *key, uint64_t *bytes)
{
	struct lz_cgroup_walk *walk = lz_cgroup_walk_begin(os, root);
	int error;

	if (walk == NULL)
		return -ENOMEM;
	walk->stat_key = key;
	walk->stat_error = -ENOENT;
	lz_cgroup_walk_smallest(walk, read_own_stat);
	error = walk->stat_error;
	if (error == 0)
		*bytes = walk->stat;
	lz_cgroup_walk_end(walk);
	return error;
}
