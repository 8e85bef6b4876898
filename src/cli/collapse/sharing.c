/* Finds shared memory objects in /proc/PID/maps; see sharing.h. */
#include "cli/collapse/sharing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/collapse/shmem.h"
#include "cli/common/array.h"
#include "cli/common/messages.h"
#include "cli/process/process.h"
#include "os/os.h"
#include "os/procfs.h"

int lz_sharing_init(struct lz_sharing *sharing)
{
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);
	int error;

	*sharing = (struct lz_sharing){.page = lz_os_linux.page_size()};
	if (geometry == NULL || geometry->levels < 2) {
		lz_fail("the page-table geometry of this machine is not known");
		return -ENOTSUP;
	}
	sharing->block = UINT64_C(1) << lz_table_span_shift(geometry, 0);
	error = lz_shmem_device(&sharing->shmem_device);
	if (error)
		lz_fail("cannot create a memory file: %s", strerror(-error));
	return error;
}

void lz_sharing_free(struct lz_sharing *sharing)
{
	for (size_t i = 0; i < sharing->sharer_count; i++)
		if (sharing->sharers[i].pidfd >= 0)
			close(sharing->sharers[i].pidfd);
	for (size_t i = 0; i < sharing->object_count; i++) {
		free(sharing->objects[i].mappings);
		free(sharing->objects[i].blocks);
	}
	free(sharing->sharers);
	free(sharing->objects);
}

static struct lz_shared_object *find_object(struct lz_sharing *sharing, const struct lz_shared_object *like)
{
	for (size_t i = 0; i < sharing->object_count; i++) {
		struct lz_shared_object *object = &sharing->objects[i];

		if (object->kind == like->kind && object->device == like->device &&
			object->inode == like->inode && object->ipc_namespace == like->ipc_namespace)
			return object;
	}
	return NULL;
}

static struct lz_shared_object *add_object(struct lz_sharing *sharing, const struct lz_shared_object *like)
{
	struct lz_shared_object *larger =
		lz_array_grow(sharing->objects, sharing->object_count, sizeof *larger);

	if (larger == NULL)
		return NULL;
	sharing->objects = larger;
	larger[sharing->object_count] = *like;
	return &larger[sharing->object_count++];
}

static int add_mapping(struct lz_sharing *sharing, struct lz_shared_object *object, size_t sharer,
	const struct lz_mapping *mapping)
{
	struct lz_shared_mapping *larger =
		lz_array_grow(object->mappings, object->mapping_count, sizeof *larger);
	uint64_t end = mapping->offset + (mapping->end - mapping->start);

	if (larger == NULL)
		return -ENOMEM;
	object->mappings = larger;
	larger[object->mapping_count++] =
		(struct lz_shared_mapping){sharer, mapping->start, mapping->end, mapping->offset, NULL};
	if (end > object->size) {
		object->size = end;
		object->block_count = end / sharing->block;
	}
	return 0;
}

/*
 * Reads the mappings of the process that will be sharer `sharer`. Objects that are not known are added if
 * `chosen` is set. *found receives whether it maps any of them.
 */
static int read_maps(struct lz_sharing *sharing, pid_t pid, size_t sharer, bool chosen, bool *found)
{
	struct lz_shmem_classifier classifier = {.pid = pid, .shmem_device = sharing->shmem_device};
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line;
	int error;

	*found = false;
	lz_proc_path(path, "", pid, "maps");
	error = lz_line_reader_open(&lines, &lz_os_linux, path);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	while (error == 0 && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_shared_object like = {.mappings = NULL}, *object;
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || !mapping.shared ||
			mapping.end - mapping.start < sharing->block ||
			!lz_shmem_classify(&classifier, &mapping, &like))
			continue;
		object = find_object(sharing, &like);
		if (object == NULL && chosen)
			object = add_object(sharing, &like);
		if (object != NULL)
			error = add_mapping(sharing, object, sharer, &mapping);
		else if (chosen)
			error = -ENOMEM;
		*found = *found || object != NULL;
	}
	error = error != 0 ? error : lines.error;
	lz_line_reader_close(&lines);
	return error;
}

/* Forgets the mappings of a process that is not added after all. */
static void remove_mappings(struct lz_sharing *sharing, size_t sharer)
{
	for (size_t i = 0; i < sharing->object_count; i++) {
		struct lz_shared_object *object = &sharing->objects[i];

		while (object->mapping_count > 0 &&
			object->mappings[object->mapping_count - 1].sharer == sharer)
			object->mapping_count--;
	}
}

static int describe_sharer(struct lz_sharer *sharer)
{
	struct lz_process process;
	char path[PATH_MAX];
	int error = lz_process_read("", NULL, sharer->pid, 0, &process);

	if (error)
		return error;
	if (!lz_process_has_memory(&process) ||
		(sharer->start_time != 0 && sharer->start_time != process.stat.start_time))
		return -ESRCH;
	sharer->start_time = process.stat.start_time;
	sharer->tables = process.tables;
	memcpy(sharer->name, process.name, sizeof sharer->name);
	lz_proc_path(path, "", sharer->pid, "status");
	if (lz_proc_value(&lz_os_linux, path, "VmLck:", &sharer->locked) != 0)
		sharer->locked = 0;
	return 0;
}

