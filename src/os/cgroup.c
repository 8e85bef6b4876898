/* Memory limits of control groups, and what they leave free; see cgroup.h. */
#include "os/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/checked.h"
#include "base/parse.h"
#include "os/descriptors.h"
#include "base/text.h"
#include "os/procfs.h"

/* Which of the two hierarchies a mount or a membership line belongs to. */
enum hierarchy { NEITHER, VERSION_1, VERSION_2 };

struct mount {
	enum hierarchy hierarchy;
	char root[PATH_MAX];  /* the group that is mounted there */
	char point[PATH_MAX]; /* where */
};

/* Room for a path; a longer one is not kept. */
#define USAGE_PATH 512u

/* What one look-up needs: three files open inside one another, and a name for each. */
struct work {
	const struct lz_os *os;
	const char *root; /* prefix of every path */
	struct lz_lines mounts, memberships, limit;
	struct mount mount;
	uint64_t (*measure)(
		struct work *work, struct lz_text *group); /* of one group: the limit, or what is free */
	char name[PATH_MAX];
	char group[2 * PATH_MAX + 64];
	uint64_t tightest;      /* limit so far */
	char usage[USAGE_PATH]; /* the file that tells how much of it is used */
};

/* That of the group whose limit was found last; "" for none. */
static char usage_path[USAGE_PATH];

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
	struct lz_text root = lz_text_init(mount->root, sizeof mount->root);
	struct lz_text point = lz_text_init(mount->point, sizeof mount->point);
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
	struct lz_text name = lz_text_init(work->name, sizeof work->name);

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
	*group = lz_text_init(work->group, sizeof work->group);
	lz_text_string(group, work->root);
	lz_text_string(group, mount->point);
	top = group->length;
	if (strcmp(path, "/") != 0)
		lz_text_string(group, path);
	return top;
}

/* The number in a file of the group; UINT64_MAX where there is none. */
static uint64_t group_number(struct work *work, struct lz_text *group, const char *file)
{
	size_t length = group->length;
	uint64_t number;

	lz_text_string(group, file);
	number = read_limit(work);
	group->length = length;
	group->buffer[length] = '\0';
	return number;
}

static uint64_t group_limit(struct work *work, struct lz_text *group)
{
	return group_number(
		work, group, work->mount.hierarchy == VERSION_2 ? "/memory.max" : "/memory.limit_in_bytes");
}

/* The same; notes where the usage of the tightest group stands. */
static uint64_t note_limit(struct work *work, struct lz_text *group)
{
	uint64_t limit = group_limit(work, group);
	struct lz_text usage;

	if (limit >= work->tightest)
		return limit;
	work->tightest = limit;
	usage = lz_text_init(work->usage, sizeof work->usage);
	lz_text_string(&usage, work->group);
	lz_text_string(
		&usage, work->mount.hierarchy == VERSION_2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (usage.length >= sizeof work->usage - 1)
		work->usage[0] = '\0';
	return limit;
}

/* Bytes of files that the kernel drops before it kills: memory.stat of the group and all below it. */
static uint64_t group_droppable(struct work *work, struct lz_text *group)
{
	const char *key = work->mount.hierarchy == VERSION_2 ? "inactive_file " : "total_inactive_file ";
	size_t length = group->length;
	uint64_t bytes;

	lz_text_string(group, "/memory.stat");
	if (lz_proc_value(work->os, work->group, key, &bytes) != 0)
		bytes = 0;
	group->length = length;
	group->buffer[length] = '\0';
	return bytes;
}

/* Up to memory.high: beyond it the kernel slows every allocation down. */
static uint64_t group_free(struct work *work, struct lz_text *group)
{
	bool version_2 = work->mount.hierarchy == VERSION_2;
	uint64_t limit = group_limit(work, group), used;

	if (version_2)
		limit = lz_min_u64(limit, group_number(work, group, "/memory.high"));
	if (limit == UINT64_MAX)
		return UINT64_MAX;
	used = group_number(work, group, version_2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (used == UINT64_MAX)
		return limit;
	return lz_sub_clamped(limit, lz_sub_clamped(used, group_droppable(work, group)));
}

/* The smallest measure of the group at `path` and of every group above it that the mount shows. */
static uint64_t smallest_on_path(struct work *work, const char *path)
{
	struct lz_text group;
	size_t top = find_group(work, path, &group);
	uint64_t smallest = UINT64_MAX;

	for (;;) {
		size_t length = group.length;

		smallest = lz_min_u64(smallest, work->measure(work, &group));
		if (length <= top)
			return smallest;
		while (length > top && group.buffer[--length] != '/')
			continue;
		group.length = length;
		group.buffer[length] = '\0';
	}
}

/* The smallest measure in the hierarchy of work->mount. */
static uint64_t smallest_in_hierarchy(struct work *work)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_under_root(work, &work->memberships, "/proc/thread-self/cgroup"))
		return UINT64_MAX;
	while ((line = lz_lines_next(&work->memberships)) != NULL) {
		const char *path = membership_path(line, work->mount.hierarchy);

		if (path != NULL)
			smallest = lz_min_u64(smallest, smallest_on_path(work, path));
	}
	lz_lines_close(&work->memberships);
	return smallest;
}

