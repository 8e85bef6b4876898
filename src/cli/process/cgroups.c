/* Reads control groups; see cgroups.h. */
#include "cli/process/cgroups.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/array.h"
#include "os/cgroup.h"
#include "os/procfs.h"

/* The mounts of the hierarchies that may have the memory controller. */
struct mounts {
	struct lz_cgroup_mount *mount;
	size_t count;
};

enum lz_cgroup_hierarchy lz_cgroup_of_process(const char *root, pid_t pid, char path[PATH_MAX])
{
	enum lz_cgroup_hierarchy hierarchy = LZ_CGROUP_OTHER;
	struct lz_line_reader lines;
	char *line;

	lz_proc_path(path, root, pid, "cgroup");
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return LZ_CGROUP_OTHER;
	/* The line of version 2 is the last one. */
	while (hierarchy != LZ_CGROUP_V1 && (line = lz_line_reader_next(&lines)) != NULL) {
		const char *group;
		enum lz_cgroup_hierarchy of_line = lz_cgroup_membership_parse(line, &group);

		if (of_line == LZ_CGROUP_OTHER)
			continue;
		hierarchy = of_line;
		snprintf(path, PATH_MAX, "%s", group);
	}
	lz_line_reader_close(&lines);
	return hierarchy;
}

static int open_mountinfo(const char *root, struct lz_line_reader *lines)
{
	static const char *const owners[] = {"thread-self", "self"};
	char path[PATH_MAX];
	int error = -ENOENT;

	for (size_t i = 0; i < 2 && error != 0; i++) {
		snprintf(path, sizeof path, "%s/proc/%s/mountinfo", root, owners[i]);
		error = lz_line_reader_open(lines, &lz_os_linux, path);
	}
	return error;
}

/* Without mounts the groups are still known from /proc, but nothing about their memory. */
static int read_mounts(const char *root, struct mounts *mounts)
{
	struct lz_line_reader lines;
	int error = 0;
	char *line;

	*mounts = (struct mounts){.mount = NULL};
	if (open_mountinfo(root, &lines) != 0)
		return 0;
	while (error == 0 && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_cgroup_mount *larger = lz_array_grow(mounts->mount, mounts->count, sizeof *larger);

		if (larger == NULL) {
			error = -ENOMEM;
		} else {
			mounts->mount = larger;
			lz_cgroup_mount_parse(line, &larger[mounts->count]);
			mounts->count += larger[mounts->count].hierarchy != LZ_CGROUP_OTHER;
		}
	}
	lz_line_reader_close(&lines);
	return error;
}

/* Returns what follows the directory in the path, "" or with a slash; NULL if it does not lie below it. */
static const char *path_below(const char *path, const char *directory)
{
	size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0')
		       ? path + length
		       : NULL;
}

/* The path of a group as in /proc/PID/cgroup, without a slash at the end; "" for all groups. */
static void normalize(const struct mounts *mounts, const char *given, char path[PATH_MAX])
{
	const char *rest = NULL;
	size_t length;

	for (size_t i = 0; i < mounts->count && rest == NULL; i++) {
		rest = path_below(given, mounts->mount[i].point);
		if (rest != NULL)
			snprintf(path, PATH_MAX, "%s%s",
				strcmp(mounts->mount[i].root, "/") == 0 ? "" : mounts->mount[i].root, rest);
	}
	if (rest == NULL)
		snprintf(path, PATH_MAX, "%s%s", *given == '/' || *given == '\0' ? "" : "/", given);
	length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		path[--length] = '\0';
}

/*
 * Writes the group's directory. Returns the length of the part that is the mount, or 0 if no mount shows the
 * group.
 */
static size_t find_directory(const char *root, const struct mounts *mounts, const struct lz_cgroup *group,
	char directory[PATH_MAX])
{
	for (size_t i = 0; i < mounts->count; i++) {
		const struct lz_cgroup_mount *mount = &mounts->mount[i];
		const char *rest = path_below(group->path, mount->root);

		/* Groups outside of our cgroup namespace have paths such as "/../other". */
		if (mount->hierarchy != group->hierarchy || rest == NULL || path_below(rest, "/..") != NULL ||
			snprintf(directory, PATH_MAX, "%s%s%s", root, mount->point, rest) >= PATH_MAX)
			continue;
		if (access(directory, X_OK) == 0)
			return strlen(root) + strlen(mount->point);
	}
	return 0;
}

static uint64_t read_number(const char *directory, const char *file)
{
	char path[PATH_MAX + 64];
	uint64_t number;

	snprintf(path, sizeof path, "%s/%s", directory, file);
	return lz_proc_number(&lz_os_linux, path, &number) == 0 ? number : LZ_UNKNOWN;
}

static uint64_t read_stat(const char *directory, const char *key)
{
	char path[PATH_MAX + 64];
	uint64_t number;

	snprintf(path, sizeof path, "%s/memory.stat", directory);
	return lz_proc_value(&lz_os_linux, path, key, &number) == 0 ? number : LZ_UNKNOWN;
}

