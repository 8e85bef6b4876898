/*
 * Files of /proc that this process keeps open, and access to them.
 *
 * Opening such a file for each use causes races that no order of calls can prevent. If another thread forks
 * in the meantime, its child inherits the descriptor. If another thread closes descriptor 0 and opens a file,
 * expecting number 0, ours may already hold it. When ours is closed, its number may by then refer to a file
 * of the program. Furthermore, /proc/self/pagemap cannot be opened after setuid(2) (EACCES), and a seccomp
 * filter may kill the process for openat(2).
 *
 * Invariants:
 *  - The descriptors have the highest free numbers below 1,024 and below RLIMIT_NOFILE, and are
 *    close-on-exec. select(2) cannot handle higher numbers, and the kernel's descriptor table grows with the
 *    highest number. If RLIMIT_NOFILE is below 64, no descriptor is kept.
 *  - Before each use, device, inode and type are compared with those of the file that was opened (identify of
 *    the os table). If they differ, the descriptor belongs to the program: it is forgotten, never closed, and
 *    the file is opened again.
 *  - A forked child learns from lz_fork_state_refresh that the descriptors refer to its parent. It closes
 *    them and opens its own. The child of vfork(2) shares this table but has descriptors of its own, so it
 * does not change the table.
 *  - There is no lock. A reader of maps or status claims the file by an atomic exchange, because two
 *    concurrent readers would make the kernel restart the file for each other. A thread that does not get the
 *    claim, or finds the file being replaced, opens a temporary descriptor. If a reader never returns
 *    (siglongjmp, a cancelled thread), all later readers use temporary descriptors.
 *
 * Thread-safe and async-signal-safe. Needs MADV_WIPEONFORK (Linux 4.14); on older kernels no descriptor is
 * kept.
 */
#ifndef LZ_OS_DESCRIPTORS_H
#define LZ_OS_DESCRIPTORS_H

#include <stdbool.h>

#include "os/os.h"

/* These exact paths are served by persistent descriptors. Other paths are opened for each use. */
#define LZ_PAGEMAP "/proc/thread-self/pagemap"
#define LZ_MAPS "/proc/thread-self/maps"
#define LZ_STATUS "/proc/thread-self/status"

/* Opens the files. Called once per process, at start-up. A file that cannot be opened is not kept. */
void lz_descriptors_open(const struct lz_os *os);

/*
 * Adds one more file: the memory usage of the control group. The path is copied; from then on it is served by
 * a persistent descriptor as well. Called at start-up after lz_descriptors_open, and again to replace the
 * file. Returns 0 or -errno: -ENAMETOOLONG for a path of 512 bytes or more, -EMFILE if no descriptor is kept.
 */
int lz_descriptors_set_cgroup_usage(const struct lz_os *os, const char *path);

/*
 * In a forked child: closes the parent's files and opens the child's own now, while it may still have
 * permission to. Otherwise the next use would do so. Does nothing in any other process.
 */
void lz_descriptors_after_fork(const struct lz_os *os);

/* Closes all files; every later use opens its own. For tests, and when the library is disabled. */
void lz_descriptors_close(const struct lz_os *os);

/*
 * Duplicates a descriptor to the highest free number, close-on-exec. The original stays open. Returns the new
 * descriptor, or -EMFILE if there is none.
 */
int lz_descriptors_dup_high(const struct lz_os *os, int fd);

/* A file in use: a persistent one, or one that was opened for this use. */
struct lz_file {
	const struct lz_os *os;
	const char *path;
	int fd;
	int slot;     /* -1: opened for this use */
	bool claimed; /* no other thread reads it */
};

/*
 * Opens a path for reading. `exclusive` requests that no other thread reads the file at the same time; reads
 * then need explicit offsets (pread), because the file position is that of the previous user. Returns 0 or
 * -errno. After success, lz_file_close must follow.
 */
int lz_file_open(struct lz_file *file, const struct lz_os *os, const char *path, bool exclusive);

/*
 * Reopens a persistent, exclusively used file that turned out to be empty: /proc/self refers to the main
 * thread, which may have called pthread_exit(3), and /proc/thread-self to a thread that may have ended. The
 * new file is that of the calling thread. Returns 0 or -errno: -ENOENT if the file was opened for this use.
 * After an error the file is closed.
 */
int lz_file_reopen(struct lz_file *file);

void lz_file_close(struct lz_file *file);

/* Whether the file must be read with pread. */
static inline bool lz_file_is_persistent(const struct lz_file *file)
{
	return file->slot >= 0;
}

#endif
