/*
 * The files of /proc that this process keeps open, and how they are used.
 *
 * Opening them at each use has two faults that no order of calls avoids: a child that another thread forks
 * meanwhile inherits the descriptor, and a thread that closes 0 and opens a file gets another number, since
 * ours has the lowest one; in a close that comes later, the number may be the program's file. Also, after
 * setuid(2) /proc/self/pagemap cannot be opened any more (EACCES), and a seccomp filter may kill on openat.
 *
 * What always holds:
 *  - They lie at the highest free numbers below 1,024 and RLIMIT_NOFILE (select(2) takes no more; the
 * kernel's table of descriptors grows to the highest number), close-on-exec. Below a limit of 64 none is
 * kept.
 *  - Before each use, device, inode and type are compared with what was opened (identify of the os table). A
 *    number that shows another file is forgotten, never closed, and the file opened anew.
 *  - A forked child finds out by lz_fork_state_is_current that they show its parent: it closes them, and
 * opens its own. The child of vfork(2) shares the table but not the descriptors: it replaces nothing.
 *  - No lock. A reader of maps or status has the file to itself by an atomic exchange, since two readers
 * would make the kernel begin anew for each other; who does not get it, or finds the file being replaced,
 * opens a descriptor for the one use. Where a reader does not come back (siglongjmp, a cancelled thread), all
 *    later ones do so.
 *
 * Safe in threads and signal handlers. Needs MADV_WIPEONFORK (Linux 4.14); before, nothing is kept.
 */
#ifndef LZ_OS_DESCRIPTORS_H
#define LZ_OS_DESCRIPTORS_H

#include <stdbool.h>

#include "os/os.h"

/* These paths, as they stand here, are answered from what is kept; all others are opened. */
#define LZ_PAGEMAP "/proc/thread-self/pagemap"
#define LZ_MAPS "/proc/thread-self/maps"
#define LZ_STATUS "/proc/thread-self/status"

/* Opens the files and keeps them; once per process, at start-up. What cannot be opened is not kept. */
void lz_descriptors_open(const struct lz_os *os);

/*
 * One more file: the memory usage of the control group. The path is copied, and from here on answered as the
 * others are. 0, or -errno: -ENAMETOOLONG from 512 bytes on, -EMFILE where nothing is kept. Called at
 * start-up, after lz_descriptors_open; again to name another file.
 */
int lz_descriptors_add(const struct lz_os *os, const char *path);

/*
 * In a forked child: closes the parent's and opens its own now, while it may still have the rights to. Each
 * use would do the same. Nothing in any other process.
 */
void lz_descriptors_after_fork(const struct lz_os *os);

/* Closes them; everything is opened for each use from then on. For tests, and where nothing will be done. */
void lz_descriptors_close(const struct lz_os *os);

/*
 * Duplicates a descriptor to the highest free number, close-on-exec. Returns that, or -EMFILE where there is
 * none. The old one stays open.
 */
int lz_descriptors_dup_high(const struct lz_os *os, int fd);

/* A file in use: one that is kept, or one opened for this use. */
struct lz_file {
	const struct lz_os *os;
	const char *path;
	int fd;
	int slot;     /* -1: opened for this use */
	bool claimed; /* nobody else reads it meanwhile */
};

/*
 * Opens a path for reading; `exclusive` where the file is read, which needs explicit offsets (pread): its
 * position is whatever the last user left. 0 or -errno; lz_file_close after success.
 */
int lz_file_open(struct lz_file *file, const struct lz_os *os, const char *path, bool exclusive);

/*
 * A kept file that is read exclusive turned out to show nothing: /proc/self is the first thread, which may
 * have called pthread_exit(3), and /proc/thread-self one that may have ended. Opens the calling thread's in
 * its place. 0 or -errno: -ENOENT where the file was opened for this use; the file is closed after an error
 * too.
 */
int lz_file_reopen(struct lz_file *file);

void lz_file_close(struct lz_file *file);

/* Whether its bytes must be read by pread. */
static inline bool lz_file_is_persistent(const struct lz_file *file)
{
	return file->slot >= 0;
}

#endif
