/* Memory limits of control groups, and how much memory they leave available; see cgroup.h. */
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

/* The cgroup hierarchy that a mount or a membership line belongs to. */
enum hierarchy { NOT_MEMORY, VERSION_1, VERSION_2 };

struct mount {
	enum hierarchy hierarchy;
	char root[PATH_MAX];  /* the group that is mounted there */
	char point[PATH_MAX]; /* mount point */
};

/* Bytes reserved for a path. A longer path is not stored. */
#define USAGE_PATH 512u

/* State of one lookup: three files that are open at the same time, and a name for each. */
struct lookup {
	const struct lz_os *os;
	const char *root; /* prefix of every path */
	struct lz_line_reader mounts, memberships, limit;
	struct mount mount;
	uint64_t (*measure)(struct lookup *lookup,
		struct lz_text *group); /* of one group: its limit, or the memory it has available */
	char name[PATH_MAX];
	char group[2 * PATH_MAX + 64];
	uint64_t tightest;           /* smallest limit so far */
	char usage_file[USAGE_PATH]; /* the file that holds the usage of the group with that limit */
};

/* The usage file of the group whose limit was found last; "" if there is none. */
static char usage_path[USAGE_PATH];

/* Whether a comma-separated list contains `word`. */
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

/* Returns the next space-separated word of *cursor, terminated in place; "" at the end. */
static char *next_word(char **cursor)
{
	char *word = *cursor;
	char *end = word + strcspn(word, " ");

	*cursor = *end == '\0' ? end : end + 1;
	*end = '\0';
	return word;
}

/*
 * Parses a line of /proc/self/mountinfo: "id parent maj:min root point options [tags] - type source
 * superoptions". Octal escapes (\040 for a space) are not decoded: a mount point that contains one is not
 * found, so its limit is ignored.
 */
