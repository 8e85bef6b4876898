/* Memory limits of control groups; see cgroup.h. */
#include "os/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/parse.h"
#include "base/text.h"
#include "os/procfs.h"

/* Which of the two hierarchies a mount or a membership line belongs to. */
enum hierarchy { NEITHER, VERSION_1, VERSION_2 };

struct mount {
	enum hierarchy hierarchy;
	char root[PATH_MAX];  /* the group that is mounted there */
	char point[PATH_MAX]; /* where */
};

/* What one look-up needs: three files open inside one another, and a name for each. */
struct work {
	const struct lz_os *os;
	const char *root; /* prefix of every path */
	struct lz_lines mounts, memberships, limit;
	struct mount mount;
	char name[PATH_MAX];
	char group[2 * PATH_MAX + 64];
};

/* Whether `word` stands in a comma-separated list. */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (*list != '\0') {
		size_t item = strcspn(list, ",");

		if (item == length && strncmp(list, word, length) == 0)
			return true;
		list += item + (list[item] == ',');
	}
	return false;
}

/* The next space-separated word of *cursor, cut off in place; "" at the end. */
static char *next_word(char **cursor)
{
	char *word = *cursor;
	char *end = word + strcspn(word, " ");

	*cursor = *end == '\0' ? end : end + 1;
	*end = '\0';
	return word;
}

/*
 * A line of /proc/self/mountinfo: "id parent maj:min root point options [tags] - type source superoptions".
 * Octal escapes (\040 for a space) are left as they are: such a mount is not found, and does not limit.
 */
__attribute__((noinline)) static void parse_mount(char *line, struct mount *mount)
{
	char *cursor = line;
	struct lz_text root = lz_text_in(mount->root, sizeof mount->root);
	struct lz_text point = lz_text_in(mount->point, sizeof mount->point);
	char *separator = strstr(line, " - ");
	char *type, *super;

	mount->hierarchy = NEITHER;
	if (separator == NULL)
		return;
	separator += 3;
	type = next_word(&separator);
	next_word(&separator);
	super = next_word(&separator);
	if (strcmp(type, "cgroup2") == 0)
		mount->hierarchy = VERSION_2;
	else if (strcmp(type, "cgroup") == 0 && list_has(super, "memory"))
		mount->hierarchy = VERSION_1;
	for (int skip = 0; skip < 3; skip++)
		next_word(&cursor);
	lz_text_string(&root, next_word(&cursor));
	lz_text_string(&point, next_word(&cursor));
}

/*
 * A line of /proc/self/cgroup: "0::/path" for version 2, "N:controllers:/path" for version 1. The path of
 * the membership in `hierarchy`, or NULL.
 */
static const char *membership_path(char *line, enum hierarchy hierarchy)
{
	char *controllers = strchr(line, ':');
	char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');

	if (path == NULL)
		return NULL;
	*path++ = '\0';
	controllers++;
	if (hierarchy == VERSION_2)
		return *controllers == '\0' ? path : NULL;
	return list_has(controllers, "memory") ? path : NULL;
}

/* Opens `path` under the prefix. */
static int open_under_root(struct work *work, struct lz_lines *lines, const char *path)
{
	struct lz_text name = lz_text_in(work->name, sizeof work->name);

	lz_text_string(&name, work->root);
	lz_text_string(&name, path);
	return lz_lines_open(lines, work->os, work->name);
}

/* The number in the limit file work->group; "max" and what cannot be read limit nothing. */
static uint64_t read_limit(struct work *work)
{
	uint64_t limit = UINT64_MAX;
	char *line;

	if (lz_lines_open(&work->limit, work->os, work->group))
		return UINT64_MAX;
	line = lz_lines_next(&work->limit);
	if (line == NULL || lz_parse_u64(line, &limit))
		limit = UINT64_MAX;
	lz_lines_close(&work->limit);
	return limit;
}

/* Where the group at `path` lies: in work->group. Returns the length of the part that no group is above. */
static size_t find_group(struct work *work, const char *path, struct lz_text *group)
{
	const struct mount *mount = &work->mount;
	size_t mounted = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	size_t top;

	/* In a container the mount shows a subtree; outside that subtree only its root can be asked. */
	if (strncmp(path, mount->root, mounted) == 0 && (path[mounted] == '/' || path[mounted] == '\0'))
		path += mounted;
	else
		path = "";
	*group = lz_text_in(work->group, sizeof work->group);
	lz_text_string(group, work->root);
	lz_text_string(group, mount->point);
	top = group->length;
	if (strcmp(path, "/") != 0)
		lz_text_string(group, path);
	return top;
}

