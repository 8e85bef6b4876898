/* Holds and looks at a shared object; see driven_object.h. */
#include "cli/run/driven_object.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/clock.h"
#include "os/cgroup.h"
#include "os/collapse.h"
#include "os/procfs.h"

#define LOOK_NS (LZ_NS_PER_SECOND / 10)
#define LOOK_WITHOUT_DESCRIPTOR_NS LZ_NS_PER_SECOND /* it must be opened or attached to see a change */
#define COLLAPSES_ATTACHED 8u                       /* or so many times 16 blocks looked at */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* --- processes --- */

static size_t read_file(const char *path, char *buffer, size_t capacity)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, buffer, capacity) : -1;

	if (fd >= 0)
		close(fd);
	return length > 0 ? (size_t)length : 0;
}

/* Whether a process is in other control groups than this one. What cannot be read counts as the same. */
static bool is_in_other_groups(pid_t process)
{
	char path[64], of_process[4096], own[4096];
	size_t length, own_length = read_file("/proc/self/cgroup", own, sizeof own);

	snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)process);
	length = read_file(path, of_process, sizeof of_process);
	return length != 0 && (length != own_length || memcmp(of_process, own, length) != 0);
}

/* A segment's id means another segment in another IPC namespace. */
static bool has_same_ipc_namespace(pid_t process)
{
	struct stat own, of_process;
	char path[64];

	snprintf(path, sizeof path, "/proc/%ld/ns/ipc", (long)process);
	return stat(path, &of_process) == 0 && stat("/proc/self/ns/ipc", &own) == 0 &&
	       own.st_ino == of_process.st_ino;
}

/* --- files --- */

static bool is_file(const struct lz_driven_object *object, const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_ino == object->inode &&
	       ((uint64_t)major(status->st_dev) << 32 | minor(status->st_dev)) == object->device;
}

static const char *descriptor_path(const struct lz_driven_object *object, char path[64])
{
	snprintf(path, 64, "/proc/%ld/fd/%d", (long)object->process, object->id);
	return path;
}

/* The state of a file that is not open, without opening it. */
static bool find_file(const struct lz_driven_object *object, struct stat *status)
{
	char path[64];

	return (object->path != NULL && lstat(object->path, status) == 0 && is_file(object, status)) ||
	       (stat(descriptor_path(object, path), status) == 0 && is_file(object, status));
}