__attribute__((noinline)) static void parse_mount(char *line, struct mount *mount)
{
	char *cursor = line;
	struct lz_text root = lz_text_init(mount->root, sizeof mount->root);
	struct lz_text point = lz_text_init(mount->point, sizeof mount->point);
	char *separator = strstr(line, " - ");
	char *type, *super;

	mount->hierarchy = NOT_MEMORY;
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
 * Parses a line of /proc/self/cgroup: "0::/path" for version 2, "N:controllers:/path" for version 1. Returns
 * the path if the line belongs to `hierarchy`, else NULL.
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

/* Opens `path` below the prefix. */
static int open_under_root(struct lookup *lookup, struct lz_line_reader *lines, const char *path)
{
	struct lz_text name = lz_text_init(lookup->name, sizeof lookup->name);

	lz_text_string(&name, lookup->root);
	lz_text_string(&name, path);
	return lz_line_reader_open(lines, lookup->os, lookup->name);
}

/*
 * Reads the number in the file lookup->group. Returns UINT64_MAX for "max" and for a file that cannot be
 * read.
 */
static uint64_t read_limit(struct lookup *lookup)
{
	uint64_t limit = UINT64_MAX;
	char *line;

	if (lz_line_reader_open(&lookup->limit, lookup->os, lookup->group))
		return UINT64_MAX;
	line = lz_line_reader_next(&lookup->limit);
	if (line == NULL || lz_parse_u64(line, &limit))
		limit = UINT64_MAX;
	lz_line_reader_close(&lookup->limit);
	return limit;
}

/*
 * Writes the directory of the group at `path` to lookup->group. Returns the length of the part that names the
 * topmost visible group.
 */
static size_t find_group(struct lookup *lookup, const char *path, struct lz_text *group)
{
	const struct mount *mount = &lookup->mount;
	size_t mounted = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	size_t top;

	/*
	 * In a container, the mount shows a subtree. For a path outside it, only the root of the subtree can
	 * be read.
	 */
	if (strncmp(path, mount->root, mounted) == 0 && (path[mounted] == '/' || path[mounted] == '\0'))
		path += mounted;
	else
		path = "";
	*group = lz_text_init(lookup->group, sizeof lookup->group);
	lz_text_string(group, lookup->root);
	lz_text_string(group, mount->point);
	top = group->length;
	if (strcmp(path, "/") != 0)
		lz_text_string(group, path);
	return top;
}

/* Reads the number in a file of the group. Returns UINT64_MAX if there is none. */
static uint64_t group_number(struct lookup *lookup, struct lz_text *group, const char *file)
{
	size_t length = group->length;
	uint64_t number;

	lz_text_string(group, file);
	number = read_limit(lookup);
	group->length = length;
	group->buffer[length] = '\0';
	return number;
}

/*
 * The limit of a version 1 group without one: LONG_MAX rounded down to a page (PAGE_COUNTER_MAX in
 * include/linux/page_counter.h), here to the largest page, 64 KiB.
 */
#define VERSION_1_UNLIMITED ((uint64_t)INT64_MAX & ~UINT64_C(0xffff))

/* UINT64_MAX: unlimited, or not known. */
static uint64_t group_limit(struct lookup *lookup, struct lz_text *group)
{
	uint64_t limit;

	if (lookup->mount.hierarchy == VERSION_2)
		return group_number(lookup, group, "/memory.max");
	limit = group_number(lookup, group, "/memory.limit_in_bytes");
	return limit >= VERSION_1_UNLIMITED ? UINT64_MAX : limit;
}

/* Returns the group's limit, and records the usage file of the group with the smallest limit so far. */
static uint64_t limit_and_usage_file(struct lookup *lookup, struct lz_text *group)
{
	uint64_t limit = group_limit(lookup, group);
	struct lz_text usage_file;

	if (limit >= lookup->tightest)
		return limit;
	lookup->tightest = limit;
	usage_file = lz_text_init(lookup->usage_file, sizeof lookup->usage_file);
	lz_text_string(&usage_file, lookup->group);
	lz_text_string(&usage_file,
		lookup->mount.hierarchy == VERSION_2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (usage_file.length >= sizeof lookup->usage_file - 1)
		lookup->usage_file[0] = '\0';
	return limit;
}

/*
 * Returns the bytes of inactive file pages, which the kernel reclaims before it invokes the OOM killer
 * (memory.stat, including all descendants).
 */
static uint64_t group_inactive_file(struct lookup *lookup, struct lz_text *group)
{
	const char *key = lookup->mount.hierarchy == VERSION_2 ? "inactive_file " : "total_inactive_file ";
	size_t length = group->length;
	uint64_t bytes;

	lz_text_string(group, "/memory.stat");
	if (lz_proc_value(lookup->os, lookup->group, key, &bytes) != 0)
		bytes = 0;
	group->length = length;
	group->buffer[length] = '\0';
	return bytes;
}

/* Counts up to memory.high: beyond it the kernel throttles every allocation. */
static uint64_t group_available(struct lookup *lookup, struct lz_text *group)
{
	bool version_2 = lookup->mount.hierarchy == VERSION_2;
	uint64_t limit = group_limit(lookup, group), used;

	if (version_2)
		limit = lz_min_u64(limit, group_number(lookup, group, "/memory.high"));
	if (limit == UINT64_MAX)
		return UINT64_MAX;
	used = group_number(lookup, group, version_2 ? "/memory.current" : "/memory.usage_in_bytes");
	if (used == UINT64_MAX)
		return limit;
	return lz_sub_clamped(limit, lz_sub_clamped(used, group_inactive_file(lookup, group)));
}

/* Returns the smallest measure of the group at `path` and of all its ancestors that the mount shows. */
static uint64_t smallest_on_path(struct lookup *lookup, const char *path)
{
	struct lz_text group;
	size_t top = find_group(lookup, path, &group);
	uint64_t smallest = UINT64_MAX;

	for (;;) {
		size_t length = group.length;

		smallest = lz_min_u64(smallest, lookup->measure(lookup, &group));
		if (length <= top)
			return smallest;
		while (length > top && group.buffer[--length] != '/')
			continue;
		group.length = length;
		group.buffer[length] = '\0';
	}
}

/* Returns the smallest measure in the hierarchy of lookup->mount. */
static uint64_t smallest_in_hierarchy(struct lookup *lookup)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_under_root(lookup, &lookup->memberships, "/proc/thread-self/cgroup"))
		return UINT64_MAX;
	while ((line = lz_line_reader_next(&lookup->memberships)) != NULL) {
		const char *path = membership_path(line, lookup->mount.hierarchy);

		if (path != NULL)
			smallest = lz_min_u64(smallest, smallest_on_path(lookup, path));
	}
	lz_line_reader_close(&lookup->memberships);
	return smallest;
}

/*
 * Returns the smallest measure in any hierarchy. Not inlined, so that its stack frame is gone when meminfo is
 * read.
 */
__attribute__((noinline)) static uint64_t smallest_of_hierarchies(struct lookup *lookup)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_under_root(lookup, &lookup->mounts, "/proc/thread-self/mountinfo"))
		return UINT64_MAX;
	while ((line = lz_line_reader_next(&lookup->mounts)) != NULL) {
		parse_mount(line, &lookup->mount);
		if (lookup->mount.hierarchy != NOT_MEMORY)
			smallest = lz_min_u64(smallest, smallest_in_hierarchy(lookup));
	}
	lz_line_reader_close(&lookup->mounts);
	return smallest;
}

/* Returns a value of /proc/meminfo below the prefix, in bytes; UINT64_MAX if it cannot be read. */
static uint64_t machine_value(struct lookup *lookup, const char *key)
{
	struct lz_text name = lz_text_init(lookup->name, sizeof lookup->name);
	uint64_t bytes;

	lz_text_string(&name, lookup->root);
	lz_text_string(&name, "/proc/meminfo");
	return lz_proc_value(lookup->os, lookup->name, key, &bytes) == 0 ? bytes : UINT64_MAX;
}

