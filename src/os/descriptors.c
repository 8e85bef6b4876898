/* Persistent descriptors of /proc files; see descriptors.h. */
#include "os/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"
#include "os/fork_state.h"
#include "os/scratch.h"

#define FD_LIMIT 1024   /* FD_SETSIZE */
#define MIN_NOFILE 64   /* of RLIMIT_NOFILE: below it, the program needs every descriptor */
#define MAX_ATTEMPTS 64 /* descriptor numbers tried from the top, down to half of the limit */

/*
 * Files are opened at the end of the deepest call paths. Not inlined, so that these frames do not add to
 * those of the callers.
 */
#define NOINLINE __attribute__((noinline))

enum { PAGEMAP, MAPS, STATUS, CGROUP, SLOTS };

/*
 * A descriptor and the identity of the file it refers to. The low half of `fd_and_sequence` is the descriptor
 * plus 1, 0 for none; the high half counts changes. A thread that reads the identity without a claim uses the
 * count to detect a concurrent change.
 */
struct slot {
	_Atomic uint64_t fd_and_sequence;
	_Atomic uint64_t device, inode;
	_Atomic uint32_t type;
	_Atomic uintptr_t
		claim; /* the thread that reads or replaces the file, by the address of its `self`; 0: none */
	_Atomic bool not_persistent; /* it could not be moved to a high number; do not try again */
};

static struct slot slots[SLOTS];
static char cgroup_path[512];
static _Atomic bool enabled;
static _Atomic pid_t owner_pid; /* the process that opened the descriptors */

/*
 * Its address identifies the thread. It is the same in a forked child, so a claim of the forking thread stays
 * valid there.
 */
static __thread char self __attribute__((tls_model("initial-exec")));

/*
 * The path that callers pass, and the path that is opened. pagemap refers to the memory map that existed when
 * it was opened. maps and status also depend on the thread whose directory they are in, so they are opened
 * for the main thread, which usually lives longest.
 */
static const struct {
	const char *path, *opened_path;
} files[SLOTS] = {
	[PAGEMAP] = {LZ_PAGEMAP, LZ_PAGEMAP},
	[MAPS] = {LZ_MAPS, "/proc/self/maps"},
	/*
	 * status stays open because VmPTE is read before decisions, up to 100 times a second: open, read and
	 * close took 10.2 us, statx and pread 5.9 us on the same machine (a bare system call takes 1.0 us).
	 * It is also the only file that would otherwise be opened in the middle of the program's run, where a
	 * seccomp filter could kill it.
	 */
	[STATUS] = {LZ_STATUS, "/proc/self/status"},
	[CGROUP] = {cgroup_path, cgroup_path},
};

static int find_slot(const char *path)
{
	for (int i = 0; i < SLOTS; i++)
		if (*files[i].path != '\0' && strcmp(files[i].path, path) == 0)
			return i;
	return -1;
}

/* --- one slot --- */

static bool claim(struct slot *slot)
{
	uintptr_t none = 0;

	return atomic_compare_exchange_strong_explicit(
		&slot->claim, &none, (uintptr_t)&self, memory_order_acquire, memory_order_relaxed);
}

/* Clears the claim, unless a fork in the meantime has cleared it and another thread of the child holds it. */
static void unclaim(struct slot *slot)
{
	uintptr_t mine = (uintptr_t)&self;

	atomic_compare_exchange_strong_explicit(
		&slot->claim, &mine, 0, memory_order_release, memory_order_relaxed);
}

/* Sets the descriptor, -1 for none. The caller holds the claim, or no other thread knows the slot yet. */
static void set_fd(struct slot *slot, int fd)
{
	uint64_t count = (atomic_load_explicit(&slot->fd_and_sequence, memory_order_relaxed) >> 32) + 1;

	atomic_store_explicit(&slot->fd_and_sequence, count << 32 | (uint32_t)(fd + 1), memory_order_release);
}

/*
 * Returns the descriptor if it still refers to the file that was opened. Returns -EBADF if the file must be
 * opened again, -EAGAIN if the state cannot be determined now.
 */
NOINLINE static int valid_fd(const struct lz_os *os, struct slot *slot)
{
	uint64_t fd_and_sequence = atomic_load_explicit(&slot->fd_and_sequence, memory_order_acquire);
	int fd = (int)(uint32_t)fd_and_sequence - 1;
	struct lz_file_id now;
	int error;

	if (fd < 0)
		return -EBADF;
	error = os->identify(fd, &now);
	if (error != 0)
		return error == -EBADF ? -EBADF : -EAGAIN;
	if (atomic_load_explicit(&slot->device, memory_order_relaxed) != now.device ||
		atomic_load_explicit(&slot->inode, memory_order_relaxed) != now.inode ||
		atomic_load_explicit(&slot->type, memory_order_relaxed) != now.type)
		error = -EBADF;
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&slot->fd_and_sequence, memory_order_relaxed) != fd_and_sequence)
		return -EAGAIN;
	return error == 0 ? fd : error;
}

