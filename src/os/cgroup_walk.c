/* Finding the memory control groups of this process; see cgroup_walk.h. */
#include "os/cgroup_walk.h"

#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/parse.h"

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
 * The line is "id parent maj:min root point options [tags] - type source superoptions". Octal escapes (\040
 * for a space) are not decoded: a mount point that contains one is not found, so its limit is ignored.
 */
__attribute__((noinline)) void lz_cgroup_mount_parse(char *line, struct lz_cgroup_mount *mount)
{
	char *cursor = line;
	struct lz_text root = lz_text_init(mount->root, sizeof mount->root);
	struct lz_text point = lz_text_init(mount->point, sizeof mount->point);
	char *separator = strstr(line, " - ");
	char *type, *super;

	mount->hierarchy = LZ_CGROUP_OTHER;
	if (separator == NULL)
		return;
	separator += 3;
	type = next_word(&separator);
	next_word(&separator);
	super = next_word(&separator);
	if (strcmp(type, "cgroup2") == 0)
		mount->hierarchy = LZ_CGROUP_V2;
	else if (strcmp(type, "cgroup") == 0 && list_has(super, "memory"))
		mount->hierarchy = LZ_CGROUP_V1;
	for (int skip = 0; skip < 3; skip++)
		next_word(&cursor);
	lz_text_string(&root, next_word(&cursor));
	lz_text_string(&point, next_word(&cursor));
}

enum lz_cgroup_hierarchy lz_cgroup_membership_parse(char *line, const char **path)
{
	char *controllers = strchr(line, ':');
	char *end = controllers == NULL ? NULL : strchr(controllers + 1, ':');

	if (end == NULL)
		return LZ_CGROUP_OTHER;
	*end = '\0';
	*path = end + 1;
	if (controllers[1] == '\0')
		return LZ_CGROUP_V2;
	return list_has(controllers + 1, "memory") ? LZ_CGROUP_V1 : LZ_CGROUP_OTHER;
}

/*
 * Opens `path` below the prefix. Not inlined, nor are the next two, so that their texts are not on the stack while a
 * limit is read, which is the deepest path of a program's first request.
 */
__attribute__((noinline)) static int open_under_root(struct lz_cgroup_walk *walk, struct lz_line_reader *lines, const char *path)
{
	struct lz_text name = lz_text_init(walk->name, sizeof walk->name);

	lz_text_string(&name, walk->root);
	lz_text_string(&name, path);
	return lz_line_reader_open(lines, walk->os, walk->name);
}

/*
 * Reads the number in the file walk->group. Returns UINT64_MAX for "max" and for a file that cannot be
 * read.
 */
static uint64_t read_limit(struct lz_cgroup_walk *walk)
{
	uint64_t limit = UINT64_MAX;
	char *line;

	if (lz_line_reader_open(&walk->limit, walk->os, walk->group))
		return UINT64_MAX;
	line = lz_line_reader_next(&walk->limit);
	if (line == NULL || lz_parse_u64(line, &limit))
		limit = UINT64_MAX;
	lz_line_reader_close(&walk->limit);
	return limit;
}

/*
 * Writes the directory of the group at `path` to walk->group. Returns the length of the part that names the
 * topmost visible group.
 */
__attribute__((noinline)) static size_t find_group(struct lz_cgroup_walk *walk, const char *path, struct lz_text *group)
{
	const struct lz_cgroup_mount *mount = &walk->mount;
	size_t mounted = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	size_t top;

	/*
	 * In a container, the mount shows a subtree. For a path outside it, only the root of the subtree can
	 * be read. In a namespace, both are relative to its root, and begin with "/.." above it
	 * (cgroup_namespaces(7)); then only the mount's own root is known to be an ancestor.
	 */
	if (strncmp(path, "/..", 3) != 0 && strncmp(mount->root, "/..", 3) != 0 &&
		strncmp(path, mount->root, mounted) == 0 && (path[mounted] == '/' || path[mounted] == '\0'))
		path += mounted;
	else
		path = "";
	*group = lz_text_init(walk->group, sizeof walk->group);
	lz_text_string(group, walk->root);
	lz_text_string(group, mount->point);
	top = group->length;
	if (strcmp(path, "/") != 0)
		lz_text_string(group, path);
	return top;
}

