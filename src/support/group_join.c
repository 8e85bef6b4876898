/* Creating and finding budget groups; see group.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/parse.h"
#include "os/process.h"
#include "os/procfs.h"
#include "os/scratch.h"
#include "support/group.h"
#include "support/log.h"

static const char magic[8] = "lzgroup1";
static const char run_prefix[] = "run:", name_prefix[] = "group:";

/* The file of a group: this word, the id of the segment, the name. */
#define FILE_PREFIX "lazyzero-group "

/* Another process holds the lock for some 50 us, unless it was stopped just then. */
#define LOCK_ATTEMPTS 100

/* --- segments --- */

static int attach(struct lz_group *group, int id)
{
	intptr_t at = group->os->shmat(id, NULL, 0);

	if (lz_os_failed(at))
		return (int)at;
	group->id = id;
	group->segment = (struct lz_group_segment *)at;
	return 0;
}

static void detach(struct lz_group *group)
{
	group->os->shmdt(group->segment);
	group->segment = NULL;
}

/* Attaches a segment and checks that it is that of the group; `name` may be NULL: any. */
static int attach_existing(struct lz_group *group, int id, const char *name)
{
	size_t bytes;
	int error = group->os->shm_size(id, &bytes);

	if (error)
		return error;
	if (bytes < sizeof *group->segment)
		return -EPROTO;
	error = attach(group, id);
	if (error)
		return error;
	if (memcmp(group->segment->magic, magic, sizeof magic) == 0 &&
		group->segment->size == sizeof *group->segment &&
		(name == NULL || strncmp(group->segment->name, name, LZ_GROUP_NAME_MAX) == 0))
		return 0;
	detach(group);
	return -EPROTO;
}

/* Creates a segment, which the kernel frees when its last user has gone. */
static int create(struct lz_group *group, const char *name)
{
	struct lz_text text;
	size_t bytes;
	long id;
	int error = group->os->shm_size(-1, &bytes);

	/* Where shmctl(2) is denied, the segment could not be marked for destruction, and would stay. */
	if (error != -EINVAL)
		return error != 0 ? error : -EPROTO;
	id = group->os->any_syscall(
		SYS_shmget, IPC_PRIVATE, sizeof *group->segment, IPC_CREAT | 0600, 0, 0, 0);
	if (id < 0)
		return (int)id;
	error = attach(group, (int)id);
	/* Linux lets others attach a segment by its id after this, as long as it exists. */
	group->os->any_syscall(SYS_shmctl, id, IPC_RMID, 0, 0, 0, 0);
	if (error)
		return error;
	text = lz_text_init(group->segment->name, LZ_GROUP_NAME_MAX);
	lz_text_string(&text, name);
	group->segment->size = sizeof *group->segment;
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(group->segment->magic, magic, sizeof magic);
	return 0;
}

static int become_member(struct lz_group *group)
{
	int error = lz_group_claim_slot(group);

	if (error)
		detach(group);
	return error;
}

int lz_group_create(struct lz_group *group, const struct lz_os *os, const char *name)
{
	int error;

	*group = (struct lz_group){.os = os};
	error = create(group, name);
	if (error == 0)
		error = become_member(group);
	if (error == 0)
		atomic_store(&group->segment->member[group->slot].counts, 0);
	return error;
}

/* --- groups that are found by name --- */

/* FNV-1a. */
static uint64_t hash(uint64_t seed, const char *text)
{
	seed ^= UINT64_C(0xcbf29ce484222325);
	for (; *text != '\0'; text++)
		seed = (seed ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return seed;
}

/* The file below /dev/shm. A segment is known in its IPC namespace only. */
static void make_path(const struct lz_os *os, uint64_t key, struct lz_text *path)
{
	key ^= lz_process_namespace(os, "ipc") * UINT64_C(0x9e3779b97f4a7c15);
	lz_text_string(path, "/dev/shm/lazyzero-");
	lz_text_u64(path, os->geteuid());
	lz_text_char(path, '-');
	lz_text_u64(path, key);
}

static int lock_file(const struct lz_os *os, int fd)
{
	static _Atomic uint32_t never_woken = 0;

	for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		int error = (int)os->any_syscall(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);

		if (error != -EWOULDBLOCK)
			return error;
		os->futex_wait(&never_woken, 0, 1);
	}
	return -EWOULDBLOCK;
}