/* Maps the state of a lookup. Returns NULL if there is no memory for it. */
static struct lookup *lookup_begin(const struct lz_os *os, const char *root,
	uint64_t (*measure)(struct lookup *lookup, struct lz_text *group))
{
	intptr_t area = os->mmap(
		NULL, sizeof(struct lookup), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct lookup *lookup = (struct lookup *)area;

	if (lz_os_failed(area))
		return NULL;
	lookup->os = os;
	lookup->root = root;
	lookup->measure = measure;
	return lookup;
}

/* The memory of the machine by sysinfo(2), where /proc/meminfo cannot be read (systemd's ProcSubset=pid). */
static uint64_t machine_total_by_sysinfo(const struct lz_os *os)
{
	struct sysinfo info;

	if (os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return UINT64_MAX;
	return (uint64_t)info.totalram * info.mem_unit;
}

struct lz_memory_limit lz_memory_limit(const struct lz_os *os, const char *root)
{
	struct lz_memory_limit limit = {.bytes = UINT64_MAX, .from_cgroup = false};
	struct lookup *lookup = lookup_begin(os, root, limit_and_usage_file);
	uint64_t group;

	if (lookup == NULL)
		return limit;
	lookup->tightest = UINT64_MAX;
	limit.bytes = machine_value(lookup, "MemTotal:");
	if (limit.bytes == UINT64_MAX)
		limit.bytes = machine_total_by_sysinfo(os);
	group = smallest_of_hierarchies(lookup);
	if (group < limit.bytes) {
		limit.bytes = group;
		limit.from_cgroup = true;
		if (*root == '\0' && strcmp(usage_path, lookup->usage_file) != 0) {
			memcpy(usage_path, lookup->usage_file, sizeof usage_path);
			lz_descriptors_set_cgroup_usage(os, usage_path);
		}
	}
	os->munmap(lookup, sizeof *lookup);
	return limit;
}

int lz_memory_cgroup_usage(const struct lz_os *os, uint64_t *bytes)
{
	return *usage_path == '\0' ? -ENOENT : lz_proc_number(os, usage_path, bytes);
}

/*
 * Returns the free memory by sysinfo(2), for systems without /proc. It does not count page cache that could
 * be reclaimed.
 */
static uint64_t machine_free_by_sysinfo(const struct lz_os *os)
{
	struct sysinfo info;

	if (os->any_syscall(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return UINT64_MAX;
	return ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
}

uint64_t lz_memory_available(const struct lz_os *os, const char *root)
{
	struct lookup *lookup = lookup_begin(os, root, group_available);
	uint64_t bytes;

	if (lookup == NULL)
		return machine_free_by_sysinfo(os);
	bytes = machine_value(lookup, "MemAvailable:");
	if (bytes == UINT64_MAX)
		bytes = machine_free_by_sysinfo(os);
	bytes = lz_min_u64(bytes, smallest_of_hierarchies(lookup));
	os->munmap(lookup, sizeof *lookup);
	return bytes;
}

/* Reads a value from the version 2 hierarchy of lookup->mount. */
static int group_stat(struct lookup *lookup, const char *key, uint64_t *bytes)
{
	int error = open_under_root(lookup, &lookup->memberships, "/proc/thread-self/cgroup");
	char *line;

	if (error)
		return error;
	error = -ENOENT;
	while (error != 0 && (line = lz_line_reader_next(&lookup->memberships)) != NULL) {
		const char *path = membership_path(line, VERSION_2);
		struct lz_text group;

		if (path == NULL)
			continue;
		find_group(lookup, path, &group);
		lz_text_string(&group, "/memory.stat");
		error = lz_proc_value(lookup->os, lookup->group, key, bytes);
	}
	lz_line_reader_close(&lookup->memberships);
	return error;
}

int lz_memory_cgroup_stat(const struct lz_os *os, const char *root, const char *key, uint64_t *bytes)
{
	struct lookup *lookup = lookup_begin(os, root, NULL);
	char *line;
	int error;

	if (lookup == NULL)
		return -ENOMEM;
	error = open_under_root(lookup, &lookup->mounts, "/proc/thread-self/mountinfo");
	if (!error) {
		error = -ENOENT;
		while (error != 0 && (line = lz_line_reader_next(&lookup->mounts)) != NULL) {
			parse_mount(line, &lookup->mount);
			if (lookup->mount.hierarchy == VERSION_2)
				error = group_stat(lookup, key, bytes);
		}
		lz_line_reader_close(&lookup->mounts);
	}
	os->munmap(lookup, sizeof *lookup);
	return error;
}
