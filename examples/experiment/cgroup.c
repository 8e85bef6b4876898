/* A memory control group of our own; see cgroup.h. */
#include "cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common.h"

/* The files that differ in name between the versions. */
static const struct {
	const char *limit, *limit_with_swap, *events;
} files[] = {
	[1] = {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"},
	[2] = {"memory.max", "memory.swap.max", "memory.events"},
};

/* Where the groups are, and which of them this process is in. */
struct membership {
	int version;
	char mount[PATH_MAX];
	size_t mount_length;
	char group[2 * PATH_MAX];
};

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; *list != '\0'; list += *list == ',') {
		size_t item = strcspn(list, ",\n");

		if (item == length && memcmp(list, word, length) == 0)
			return true;
		list += item;
		if (*list == '\n')
			break;
	}
	return false;
}

/* From /proc/self/cgroup. Where version 1 has the memory controller, version 2 cannot have it. */
static bool find_group(struct membership *own, char *path, size_t capacity)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 256];

	own->version = 0;
	while (file != NULL && own->version != 1 && fgets(line, sizeof line, file) != NULL) {
		char *controllers = strchr(line, ':');
		char *end = controllers == NULL ? NULL : strchr(controllers + 1, ':');

		if (end == NULL)
			continue;
		*end++ = '\0';
		end[strcspn(end, "\n")] = '\0';
		if (has_word(controllers + 1, "memory"))
			own->version = 1;
		else if (controllers[1] == '\0')
			own->version = 2;
		else
			continue;
		snprintf(path, capacity, "%s", end);
	}
	if (file != NULL)
		fclose(file);
	return own->version != 0;
}

/* From /proc/self/mountinfo: the mount of that version, and which group is its root. */
static bool find_mount(struct membership *own, char *root)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[3 * PATH_MAX];
	bool found = false;

	while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
		char *tail = strstr(line, " - ");
		char type[32], super[512];

		if (tail == NULL || sscanf(tail, " - %31s %*s %511s", type, super) != 2)
			continue;
		if (own->version == 2 ? strcmp(type, "cgroup2") != 0
				      : strcmp(type, "cgroup") != 0 || !has_word(super, "memory"))
			continue;
		found = sscanf(line, "%*s %*s %*s %4095s %4095s", root, own->mount) == 2;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static bool find_membership(struct membership *own)
{
	char path[PATH_MAX], root[PATH_MAX];
	const char *below = path;
	size_t length;

	if (!find_group(own, path, sizeof path) || !find_mount(own, root))
		return false;
	/* A container may be shown only a part of the hierarchy: what lies above it cannot be reached. */
	length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0'))
		below += length;
	else
		below = "";
	if (strcmp(below, "/") == 0)
		below = "";
	own->mount_length = strlen(own->mount);
	snprintf(own->group, sizeof own->group, "%s%s", own->mount, below);
	return true;
}

static bool write_file(const struct memory_cgroup *group, const char *name, const char *value)
{
	char path[PATH_MAX + 64];
	FILE *file;
	bool written;

	snprintf(path, sizeof path, "%s/%s", group->path, name);
	/* Not "w": where the file is missing, the error is to be ENOENT. */
	file = fopen(path, "r+e");
	if (file == NULL)
		return false;
	written = fputs(value, file) >= 0;
	return fclose(file) == 0 && written;
}

/* Makes and limits the group in `parent`; on failure errno says why, and nothing is left behind. */
static bool make_below(struct memory_cgroup *group, const char *parent, uint64_t limit)
{
	char bytes[24];
	int error;

	if (snprintf(group->path, sizeof group->path, "%s/lazyzero-experiment-%d", parent, (int)getpid()) >=
		(int)sizeof group->path) {
		group->path[0] = '\0';
		errno = ENAMETOOLONG;
		return false;
	}
	if (mkdir(group->path, 0755) != 0) {
		group->path[0] = '\0';
		return false;
	}
	snprintf(bytes, sizeof bytes, "%" PRIu64, limit);
	if (write_file(group, files[group->version].limit, bytes)) {
		/* No refuge in swap. Kernels without swap accounting lack the file. */
		write_file(group, files[group->version].limit_with_swap, group->version == 1 ? bytes : "0");
		/*
		 * Version 1 can inherit a setting by which processes wait for ever instead of being killed.
		 */
		if (group->version == 1)
			write_file(group, files[1].events, "0");
		return true;
	}
	error = errno;
	memory_cgroup_remove(group);
	errno = error;
	return false;
}

bool memory_cgroup_make(struct memory_cgroup *group, uint64_t limit, char *why, size_t capacity)
{
	struct membership own;

	group->path[0] = '\0';
	if (!find_membership(&own)) {
		snprintf(why, capacity, "no memory control groups are mounted");
		return false;
	}
	group->version = own.version;
	for (;;) {
		if (make_below(group, own.group, limit))
			return true;
		if (strlen(own.group) <= own.mount_length)
			break;
		*strrchr(own.group, '/') = '\0';
	}
	/* With version 2 a group can be made that has no memory controller: the file is missing. */
	snprintf(why, capacity, "no memory control group can be made: %s%s",
		errno == ENOENT ? "the controller is not enabled" : strerror(errno),
		geteuid() == 0 ? "" : "; try systemd-run --user --scope");
	return false;
}

bool memory_cgroup_enter(const struct memory_cgroup *group)
{
	return write_file(group, "cgroup.procs", "0");
}

uint64_t memory_cgroup_oom_kills(const struct memory_cgroup *group)
{
	char path[PATH_MAX + 64], line[128];
	uint64_t kills = UNKNOWN;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", group->path, files[group->version].events);
	file = fopen(path, "re");
	while (file != NULL && kills == UNKNOWN && fgets(line, sizeof line, file) != NULL)
		sscanf(line, "oom_kill %" SCNu64, &kills);
	if (file != NULL)
		fclose(file);
	return kills;
}

void memory_cgroup_remove(struct memory_cgroup *group)
{
	/* The kernel may need a moment after the last process has gone. */
	for (int tries = 0; group->path[0] != '\0' && rmdir(group->path) != 0 && errno == EBUSY; tries++) {
		if (tries == 100) {
			fprintf(stderr, "experiments: cannot remove %s: %s\n", group->path, strerror(errno));
			break;
		}
		usleep(20000);
	}
	group->path[0] = '\0';
}