/* Parses the contents of the file. Returns 0, or -EBADMSG for anything else. */
static int parse_file(const char *contents, int *id)
{
	const char *cursor = contents;
	uint64_t value;

	if (strncmp(cursor, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
		return -EBADMSG;
	cursor += strlen(FILE_PREFIX);
	if (lz_scan_u64(&cursor, &value) != 0 || *cursor != ' ' || value > INT_MAX)
		return -EBADMSG;
	*id = (int)value;
	return 0;
}

static int write_file(struct lz_group *group, int fd, char *buffer, const char *name)
{
	struct lz_text text = lz_text_init(buffer, 256);
	uint64_t signals;
	long written;
	int error = group->os->block_write_signals(&signals);

	if (error)
		return error;
	lz_text_string(&text, FILE_PREFIX);
	lz_text_u64(&text, (uint64_t)group->id);
	lz_text_char(&text, ' ');
	lz_text_string(&text, name);
	lz_text_char(&text, '\n');
	written = group->os->any_syscall(SYS_pwrite64, fd, (long)buffer, (long)text.length, 0, 0, 0);
	group->os->restore_write_signals(signals);
	return written < 0 ? (int)written : (size_t)written < text.length ? -ENOSPC : 0;
}

/* Attaches the group whose segment the file names, or creates it. The file is locked. */
static int attach_by_file(struct lz_group *group, int fd, char *buffer, const char *name)
{
	ssize_t length = group->os->pread(fd, buffer, 255, 0);
	int id, error;

	if (length < 0)
		return (int)length;
	buffer[length] = '\0';
	error = length == 0 ? -EIDRM : parse_file(buffer, &id);
	if (error == 0)
		error = attach_existing(group, id, name);
	/* The segment is gone with its last member, or its id belongs to another one by now. */
	if (error != -EINVAL && error != -EIDRM && error != -EPROTO && error != -EACCES)
		return error;
	error = create(group, name);
	if (error)
		return error;
	error = write_file(group, fd, buffer, name);
	if (error)
		detach(group);
	return error;
}

static int open_and_attach(struct lz_group *group, const char *path, char *buffer, const char *name)
{
	const struct lz_os *os = group->os;
	struct lz_file_id id;
	int fd = os->open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600), error;

	if (fd < 0)
		return fd;
	error = os->identify(fd, &id);
	if (error == 0 && id.type != S_IFREG)
		error = -EBADMSG;
	else if (error == 0 && id.owner != os->geteuid())
		error = -EACCES;
	if (error == 0)
		error = lock_file(os, fd);
	if (error == 0)
		error = attach_by_file(group, fd, buffer, name);
	os->close(fd);
	return error;
}

static void explain_file(struct lz_text *why, const char *path, int error)
{
	lz_text_string(why, path);
	lz_text_string(why, ": ");
	switch (error) {
	case -EBADMSG:
		lz_text_string(why, "this is not the file of a group; remove it");
		break;
	case -EACCES:
		lz_text_string(why, "the file belongs to another user; remove it, or name another group");
		break;
	case -EWOULDBLOCK:
		lz_text_string(why, "another process has it locked");
		break;
	case -EUSERS:
		lz_text_string(why, "the group has 4096 processes, which is its maximum");
		break;
	default:
		lz_text_string(why, lz_error_text(error));
	}
}

/* `key` identifies the group: a hash of its name. */
static int join_by_file(struct lz_group *group, uint64_t key, const char *name, struct lz_text *why)
{
	char path[96];
	struct lz_text text = lz_text_init(path, sizeof path);
	char *buffer = lz_scratch_take(group->os);
	int error = -ENOMEM;

	make_path(group->os, key, &text);
	if (buffer != NULL)
		error = open_and_attach(group, path, buffer, name);
	lz_scratch_release(group->os, buffer);
	if (error == 0)
		error = become_member(group);
	if (error)
		explain_file(why, path, error);
	return error;
}

/* This process's control group: its path in the hierarchy that limits memory. */
static int find_control_group(const struct lz_os *os, uint64_t *key, struct lz_text *name)
{
	struct lz_line_reader lines;
	const char *line;
	bool found = false;
	int error = lz_line_reader_open(&lines, os, "/proc/self/cgroup");

	if (error)
		return error;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		const char *controllers = strchr(line, ':');
		const char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		bool version_2 = path == controllers + 1;

		if (path == NULL || (found && version_2) ||
			(!version_2 && strstr(controllers, "memory") == NULL))
			continue;
		found = true;
		*name = lz_text_init(name->buffer, name->capacity);
		lz_text_string(name, "control group ");
		path++;
		/* Paths are relative to the root of the namespace. */
		*key = hash(lz_process_namespace(os, "cgroup"), path);
		/* The end of a long path tells groups apart better than its beginning. */
		lz_text_string(name, strlen(path) > 40 ? path + strlen(path) - 40 : path);
	}
	lz_line_reader_close(&lines);
	return found ? 0 : -ENOENT;
}