/* Returns the limit below which persistent descriptors are placed, or 0 if none may be kept. */
static int fd_limit(const struct lz_os *os)
{
	uint64_t limit;

	if (os->rlimit(RLIMIT_NOFILE, &limit) != 0 || limit < MIN_NOFILE)
		return 0;
	return limit < FD_LIMIT ? (int)limit : FD_LIMIT;
}

/* Duplicates a descriptor to the highest free number below the limit. Returns -EMFILE if there is none. */
NOINLINE int lz_descriptors_dup_high(const struct lz_os *os, int fd)
{
	int limit = fd_limit(os);

	for (int n = limit - 1; n >= limit / 2 && n >= limit - MAX_ATTEMPTS; n--) {
		int raised = os->duplicate(fd, n);

		if (raised >= 0 && raised < limit)
			return raised;
		/* All numbers from n to the limit are in use. */
		if (raised >= 0)
			os->close(raised);
		else if (raised != -EMFILE)
			break;
	}
	return -EMFILE;
}

/*
 * Opens a file and stores it in a slot that the caller has claimed. Returns the descriptor. If *persistent is
 * false, the file could not be stored and the caller must close it. Returns -errno if the file cannot be
 * opened.
 */
static int open_slot(const struct lz_os *os, struct slot *slot, const char *path, bool *persistent)
{
	int fd = os->open(path, O_RDONLY | O_NONBLOCK, 0), raised;
	struct lz_file_id id;

	*persistent = false;
	if (fd < 0 || os->identify(fd, &id) != 0)
		return fd;
	raised = lz_descriptors_dup_high(os, fd);
	if (raised < 0) {
		atomic_store_explicit(&slot->not_persistent, true, memory_order_relaxed);
		return fd;
	}
	os->close(fd);
	set_fd(slot, -1);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&slot->device, id.device, memory_order_relaxed);
	atomic_store_explicit(&slot->inode, id.inode, memory_order_relaxed);
	atomic_store_explicit(&slot->type, id.type, memory_order_relaxed);
	set_fd(slot, raised);
	*persistent = true;
	return raised;
}

/* --- all slots --- */

static void open_all(const struct lz_os *os)
{
	bool some = fd_limit(os) != 0;

	for (int i = 0; i < SLOTS && some; i++) {
		bool persistent;
		int fd;

		if (*files[i].opened_path == '\0')
			continue;
		fd = open_slot(os, &slots[i], files[i].opened_path, &persistent);
		if (fd >= 0 && !persistent)
			os->close(fd);
	}
	atomic_store_explicit(&owner_pid, os->getpid(), memory_order_relaxed);
	atomic_store_explicit(&enabled, some, memory_order_release);
}

static void close_all(const struct lz_os *os)
{
	for (int i = 0; i < SLOTS; i++) {
		int fd = valid_fd(os, &slots[i]);

		set_fd(&slots[i], -1);
		if (fd >= 0)
			os->close(fd);
		atomic_store_explicit(&slots[i].not_persistent, false, memory_order_relaxed);
		atomic_store_explicit(&slots[i].claim, 0, memory_order_relaxed);
	}
}

/* In a forked child: the inherited descriptors refer to the parent. */
static void reopen_in_child(const struct lz_os *os)
{
	close_all(os);
	open_all(os);
}

static bool is_enabled(const struct lz_os *os)
{
	return atomic_load_explicit(&enabled, memory_order_acquire) &&
	       lz_fork_state_refresh(LZ_FORK_STATE_DESCRIPTORS, reopen_in_child, os);
}

/*
 * The child of vfork(2) shares this table with its parent, but has its own descriptors: a descriptor that it
 * opens does not exist in the parent.
 */
static bool may_replace(const struct lz_os *os, const struct slot *slot)
{
	return !atomic_load_explicit(&slot->not_persistent, memory_order_relaxed) &&
	       os->getpid() == atomic_load_explicit(&owner_pid, memory_order_relaxed);
}

/*
 * Whether the process's first thread still has the file at the slot's number: then the calling thread has a
 * table of its own (unshare(2) with CLONE_FILES), and a file that it opens would not exist in the other one.
 * Without this check two threads that each miss the other's number would open files until none of the numbers
 * is free.
 */
NOINLINE static bool has_private_table(const struct lz_os *os, int i)
{
	int fd = (int)(uint32_t)atomic_load_explicit(&slots[i].fd_and_sequence, memory_order_acquire) - 1;
	const char *name = strrchr(files[i].opened_path, '/');
	char *buffer = lz_scratch_take(os), *target;
	struct lz_text text;
	bool found = false;
	ssize_t length;

	if (buffer != NULL && fd >= 0 && name != NULL) {
		target = buffer + LZ_SCRATCH_BYTES / 4;
		text = lz_text_init(buffer, LZ_SCRATCH_BYTES / 4);
		lz_text_string(&text, "/proc/self/fd/");
		lz_text_u64(&text, (uint64_t)fd);
		length = os->readlink(buffer, target, LZ_SCRATCH_BYTES / 2);
		found = length > (ssize_t)strlen(name) && strcmp(target + length - strlen(name), name) == 0 &&
			(strncmp(target, "/proc/", 6) == 0 || i == CGROUP);
	}
	lz_scratch_release(os, buffer);
	return found;
}

