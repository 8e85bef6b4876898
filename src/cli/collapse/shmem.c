/* Kinds of shared memory; see shmem.h. */
#include "cli/collapse/shmem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/process/proc_stat.h"
#include "os/os.h"

int lz_shmem_device(uint64_t *device)
{
	int fd = lz_os_linux.memfd_create("lazyzero-device");
	struct lz_file_id id;
	int error = fd < 0 ? fd : lz_os_linux.identify(fd, &id);

	if (fd >= 0)
		lz_os_linux.close(fd);
	if (error == 0)
		*device = id.device;
	return error;
}

/* Whether a mount of that device which the process sees is a tmpfs: "... MAJOR:MINOR ... - tmpfs ...". */
static bool is_tmpfs(pid_t pid, uint64_t device)
{
	char path[PATH_MAX];
	struct lz_line_reader lines;
	bool found = false;
	char *line;

	lz_proc_path(path, "", pid, "mountinfo");
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return false;
	while (!found && (line = lz_line_reader_next(&lines)) != NULL) {
		const char *type = strstr(line, " - tmpfs ");
		uint64_t major, minor;

		found = type != NULL && sscanf(line, "%*u %*u %" SCNu64 ":%" SCNu64, &major, &minor) == 2 &&
			(major << 32 | minor) == device;
	}
	lz_line_reader_close(&lines);
	return found;
}

static uint64_t ipc_namespace(pid_t pid)
{
	char path[PATH_MAX];
	struct stat status;

	lz_proc_path(path, "", pid, "ns/ipc");
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool lz_shmem_classify(struct lz_shmem_classifier *classifier, const struct lz_mapping *mapping,
	struct lz_shared_object *object)
{
	if (mapping->device == classifier->shmem_device) {
		if (starts_with(mapping->path, "/dev/zero"))
			object->kind = LZ_SHARED_ANONYMOUS;
		else if (starts_with(mapping->path, "/SYSV"))
			object->kind = LZ_SHARED_SYSV;
		else if (starts_with(mapping->path, "/memfd:"))
			object->kind = LZ_SHARED_MEMFD;
		else
			return false;
	} else if (mapping->device != 0) {
		if (mapping->device != classifier->device)
			classifier->is_tmpfs = is_tmpfs(classifier->pid, mapping->device);
		classifier->device = mapping->device;
		if (!classifier->is_tmpfs)
			return false;
		object->kind = LZ_SHARED_FILE;
	} else {
		return false;
	}
	if (object->kind == LZ_SHARED_SYSV) {
		if (classifier->ipc_namespace == 0)
			classifier->ipc_namespace = ipc_namespace(classifier->pid);
		object->ipc_namespace = classifier->ipc_namespace;
	}
	object->device = mapping->device;
	object->inode = mapping->inode;
	snprintf(object->name, sizeof object->name, "%s", mapping->path);
	return true;
}