/* The smallest measure in any hierarchy. Apart, so that its stack is not below the reading of meminfo. */
__attribute__((noinline)) static uint64_t smallest_of_groups(struct work *work)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_under_root(work, &work->mounts, "/proc/thread-self/mountinfo"))
		return UINT64_MAX;
	while ((line = lz_lines_next(&work->mounts)) != NULL) {
		parse_mount(line, &work->mount);
		if (work->mount.hierarchy != NEITHER)
			smallest = lz_min_u64(smallest, smallest_in_hierarchy(work));
	}
	lz_lines_close(&work->mounts);
	return smallest;
}

/* A value of /proc/meminfo under the prefix, bytes; UINT64_MAX where it cannot be read. */
static uint64_t machine_value(struct work *work, const char *key)
{
	struct lz_text name = lz_text_init(work->name, sizeof work->name);
	uint64_t bytes;

	lz_text_string(&name, work->root);
	lz_text_string(&name, "/proc/meminfo");
	return lz_proc_value(work->os, work->name, key, &bytes) == 0 ? bytes : UINT64_MAX;
}

/* A work area, mapped; NULL where there is no memory for it. */
static struct work *begin_work(const struct lz_os *os, const char *root,
	uint64_t (*measure)(struct work *work, struct lz_text *group))
{
	intptr_t area = os->mmap(
		NULL, sizeof(struct work), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct work *work = (struct work *)area;

	if (lz_os_failed(area))
		return NULL;
	work->os = os;
	work->root = root;
	work->measure = measure;
	return work;
}

struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root)
{
	struct lz_memory_limit limit = {.bytes = UINT64_MAX, .from_cgroup = false};
	struct work *work = begin_work(os, root, note_limit);
	uint64_t group;

	if (work == NULL)
		return limit;
	work->tightest = UINT64_MAX;
	limit.bytes = machine_value(work, "MemTotal:");
	group = smallest_of_groups(work);
	if (group < limit.bytes) {
		limit.bytes = group;
		limit.from_cgroup = true;
		if (*root == '\0' && strcmp(usage_path, work->usage) != 0) {
			memcpy(usage_path, work->usage, sizeof usage_path);
			lz_descriptors_keep(os, usage_path);
		}
	}
	os->munmap(work, sizeof *work);
	return limit;
}

int lz_memory_group_usage(const struct lz_os *os, uint64_t *bytes)
{
	return *usage_path == '\0' ? -ENOENT : lz_proc_number(os, usage_path, bytes);
}

/* Without /proc: what is free now (sysinfo(2)), which leaves out the files that could be dropped. */
static uint64_t machine_free(const struct lz_os *os)
{
	struct sysinfo info;

	if (os->pass(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return UINT64_MAX;
	return ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
}

uint64_t lz_memory_free(const struct lz_os *os, const char *root)
{
	struct work *work = begin_work(os, root, group_free);
	uint64_t bytes;

	if (work == NULL)
		return machine_free(os);
	bytes = machine_value(work, "MemAvailable:");
	if (bytes == UINT64_MAX)
		bytes = machine_free(os);
	bytes = lz_min_u64(bytes, smallest_of_groups(work));
	os->munmap(work, sizeof *work);
	return bytes;
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
	struct work *work = begin_work(os, root, NULL);
	char *line;
	int error;

	if (work == NULL)
		return -ENOMEM;
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