void lz_descriptors_open(const struct lz_os *os)
{
	if (lz_fork_state_init(os) == 0 && !is_enabled(os))
		open_all(os);
}

int lz_descriptors_set_cgroup_usage(const struct lz_os *os, const char *path)
{
	struct slot *slot = &slots[CGROUP];
	bool persistent;
	int fd;

	if (strlen(path) >= sizeof cgroup_path)
		return -ENAMETOOLONG;
	if (!is_enabled(os) || !claim(slot))
		return -EMFILE;
	fd = valid_fd(os, slot);
	set_fd(slot, -1);
	if (fd >= 0)
		os->close(fd);
	memcpy(cgroup_path, path, strlen(path) + 1);
	fd = open_slot(os, slot, path, &persistent);
	unclaim(slot);
	if (fd >= 0 && !persistent)
		os->close(fd);
	return fd < 0 ? fd : persistent ? 0 : -EMFILE;
}

void lz_descriptors_after_fork(const struct lz_os *os)
{
	is_enabled(os);
}

void lz_descriptors_close(const struct lz_os *os)
{
	if (!is_enabled(os))
		return;
	atomic_store_explicit(&enabled, false, memory_order_relaxed);
	close_all(os);
}

/* --- using a file --- */

static void set_file(struct lz_file *file, int slot, int fd, bool claimed)
{
	file->slot = slot;
	file->fd = fd;
	file->claimed = claimed;
}

/*
 * The file of a slot is gone. Opens it again into *file. `claimed` says whether the caller holds the claim.
 */
NOINLINE static bool use_reopened_slot(struct lz_file *file, int i, bool exclusive, bool claimed)
{
	struct slot *slot = &slots[i];
	bool persistent = false;
	int fd = -1;

	if (may_replace(file->os, slot) && !has_private_table(file->os, i) &&
		(claimed || (claimed = claim(slot))))
		fd = open_slot(file->os, slot, files[i].opened_path, &persistent);
	if (claimed && !(persistent && exclusive)) {
		unclaim(slot);
		claimed = false;
	}
	set_file(file, persistent ? i : -1, fd, claimed);
	return fd >= 0;
}

/* Puts the persistent descriptor into *file. Returns false if it is not available now. */
static bool use_slot(struct lz_file *file, int i, bool exclusive)
{
	bool claimed = exclusive && claim(&slots[i]);
	int fd;

	if (exclusive && !claimed)
		return false;
	fd = valid_fd(file->os, &slots[i]);
	if (fd == -EBADF)
		return use_reopened_slot(file, i, exclusive, claimed);
	if (fd >= 0)
		set_file(file, i, fd, claimed);
	else if (claimed)
		unclaim(&slots[i]);
	return fd >= 0;
}

static int open_temporarily(struct lz_file *file)
{
	set_file(file, -1, -1, false);
	/*
	 * O_NONBLOCK: in a recorded /proc tree, the name may refer to a FIFO, and open(2) would wait for a
	 * writer.
	 */
	file->fd = file->os->open(file->path, O_RDONLY | O_NONBLOCK, 0);
	return file->fd < 0 ? file->fd : 0;
}

int lz_file_open(struct lz_file *file, const struct lz_os *os, const char *path, bool exclusive)
{
	int slot = find_slot(path);

	file->os = os;
	file->path = path;
	if (slot >= 0 && is_enabled(os) && use_slot(file, slot, exclusive))
		return 0;
	return open_temporarily(file);
}

int lz_file_reopen(struct lz_file *file)
{
	struct slot *slot;
	bool persistent = false;
	int fd;

	if (!file->claimed) {
		lz_file_close(file);
		return -ENOENT;
	}
	slot = &slots[file->slot];
	if (!may_replace(file->os, slot)) {
		unclaim(slot);
		return open_temporarily(file);
	}
	fd = valid_fd(file->os, slot);
	set_fd(slot, -1);
	if (fd >= 0)
		file->os->close(fd);
	fd = open_slot(file->os, slot, file->path, &persistent);
	if (!persistent) {
		unclaim(slot);
		file->slot = -1;
		file->claimed = false;
	}
	file->fd = fd;
	return fd < 0 ? fd : 0;
}

void lz_file_close(struct lz_file *file)
{
	if (file->slot < 0)
		file->os->close(file->fd);
	else if (file->claimed)
		unclaim(&slots[file->slot]);
}
