/* The descriptors that are kept; see descriptors.h. */
#include "os/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "os/forked.h"

#define HIGHEST 1024   /* FD_SETSIZE */
#define LEAST_LIMIT 64 /* of RLIMIT_NOFILE: with less, the program needs all it has */
#define TRIES 64       /* numbers looked at from the top; not below half of the limit */

/* Not inlined: opening a file stands at the end of the deepest paths, and is not to have all of their frames
 * below. */
#define APART __attribute__((noinline))

enum { PAGEMAP, MAPS, STATUS, GROUP, SLOTS };

/*
 * A descriptor, and what it shows. `word` is its number plus 1, 0 for none, and above it a count of changes:
 * whoever reads the identity without a claim sees by it that the slot was changed meanwhile.
 */
struct slot {
	_Atomic uint64_t word;
	_Atomic uint64_t device, inode;
	_Atomic uint32_t type;
	_Atomic uintptr_t
		claim;         /* who reads or replaces it: the address of `self` in the thread; 0: nobody */
	_Atomic bool given_up; /* it could not be moved up: not tried again */
};

static struct slot slots[SLOTS];
static char group_path[512];
static _Atomic bool open_at_all;
static _Atomic pid_t owner; /* whose descriptors these are */

/* The same address in a forked child, so that what it has claimed stays its own. */
static __thread char self __attribute__((tls_model("initial-exec")));

/*
 * What is asked for, and what is opened to be kept. The memory map that pagemap shows is fixed when it is
 * opened; maps and status also ask for the thread whose folder they are in, and the first thread is there the
 * longest.
 */
static const struct {
	const char *path, *kept;
} files[SLOTS] = {
	[PAGEMAP] = {LZ_PAGEMAP, LZ_PAGEMAP},
	[MAPS] = {LZ_MAPS, "/proc/self/maps"},
	/*
	 * Kept because VmPTE is read before decisions, up to 100 times a second: open, read and close took
	 * 10.2 us, statx and pread 5.9 on the same machine (a bare system call 1.0). And it is the one file
	 * whose opening would let a seccomp filter kill the program in the middle of its run.
	 */
	[STATUS] = {LZ_STATUS, "/proc/self/status"},
	[GROUP] = {group_path, group_path},
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
	uintptr_t nobody = 0;

	return atomic_compare_exchange_strong_explicit(
		&slot->claim, &nobody, (uintptr_t)&self, memory_order_acquire, memory_order_relaxed);
}

/* Unless a fork in the middle has freed it, and another thread of the child has it. */
static void unclaim(struct slot *slot)
{
	uintptr_t mine = (uintptr_t)&self;

	atomic_compare_exchange_strong_explicit(
		&slot->claim, &mine, 0, memory_order_release, memory_order_relaxed);
}

/* Sets the number, -1 for none; claimed, or before anyone else knows of the slot. */
static void set_number(struct slot *slot, int fd)
{
	uint64_t count = (atomic_load_explicit(&slot->word, memory_order_relaxed) >> 32) + 1;

	atomic_store_explicit(&slot->word, count << 32 | (uint32_t)(fd + 1), memory_order_release);
}

/* The number that still shows what was opened; -EBADF: it must be opened anew; -EAGAIN: not to be told now.
 */
APART static int number_of(const struct lz_os *os, struct slot *slot)
{
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
	int fd = (int)(uint32_t)word - 1;
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
	if (atomic_load_explicit(&slot->word, memory_order_relaxed) != word)
		return -EAGAIN;
	return error == 0 ? fd : error;
}

/* The limit of numbers to keep, or 0. */
static int number_limit(const struct lz_os *os)
{
	uint64_t limit;

	if (os->limit(RLIMIT_NOFILE, &limit) != 0 || limit < LEAST_LIMIT)
		return 0;
	return limit < HIGHEST ? (int)limit : HIGHEST;
}

/* A second number of a descriptor, as high as there is a free one below the limit; -EMFILE. */
APART int lz_descriptors_raise(const struct lz_os *os, int fd)
{
	int limit = number_limit(os);

	for (int n = limit - 1; n >= limit / 2 && n >= limit - TRIES; n--) {
		int raised = os->duplicate(fd, n);

		if (raised >= 0 && raised < limit)
			return raised;
		/* All from n up to 1,024 are used. */
		if (raised >= 0)
			os->close(raised);
		else if (raised != -EMFILE)
			break;
	}
	return -EMFILE;
}

/*
 * Opens a file and keeps it, claimed. Returns its number; *kept is false where it could not be kept, and is
 * the caller's to close. -errno where it cannot be opened.
 */
static int open_slot(const struct lz_os *os, struct slot *slot, const char *path, bool *kept)
{
	int fd = os->open(path, O_RDONLY | O_NONBLOCK, 0), raised;
	struct lz_file_id id;

	*kept = false;
	if (fd < 0 || os->identify(fd, &id) != 0)
		return fd;
	raised = lz_descriptors_raise(os, fd);
	if (raised < 0) {
		atomic_store_explicit(&slot->given_up, true, memory_order_relaxed);
		return fd;
	}
	os->close(fd);
	set_number(slot, -1);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&slot->device, id.device, memory_order_relaxed);
	atomic_store_explicit(&slot->inode, id.inode, memory_order_relaxed);
	atomic_store_explicit(&slot->type, id.type, memory_order_relaxed);
	set_number(slot, raised);
	*kept = true;
	return raised;
}

