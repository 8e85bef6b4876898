/* Opens the file behind a shared memory object; see object_file.h. */
#include "cli/collapse/object_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/process/proc_stat.h"
#include "cli/process/proc_text.h"

/* Mappings and processes that are tried: if none of these lets us, the others will not either. */
#define TRIES 8u

static bool is_object(const struct lz_shared_object *object, const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_ino == object->inode &&
	       ((uint64_t)major(status->st_dev) << 32 | minor(status->st_dev)) == object->device;
}

/* Looks before it opens, since opening a device or a FIFO can have side effects. */
static int open_if_object(const struct lz_shared_object *object, const char *path)
{
	struct stat status;
	int fd;

	if (stat(path, &status) != 0)
		return -errno;
	if (!is_object(object, &status))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0 && is_object(object, &status))
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_mapping(const struct lz_sharing *sharing, const struct lz_shared_object *object, size_t index)
{
	const struct lz_shared_mapping *mapping = &object->mappings[index];
	char path[PATH_MAX], name[64];

	snprintf(name, sizeof name, "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
	lz_proc_path(path, "", sharing->sharers[mapping->sharer].pid, name);
	return open_if_object(object, path);
}

static int open_descriptor(
	const struct lz_sharing *sharing, const struct lz_shared_object *object, size_t index)
{
	pid_t pid = sharing->sharers[object->mappings[index].sharer].pid;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *directory;
	int fd = -ENOENT;

	lz_proc_path(path, "", pid, "fd");
	directory = opendir(path);
	if (directory == NULL)
		return -errno;
	while (fd < 0 && (entry = readdir(directory)) != NULL) {
		char name[PATH_MAX + 300];

		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		fd = open_if_object(object, name);
	}
	closedir(directory);
	return fd;
}

static int open_path(const struct lz_sharing *sharing, const struct lz_shared_object *object, size_t index)
{
	pid_t pid = sharing->sharers[object->mappings[index].sharer].pid;
	char path[PATH_MAX];
	int fd;

	if (object->kind != LZ_SHARED_FILE)
		return -ENOENT;
	snprintf(path, sizeof path, "/proc/%ld/root%s", (long)pid, object->name);
	fd = open_if_object(object, path);
	if (fd == -ENOENT && lz_proc_unescape_path(path))
		fd = open_if_object(object, path);
	return fd;
}

int lz_object_file_open(const struct lz_sharing *sharing, const struct lz_shared_object *object)
{
	static int (*const ways[])(const struct lz_sharing *, const struct lz_shared_object *, size_t) = {
		open_mapping, open_descriptor, open_path};
	int fd = -EACCES;

	for (size_t way = 0; way < sizeof ways / sizeof *ways && fd < 0; way++)
		for (size_t i = 0; i < object->mapping_count && i < TRIES && fd < 0; i++)
			fd = ways[way](sharing, object, i);
	return fd;
}