uint64_t lz_cgroup_number(struct lz_cgroup_walk *walk, struct lz_text *group, const char *file)
{
	size_t length = group->length;
	uint64_t number;

	lz_text_string(group, file);
	number = read_limit(walk);
	group->length = length;
	group->buffer[length] = '\0';
	return number;
}

/* Returns the smallest measure of the group at `path` and of all its ancestors that the mount shows. */
static uint64_t smallest_on_path(struct lz_cgroup_walk *walk, const char *path, lz_cgroup_measure *measure)
{
	struct lz_text group;
	size_t top = find_group(walk, path, &group);
	uint64_t smallest = UINT64_MAX;

	for (;;) {
		size_t length = group.length;

		smallest = lz_min_u64(smallest, measure(walk, &group));
		if (length <= top)
			return smallest;
		while (length > top && group.buffer[--length] != '/')
			continue;
		group.length = length;
		group.buffer[length] = '\0';
	}
}

/*
 * Opens the list of groups. That of another process shows its groups relative to the root of our own cgroup
 * namespace, as our mounts do.
 */
__attribute__((noinline)) static int open_memberships(struct lz_cgroup_walk *walk)
{
	struct lz_text path = lz_text_init(walk->group, sizeof walk->group);

	if (walk->pid == 0)
		return open_under_root(walk, &walk->memberships, "/proc/thread-self/cgroup");
	lz_text_string(&path, "/proc/");
	lz_text_u64(&path, (uint64_t)walk->pid);
	lz_text_string(&path, "/cgroup");
	return open_under_root(walk, &walk->memberships, walk->group);
}

/* Returns the smallest measure in the hierarchy of walk->mount. */
static uint64_t smallest_in_hierarchy(struct lz_cgroup_walk *walk, lz_cgroup_measure *measure)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_memberships(walk)) {
		walk->unreadable = true;
		return UINT64_MAX;
	}
	while ((line = lz_line_reader_next(&walk->memberships)) != NULL) {
		const char *path = "";

		if (lz_cgroup_membership_parse(line, &path) == walk->mount.hierarchy)
			smallest = lz_min_u64(smallest, smallest_on_path(walk, path, measure));
	}
	lz_line_reader_close(&walk->memberships);
	return smallest;
}

/* Not inlined, so that its stack frame is gone when meminfo is read. */
__attribute__((noinline)) uint64_t lz_cgroup_walk_smallest(
	struct lz_cgroup_walk *walk, lz_cgroup_measure *measure)
{
	uint64_t smallest = UINT64_MAX;
	char *line;

	if (open_under_root(walk, &walk->mounts, "/proc/thread-self/mountinfo")) {
		walk->unreadable = true;
		return UINT64_MAX;
	}
	while ((line = lz_line_reader_next(&walk->mounts)) != NULL) {
		lz_cgroup_mount_parse(line, &walk->mount);
		if (walk->mount.hierarchy != LZ_CGROUP_OTHER)
			smallest = lz_min_u64(smallest, smallest_in_hierarchy(walk, measure));
	}
	lz_line_reader_close(&walk->mounts);
	return smallest;
}

struct lz_cgroup_walk *lz_cgroup_walk_begin(const struct lz_os *os, const char *root)
{
	intptr_t area = os->mmap(NULL, sizeof(struct lz_cgroup_walk), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct lz_cgroup_walk *walk = (struct lz_cgroup_walk *)area;

	if (lz_os_failed(area))
		return NULL;
	walk->os = os;
	walk->root = root;
	return walk;
}

void lz_cgroup_walk_end(struct lz_cgroup_walk *walk)
{
	walk->os->munmap(walk, sizeof *walk);
}