static bool is_known(const struct lz_sharing *sharing, pid_t pid)
{
	for (size_t i = 0; i < sharing->sharer_count; i++)
		if (sharing->sharers[i].pid == pid)
			return true;
	return false;
}

/*
 * What was read of /proc/PID is that of the process behind the pidfd if that was open before and the process
 * is still there: until then nobody else can have had the ID.
 */
static int read_chosen(struct lz_sharing *sharing, struct lz_sharer *sharer, bool *found)
{
	int error = describe_sharer(sharer);

	if (error == 0)
		error = read_maps(sharing, sharer->pid, sharing->sharer_count, true, found);
	if (error == 0 && syscall(SYS_pidfd_send_signal, sharer->pidfd, 0, NULL, 0) != 0 && errno != EPERM)
		error = -errno;
	return error;
}

/* Most processes map none of the objects, so the mappings come first. */
static int read_other(struct lz_sharing *sharing, struct lz_sharer *sharer, bool *found)
{
	int error;

	sharer->start_time = lz_process_start_time("", sharer->pid);
	if (sharer->start_time == 0)
		return -ESRCH;
	error = read_maps(sharing, sharer->pid, sharing->sharer_count, false, found);
	return error == 0 && *found ? describe_sharer(sharer) : error;
}

static int add_sharer(struct lz_sharing *sharing, struct lz_sharer sharer)
{
	struct lz_sharer *larger = lz_array_grow(sharing->sharers, sharing->sharer_count, sizeof *larger);
	bool found = false;
	int error;

	if (larger == NULL)
		return -ENOMEM;
	sharing->sharers = larger;
	error = sharer.pidfd >= 0 ? read_chosen(sharing, &sharer, &found)
				  : read_other(sharing, &sharer, &found);
	if (error != 0)
		remove_mappings(sharing, sharing->sharer_count);
	if (error == 0 && found)
		larger[sharing->sharer_count++] = sharer;
	else if (sharer.pidfd >= 0)
		close(sharer.pidfd);
	return error;
}

int lz_sharing_add(struct lz_sharing *sharing, pid_t pid, uint64_t start_time)
{
	struct lz_sharer sharer = {.pid = pid, .start_time = start_time};

	if (is_known(sharing, pid))
		return 0;
	sharer.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* EINVAL, later ENOENT: the ID is that of a thread. */
	if (sharer.pidfd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	return add_sharer(sharing, sharer);
}

int lz_sharing_add_others(struct lz_sharing *sharing)
{
	pid_t *pids;
	size_t count;
	int error = lz_process_list("", &pids, &count);

	for (size_t i = 0; i < count && error == 0; i++) {
		if (pids[i] == getpid() || is_known(sharing, pids[i]))
			continue;
		/* Processes that end meanwhile, or may not be examined, are skipped. */
		if (add_sharer(sharing, (struct lz_sharer){.pid = pids[i], .pidfd = -1}) == -ENOMEM)
			error = -ENOMEM;
	}
	free(pids);
	return error;
}

bool lz_shared_mapping_aligned(const struct lz_sharing *sharing, const struct lz_shared_mapping *mapping)
{
	return (mapping->start - mapping->offset) % sharing->block == 0;
}

bool lz_shared_mapping_covers(
	const struct lz_sharing *sharing, const struct lz_shared_mapping *mapping, size_t block)
{
	uint64_t start = block * sharing->block;

	return mapping->offset <= start &&
	       start + sharing->block <= mapping->offset + (mapping->end - mapping->start);
}

bool lz_sharer_usable(const struct lz_sharer *sharer)
{
	return sharer->pidfd >= 0 && !sharer->gone;
}

/* The mappings of a process are adjacent in the array. */
size_t lz_shared_object_sharers(
	const struct lz_sharing *sharing, const struct lz_shared_object *object, bool aligned)
{
	size_t count = 0, last = SIZE_MAX;

	for (size_t i = 0; i < object->mapping_count; i++) {
		const struct lz_shared_mapping *mapping = &object->mappings[i];

		if (mapping->sharer == last || (aligned && !lz_shared_mapping_aligned(sharing, mapping)))
			continue;
		last = mapping->sharer;
		count++;
	}
	return count;
}

struct lz_shared_tables lz_sharing_tables(const struct lz_sharing *sharing)
{
	struct lz_shared_tables tables = {.before = 0};

	for (size_t i = 0; i < sharing->sharer_count; i++) {
		const struct lz_sharer *sharer = &sharing->sharers[i];
		struct lz_process now;

		if (lz_process_read("", NULL, sharer->pid, 0, &now) != 0 ||
			now.stat.start_time != sharer->start_time || now.tables == LZ_UNKNOWN ||
			sharer->tables == LZ_UNKNOWN) {
			tables.ended++;
			continue;
		}
		tables.processes++;
		tables.before += sharer->tables;
		tables.after += now.tables;
	}
	return tables;
}