/* Shortens the directory, up to the mount. */
static uint64_t smallest_limit(bool version_2, char *directory, size_t mount_length)
{
	uint64_t smallest = UINT64_MAX;

	for (;;) {
		char *slash = strrchr(directory, '/');
		uint64_t limit = read_number(directory, version_2 ? "memory.max" : "memory.limit_in_bytes");

		if (version_2 || limit < LZ_CGROUP_V1_UNLIMITED)
			smallest = lz_min_u64(smallest, limit);
		if (slash == NULL || (size_t)(slash - directory) < mount_length)
			return smallest;
		*slash = '\0';
	}
}

static void read_group(const char *root, const struct mounts *mounts, struct lz_cgroup *group)
{
	bool version_2 = group->hierarchy == LZ_CGROUP_V2;
	char directory[PATH_MAX];
	size_t mount_length = find_directory(root, mounts, group, directory);

	group->readable = mount_length > 0;
	group->charged = group->charged_secondary = group->usage = group->limit = LZ_UNKNOWN;
	if (!group->readable)
		return;
	if (version_2) {
		group->charged = read_stat(directory, "pagetables ");
		group->charged_secondary = read_stat(directory, "sec_pagetables ");
	}
	group->usage = read_number(directory, version_2 ? "memory.current" : "memory.usage_in_bytes");
	group->limit = smallest_limit(version_2, directory, mount_length);
}

/* Returns 0 or -ENOMEM. */
static int add_process(struct lz_cgroups *groups, enum lz_cgroup_hierarchy hierarchy, const char *path,
	const struct lz_process *process)
{
	struct lz_cgroup *group = NULL;

	for (size_t i = 0; i < groups->count && group == NULL; i++)
		if (groups->group[i].hierarchy == hierarchy && strcmp(groups->group[i].path, path) == 0)
			group = &groups->group[i];
	if (group == NULL) {
		struct lz_cgroup *larger = lz_array_grow(groups->group, groups->count, sizeof *larger);

		if (larger == NULL)
			return -ENOMEM;
		groups->group = larger;
		group = &larger[groups->count];
		*group = (struct lz_cgroup){.path = strdup(path), .hierarchy = hierarchy};
		if (group->path == NULL)
			return -ENOMEM;
		groups->count++;
	}
	group->processes++;
	groups->processes++;
	if (process->tables != LZ_UNKNOWN) {
		group->tables += process->tables;
		groups->tables += process->tables;
	}
	return 0;
}

static int add_processes(const char *root, const char *below, struct lz_cgroups *groups)
{
	pid_t *pids;
	size_t count;
	int error = lz_process_list(root, &pids, &count);

	if (error)
		return error;
	for (size_t i = 0; i < count && error == 0; i++) {
		struct lz_process process;
		char path[PATH_MAX];
		enum lz_cgroup_hierarchy hierarchy;

		/* Processes that have ended meanwhile are skipped. */
		if (lz_process_read(root, NULL, pids[i], 0, &process) != 0 ||
			!lz_process_has_memory(&process))
			continue;
		hierarchy = lz_cgroup_of_process(root, pids[i], path);
		if (hierarchy != LZ_CGROUP_OTHER && path_below(path, below) != NULL)
			error = add_process(groups, hierarchy, path, &process);
	}
	free(pids);
	return error;
}

int lz_cgroup_processes(const char *root, const char *below, pid_t **pids, size_t *count)
{
	struct mounts mounts;
	char group[PATH_MAX], path[PATH_MAX];
	size_t all;
	int error = read_mounts(root, &mounts);

	if (error == 0) {
		normalize(&mounts, below, group);
		error = lz_process_list(root, pids, &all);
	}
	free(mounts.mount);
	if (error)
		return error;
	*count = 0;
	for (size_t i = 0; i < all; i++)
		if (lz_cgroup_of_process(root, (*pids)[i], path) != LZ_CGROUP_OTHER &&
			path_below(path, group) != NULL)
			(*pids)[(*count)++] = (*pids)[i];
	return 0;
}

static int by_tables(const void *a, const void *b)
{
	const struct lz_cgroup *left = a, *right = b;

	if (left->tables != right->tables)
		return left->tables > right->tables ? -1 : 1;
	return strcmp(left->path, right->path);
}

int lz_cgroups_read(const char *root, const char *below, struct lz_cgroups *groups)
{
	struct mounts mounts;
	char path[PATH_MAX];
	int error;

	*groups = (struct lz_cgroups){.group = NULL};
	error = read_mounts(root, &mounts);
	if (error == 0) {
		normalize(&mounts, below, path);
		error = add_processes(root, path, groups);
	}
	for (size_t i = 0; i < groups->count; i++)
		read_group(root, &mounts, &groups->group[i]);
	if (groups->count > 0)
		qsort(groups->group, groups->count, sizeof *groups->group, by_tables);
	free(mounts.mount);
	return error;
}

void lz_cgroups_free(struct lz_cgroups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->group[i].path);
	free(groups->group);
}