/* --- all of them --- */

static void open_all(const struct lz_os *os)
{
	bool some = number_limit(os) != 0;

	for (int i = 0; i < SLOTS && some; i++) {
		bool kept;
		int fd;

		if (*files[i].kept == '\0')
			continue;
		fd = open_slot(os, &slots[i], files[i].kept, &kept);
		if (fd >= 0 && !kept)
			os->close(fd);
	}
	atomic_store_explicit(&owner, os->getpid(), memory_order_relaxed);
	atomic_store_explicit(&open_at_all, some, memory_order_release);
}

static void close_all(const struct lz_os *os)
{
	for (int i = 0; i < SLOTS; i++) {
		int fd = number_of(os, &slots[i]);

		set_number(&slots[i], -1);
		if (fd >= 0)
			os->close(fd);
		atomic_store_explicit(&slots[i].given_up, false, memory_order_relaxed);
		atomic_store_explicit(&slots[i].claim, 0, memory_order_relaxed);
	}
}

/* In a forked child, whose numbers show its parent. */
static void put_right(const struct lz_os *os)
{
	close_all(os);
	open_all(os);
}

static bool usable(const struct lz_os *os)
{
	return atomic_load_explicit(&open_at_all, memory_order_acquire) &&
	       lz_forked_settled(LZ_FORKED_DESCRIPTORS, put_right, os);
}

/* The child of vfork has the table, but descriptors of its own: what it opens, its parent does not have. */
static bool may_replace(const struct lz_os *os, const struct slot *slot)
{
	return !atomic_load_explicit(&slot->given_up, memory_order_relaxed) &&
	       os->getpid() == atomic_load_explicit(&owner, memory_order_relaxed);
}

void lz_descriptors_open(const struct lz_os *os)
{
	if (lz_forked_init(os) == 0 && !usable(os))
		open_all(os);
}

int lz_descriptors_keep(const struct lz_os *os, const char *path)
{
	struct slot *slot = &slots[GROUP];
	bool kept;
	int fd;

	if (strlen(path) >= sizeof group_path)
		return -ENAMETOOLONG;
	if (!usable(os) || !claim(slot))
		return -EMFILE;
	fd = number_of(os, slot);
	set_number(slot, -1);
	if (fd >= 0)
		os->close(fd);
	memcpy(group_path, path, strlen(path) + 1);
	fd = open_slot(os, slot, path, &kept);
	unclaim(slot);
	if (fd >= 0 && !kept)
		os->close(fd);
	return fd < 0 ? fd : kept ? 0 : -EMFILE;
}

void lz_descriptors_after_fork(const struct lz_os *os)
{
	usable(os);
}

void lz_descriptors_close(const struct lz_os *os)
{
	if (!usable(os))
		return;
	atomic_store_explicit(&open_at_all, false, memory_order_relaxed);
	close_all(os);
}

/* --- using them --- */

static void take(struct lz_file *file, int slot, int fd, bool claimed)
{
	file->slot = slot;
	file->fd = fd;
	file->claimed = claimed;
}

/* What a slot held is gone: opens it anew into *file. `claimed` as it is now. */
APART static bool use_anew(struct lz_file *file, int i, bool alone, bool claimed)
{
	struct slot *slot = &slots[i];
	bool kept = false;
	int fd = -1;

	if (may_replace(file->os, slot) && (claimed || (claimed = claim(slot))))
		fd = open_slot(file->os, slot, files[i].kept, &kept);
	if (claimed && !(kept && alone)) {
		unclaim(slot);
		claimed = false;
	}
	take(file, kept ? i : -1, fd, claimed);
	return fd >= 0;
}

/* The kept descriptor into *file; false where there is none to be had now. */
static bool use_kept(struct lz_file *file, int i, bool alone)
{
	bool claimed = alone && claim(&slots[i]);
	int fd;

	if (alone && !claimed)
		return false;
	fd = number_of(file->os, &slots[i]);
	if (fd == -EBADF)
		return use_anew(file, i, alone, claimed);
	if (fd >= 0)
		take(file, i, fd, claimed);
	else if (claimed)
		unclaim(&slots[i]);
	return fd >= 0;
}

static int open_once(struct lz_file *file)
{
	take(file, -1, -1, false);
	/* In a recorded tree, a name may be a pipe's, which would be waited for. */
	file->fd = file->os->open(file->path, O_RDONLY | O_NONBLOCK, 0);
	return file->fd < 0 ? file->fd : 0;
}

int lz_file_open(struct lz_file *file, const struct lz_os *os, const char *path, bool alone)
{
	int slot = find_slot(path);

	file->os = os;
	file->path = path;
	if (slot >= 0 && usable(os) && use_kept(file, slot, alone))
		return 0;
	return open_once(file);
}

int lz_file_renew(struct lz_file *file)
{
	struct slot *slot;
	bool kept = false;
	int fd;

	if (!file->claimed) {
		lz_file_close(file);
		return -ENOENT;
	}
	slot = &slots[file->slot];
	if (!may_replace(file->os, slot)) {
		unclaim(slot);
		return open_once(file);
	}
	fd = number_of(file->os, slot);
	set_number(slot, -1);
	if (fd >= 0)
		file->os->close(fd);
	fd = open_slot(file->os, slot, file->path, &kept);
	if (!kept) {
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