/* --- joining --- */

static int join_run(struct lz_group *group, const char *text, struct lz_text *why)
{
	uint64_t id;
	int error = lz_parse_u64(text, &id) != 0 || id > INT_MAX ? -EINVAL
								 : attach_existing(group, (int)id, NULL);

	if (error == 0)
		error = become_member(group);
	if (error == -EUSERS) {
		lz_text_string(why, "the group has 4096 processes, which is its maximum");
	} else if (error) {
		lz_text_string(why, "the group of 'lazyzero run' cannot be joined: ");
		lz_text_string(
			why, error == -EINVAL || error == -EIDRM ? "it has ended" : lz_error_text(error));
	}
	return error;
}

bool lz_group_scope_is_valid(const char *scope)
{
	size_t length;
	uint64_t id;

	if (strcmp(scope, "process") == 0 || strcmp(scope, "group") == 0)
		return true;
	if (strncmp(scope, run_prefix, strlen(run_prefix)) == 0)
		return lz_parse_u64(scope + strlen(run_prefix), &id) == 0 && id <= INT_MAX;
	if (strncmp(scope, name_prefix, strlen(name_prefix)) != 0)
		return false;
	length = strnlen(scope + strlen(name_prefix), LZ_GROUP_NAME_MAX);
	return length != 0 && length < LZ_GROUP_NAME_MAX;
}

int lz_group_join(struct lz_group *group, const struct lz_os *os, const char *scope, struct lz_text *why)
{
	char buffer[LZ_GROUP_NAME_MAX];
	struct lz_text name = lz_text_init(buffer, sizeof buffer);
	uint64_t key;
	int error;

	*group = (struct lz_group){.os = os};
	if (strcmp(scope, "process") == 0)
		return 0;
	if (strncmp(scope, run_prefix, strlen(run_prefix)) == 0)
		return join_run(group, scope + strlen(run_prefix), why);
	if (strncmp(scope, name_prefix, strlen(name_prefix)) == 0)
		return join_by_file(group, hash(0, scope), scope + strlen(name_prefix), why);
	error = find_control_group(os, &key, &name);
	if (error) {
		lz_text_string(why, "the control group of the process is unknown (/proc/self/cgroup: ");
		lz_text_string(why, lz_error_text(error));
		lz_text_char(why, ')');
		return error;
	}
	return join_by_file(group, key, buffer, why);
}