/* The smallest limit of the group at `path` and of every group above it that the mount shows. */
static uint64_t smallest_limit(struct work *work, const char *path)
{
	const char *file = work->mount.hierarchy == VERSION_2 ? "/memory.max" : "/memory.limit_in_bytes";
	struct lz_text group;
	size_t top = find_group(work, path, &group);
	uint64_t smallest = UINT64_MAX;

	for (;;) {
		size_t length = group.length;

		lz_text_string(&group, file);
		smallest = lz_min_u64(smallest, read_limit(work));
		if (length <= top)
			return smallest;
		while (length > top && group.buffer[--length] != '/')
			continue;
		group.length = length;
		group.buffer[length] = '\0';
	}
}

/* The smallest limit in the hierarchy of work->mount. */
static uint64_t hierarchy_limit(struct work *work)
{
	uint64_t limit = UINT64_MAX;
	char *line;

	if (open_under_root(work, &work->memberships, "/proc/thread-self/cgroup"))
		return UINT64_MAX;
	while ((line = lz_lines_next(&work->memberships)) != NULL) {
		const char *path = membership_path(line, work->mount.hierarchy);

		if (path != NULL)
			limit = lz_min_u64(limit, smallest_limit(work, path));
	}
	lz_lines_close(&work->memberships);
	return limit;
}

/* The smallest limit in any hierarchy. Apart, so that its stack is not below the reading of meminfo. */
__attribute__((noinline)) static uint64_t cgroup_limit(struct work *work)
{
	uint64_t limit = UINT64_MAX;
	char *line;

	if (open_under_root(work, &work->mounts, "/proc/thread-self/mountinfo"))
		return UINT64_MAX;
	while ((line = lz_lines_next(&work->mounts)) != NULL) {
		parse_mount(line, &work->mount);
		if (work->mount.hierarchy != NEITHER)
			limit = lz_min_u64(limit, hierarchy_limit(work));
	}
	lz_lines_close(&work->mounts);
	return limit;
}

struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root)
{
	struct lz_memory_limit limit = {.bytes = UINT64_MAX, .from_cgroup = false};
	intptr_t area = os->mmap(
		NULL, sizeof(struct work), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct work *work = (struct work *)area;
	uint64_t group;

	if (lz_os_failed(area))
		return limit;
	work->os = os;
	work->root = root;
	struct lz_text name = lz_text_in(work->name, sizeof work->name);
	lz_text_string(&name, root);
	lz_text_string(&name, "/proc/meminfo");
	if (lz_proc_value(os, work->name, "MemTotal:", &limit.bytes))
		limit.bytes = UINT64_MAX;
	group = cgroup_limit(work);
	if (group < limit.bytes) {
		limit.bytes = group;
		limit.from_cgroup = true;
	}
	os->munmap(work, sizeof *work);
	return limit;
}

/* The value in the version 2 hierarchy of work->mount. */
static int group_value(struct work *work, const char *key, uint64_t *bytes)
{
	int error = open_under_root(work, &work->memberships, "/proc/thread-self/cgroup");
	char *line;

	if (error)
		return error;
	error = -ENOENT;
	while (error != 0 && (line = lz_lines_next(&work->memberships)) != NULL) {
		const char *path = membership_path(line, VERSION_2);
		struct lz_text group;

		if (path == NULL)
			continue;
		find_group(work, path, &group);
		lz_text_string(&group, "/memory.stat");
		error = lz_proc_value(work->os, work->group, key, bytes);
	}
	lz_lines_close(&work->memberships);
	return error;
}

int lz_memory_group_value(const struct lz_os *os, const char *root, const char *key, uint64_t *bytes)
{
	intptr_t area = os->mmap(
		NULL, sizeof(struct work), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct work *work = (struct work *)area;
	char *line;
	int error;

	if (lz_os_failed(area))
		return (int)area;
	work->os = os;
	work->root = root;
	error = open_under_root(work, &work->mounts, "/proc/thread-self/mountinfo");
	if (!error) {
		error = -ENOENT;
		while (error != 0 && (line = lz_lines_next(&work->mounts)) != NULL) {
			parse_mount(line, &work->mount);
			if (work->mount.hierarchy == VERSION_2)
				error = group_value(work, key, bytes);
		}
		lz_lines_close(&work->mounts);
	}
	os->munmap(work, sizeof *work);
	return error;
}