/* Opens a file for reading. Returns -1 if it cannot be found. */
static int open_file(const struct lz_driven_object *object)
{
	char path[64];
	const char *names[] = {object->path, descriptor_path(object, path)};
	struct stat status;
	struct statfs system;

	for (size_t i = 0; i < 2; i++) {
		int fd = names[i] != NULL ? open(names[i], OPEN_FLAGS | (i == 0 ? O_NOFOLLOW : 0)) : -1;

		if (fd >= 0 && fstat(fd, &status) == 0 && is_file(object, &status) &&
			fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

/*
 * Opens the file of a descriptor anew, for reading, and closes the descriptor: the program's open file must
 * be released when its last mapping goes.
 */
static int reopen(int fd)
{
	struct statfs system;
	char path[64];
	int own = -1;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC)
		own = open(path, OPEN_FLAGS);
	close(fd);
	return own;
}

/* The path of a file as the process has it mapped; it may have closed the descriptor. */
static char *path_of_mapping(const struct lz_driven_object *object)
{
	struct lz_line_reader lines;
	struct lz_mapping mapping;
	char name[64], *line, *path = NULL;

	snprintf(name, sizeof name, "/proc/%ld/maps", (long)object->process);
	if (lz_line_reader_open(&lines, &lz_os_linux, name) != 0)
		return NULL;
	while (path == NULL && (line = lz_line_reader_next(&lines)) != NULL)
		if (lz_mapping_parse(line, &mapping) == 0 && mapping.shared && mapping.inode == object->inode)
			path = strdup(mapping.path);
	lz_line_reader_close(&lines);
	return path;
}

/*
 * Whether the process has the segment attached. It may have ended since it sent the message, in another IPC
 * namespace, and another process have its ID: then the segment with this ID here is not meant.
 */
static bool maps_segment(const struct lz_driven_object *object)
{
	char *path = path_of_mapping(object);
	bool maps = path != NULL && strncmp(path, "/SYSV", 5) == 0;

	free(path);
	return maps;
}

/* --- creation --- */

static bool acquire(struct lz_driven_object *object, int fd)
{
	struct stat status;
	struct shmid_ds segment;

	switch (object->kind) {
	case LZ_MESSAGE_MEMORY:
		object->fd = fd >= 0 ? reopen(fd) : -1;
		return object->fd >= 0 && fstat(object->fd, &status) == 0 && is_file(object, &status) &&
		       lz_shared_blocks_resize(&object->blocks, (uint64_t)status.st_size) == 0;
	case LZ_MESSAGE_SEGMENT:
		return has_same_ipc_namespace(object->process) && maps_segment(object) &&
		       shmctl(object->id, IPC_STAT, &segment) == 0 && segment.shm_segsz == object->bytes &&
		       lz_shared_blocks_resize(&object->blocks, object->bytes) == 0;
	case LZ_MESSAGE_FILE:
		object->path = path_of_mapping(object);
		return find_file(object, &status);
	default:
		return false;
	}
}

struct lz_driven_object *lz_driven_object_create(
	const struct lz_shared_message *message, int fd, pid_t process, size_t block)
{
	struct lz_driven_object *object = calloc(1, sizeof *object);

	if (object != NULL) {
		object->kind = (enum lz_shared_message_kind)message->kind;
		object->process = process;
		object->fd = -1;
		object->id = message->id;
		object->device = message->device;
		object->inode = message->inode;
		object->bytes = message->bytes;
		object->seen = UINT64_MAX;
		object->blocks.os = &lz_os_linux;
		object->blocks.size = block;
		object->blocks.pages = (uint32_t)(block / (size_t)sysconf(_SC_PAGESIZE));
	}
	if (object == NULL || message->kind != LZ_MESSAGE_MEMORY) {
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (object != NULL && acquire(object, fd) && !is_in_other_groups(process))
		return object;
	lz_driven_object_free(object);
	return NULL;
}

void lz_driven_object_free(struct lz_driven_object *object)
{
	if (object == NULL)
		return;
	if (object->fd >= 0)
		close(object->fd);
	lz_shared_blocks_free(&object->blocks);
	free(object->path);
	free(object);
}

/* --- looking --- */

/* Whether the object may have changed since the last look. Sets object->gone. */
static bool has_changed(struct lz_driven_object *object, bool *shrank)
{
	struct shmid_ds segment;
	struct stat status;
	uint64_t before = object->seen;

	*shrank = true;
	if (object->kind == LZ_MESSAGE_SEGMENT) {
		object->gone = shmctl(object->id, IPC_STAT, &segment) != 0;
		return !object->gone && segment.shm_nattch >= 2;
	}
	if (object->kind == LZ_MESSAGE_MEMORY)
		object->gone = fstat(object->fd, &status) != 0;
	else
		object->gone = !find_file(object, &status) ||
			       lz_shared_blocks_resize(&object->blocks, (uint64_t)status.st_size) != 0;
	if (object->gone)
		return false;
	object->seen = (uint64_t)status.st_blocks;
	*shrank = object->seen < before;
	return object->seen != before || object->blocks.unfinished;
}

/* Attaches a segment for reading at a multiple of the block. Returns the address or -1. */
static intptr_t attach(const struct lz_driven_object *object)
{
	size_t block = object->blocks.size, page = (size_t)sysconf(_SC_PAGESIZE), length;
	intptr_t at;

	if (!lz_round_up(object->bytes, page, &length))
		return -1;
	at = lz_collapse_reserve(&lz_os_linux, length, block);
	if (lz_os_failed(at))
		return -1;
	if (shmat(object->id, (void *)at, SHM_RDONLY | SHM_REMAP) != (void *)-1)
		return at;
	munmap((void *)at, length);
	return -1;
}

/* The pauses of a segment are added up, and made when it is detached. */
struct segment_pause {
	unsigned left;
	uint64_t took;
};

static bool pause_later(void *context, uint64_t took)
{
	struct segment_pause *pause = context;

	pause->took += took;
	return --pause->left > 0;
}

static void look_at_segment(struct lz_driven_object *object, struct lz_shared_round *round)
{
	struct segment_pause later = {.left = COLLAPSES_ATTACHED};
	struct lz_shared_round attached = *round;
	intptr_t at = attach(object);

	if (at == -1) {
		object->gone = true;
		return;
	}
	attached.at = (uintptr_t)at;
	attached.pause = pause_later;
	attached.context = &later;
	lz_shared_blocks_round(&object->blocks, &attached);
	shmdt((void *)at);
	round->pause(round->context, later.took);
	object->next_look = later.left == 0 ? 0 : lz_monotonic_ns() + LOOK_WITHOUT_DESCRIPTOR_NS;
}

static void look_at_file(struct lz_driven_object *object, struct lz_shared_round *round)
{
	size_t length = object->blocks.count * object->blocks.size;
	int fd = object->kind == LZ_MESSAGE_FILE ? open_file(object) : object->fd;
	intptr_t at = fd >= 0 ? lz_collapse_map_file(&lz_os_linux, fd, length, object->blocks.size) : -1;

	if (!lz_os_failed(at)) {
		round->at = (uintptr_t)at;
		round->fd = fd;
		lz_shared_blocks_round(&object->blocks, round);
		munmap((void *)at, length);
	}
	if (object->kind == LZ_MESSAGE_FILE && fd >= 0)
		close(fd);
}

static uint32_t needed_pages(const struct lz_driven_object *object, const struct lz_options *options)
{
	uint64_t pages = object->blocks.pages;

	if (object->kind == LZ_MESSAGE_FILE && options->shared_files == LZ_SHARED_FILES_FULL)
		return (uint32_t)pages;
	return (uint32_t)lz_max_u64(1, (pages * options->shared_density + 999999) / 1000000);
}

void lz_driven_object_look(struct lz_driven_object *object, const struct lz_options *options,
	bool (*pause)(void *context, uint64_t took), void *context)
{
	struct lz_shared_round round = {
		.needed = needed_pages(object, options), .fd = -1, .pause = pause, .context = context};
	uint64_t now = lz_monotonic_ns();

	if (now < object->next_look || object->gone)
		return;
	object->next_look = now + (object->kind == LZ_MESSAGE_MEMORY ? LOOK_NS : LOOK_WITHOUT_DESCRIPTOR_NS);
	if (is_in_other_groups(object->process)) {
		object->gone = true;
	} else if (has_changed(object, &round.look_at_huge) && object->blocks.count > 0) {
		round.reserve = lz_room_reserve(lz_memory_limit(&lz_os_linux, "").bytes);
		if (object->kind == LZ_MESSAGE_SEGMENT)
			look_at_segment(object, &round);
		else
			look_at_file(object, &round);
	}
}
