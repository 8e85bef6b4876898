/*
 * The operating system as lazyzero uses it: one table of functions, so that tests can make any call fail,
 * record it, or answer it from a recorded /proc tree.
 *
 * Every function returns its result, or -errno on failure (mmap, mremap and shmat as intptr_t: test with
 * lz_os_failed), and leaves the caller's errno as it was. The Linux table never goes through an interposed
 * symbol, of which libc's syscall(2) is one: each entry makes its system call itself (raw_syscall.h). All are
 * safe in signal handlers and threads.
 */
#ifndef LZ_OS_OS_H
#define LZ_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What identifies an open file for as long as it lives: a descriptor that is no longer it has changed hands.
 */
struct lz_file_id {
	uint64_t device;
	uint64_t inode;
	uint32_t type;  /* the S_IFMT bits of st_mode */
	uint64_t size;  /* bytes; not part of the identity */
	uint64_t owner; /* uid; not part of the identity */
	uint64_t rdev;  /* of a device file, major << 32 | minor; not part of the identity */
};

struct lz_os {
	/* mmap(2), munmap(2), mremap(2), mprotect(2), madvise(2); lengths in bytes. */
	intptr_t (*mmap)(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
	int (*munmap)(void *address, size_t length);
	intptr_t (*mremap)(void *address, size_t old_length, size_t new_length, int flags, void *target);
	int (*mprotect)(void *address, size_t length, int protection);
	int (*madvise)(void *address, size_t length, int advice);
	/* mincore(2): a byte for each page of [address, address + length). */
	int (*mincore)(void *address, size_t length, unsigned char *pages);
	/* Copies memory that may be gone meanwhile (process_vm_readv(2) of this process). */
	ssize_t (*read_memory)(const void *address, void *buffer, size_t length);
	/* mlock(2). */
	int (*mlock)(void *address, size_t length);
	/* Any system call, as syscall(2) takes it; for those that are only passed on. */
	long (*any_syscall)(long number, long a, long b, long c, long d, long e, long f);

	/*
	 * memfd_create(2), close-on-exec, sealable and not executable; ftruncate(2), of which SIGXFSZ is kept
	 * away; and every seal there is but F_SEAL_FUTURE_WRITE: the size is fixed, and nobody writes.
	 */
	int (*memfd_create)(const char *name);
	int (*ftruncate)(int fd, int64_t length);
	int (*add_seals)(int fd);
	/* The seals of a file (F_GET_SEALS); -EINVAL of what cannot be sealed, as most files. */
	int (*get_seals)(int fd);
	/* The soft limit of a resource, RLIM_INFINITY for none (getrlimit(2)). */
	int (*rlimit)(int resource, uint64_t *bytes);
	/* 1 when transparent huge pages are disabled for this process (PR_GET_THP_DISABLE), 0 when not. */
	int (*thp_disabled)(void);

	/* shmat(2), shmdt(2), and the segment's size in bytes by shmctl(2) IPC_STAT. */
	intptr_t (*shmat)(int id, const void *address, int flags);
	int (*shmdt)(const void *address);
	int (*shm_size)(int id, size_t *bytes);

	/* open(2) relative to the working directory, always O_CLOEXEC; read(2), write(2), close(2). */
	int (*open)(const char *path, int flags, unsigned mode);
	ssize_t (*read)(int fd, void *buffer, size_t length);
	/* pread(2). */
	ssize_t (*pread)(int fd, void *buffer, size_t length, int64_t offset);
	ssize_t (*write)(int fd, const void *bytes, size_t length);
	int (*close)(int fd);
	/* The same open file at the lowest free number from `lowest` on, close-on-exec (F_DUPFD_CLOEXEC of
	 * fcntl(2)). */
	int (*duplicate)(int fd, int lowest);
	/* Gives the first `length` bytes of a file memory of their own (fallocate(2), mode 0). */
	int (*fallocate)(int fd, int64_t length);
	/* fstat(2), reduced to what identifies the file. */
	int (*identify)(int fd, struct lz_file_id *id);
	/* Bytes of a page of the file system that fd is on when that is hugetlbfs, else 0 (fstatfs(2)). */
	int (*hugetlb_page_size)(int fd, size_t *bytes);
	/* readlink(2), NUL-terminated; returns the length, -ENAMETOOLONG when it does not fit. */
	ssize_t (*readlink)(const char *path, char *buffer, size_t capacity);
	ssize_t (*getcwd)(char *buffer, size_t capacity);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	/* 1 when a write to fd would not block now, 0 when it would (poll(2) with no wait). */
	int (*poll_writable)(int fd);
	/* A datagram to a Unix socket by path, never waiting; 0 or -errno. */
	int (*send_datagram)(const char *path, const void *bytes, size_t length);

	/*
	 * Between these two, a write that raises SIGPIPE or SIGXFSZ only fails, and one that would raise
	 * SIGTTOU goes through: all are blocked for the calling thread, and what became pending meanwhile is
	 * taken away. *saved is private.
	 */
	int (*block_write_signals)(uint64_t *saved);
	void (*restore_write_signals)(uint64_t saved);

	/*
	 * Blocks all signals for the calling thread but those that its own instructions raise (SIGSEGV,
	 * SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS): the kernel ends a process that raises a blocked one.
	 * Every signal of the C library's own is among the blocked. *saved is the mask to restore.
	 */
	int (*block_signals)(uint64_t *saved);
	void (*restore_signals)(uint64_t saved);

	/*
	 * Has a signal handled that the program leaves at its default, with SA_RESTART and SA_ONSTACK. -EBUSY
	 * when it does not, and nothing happened.
	 */
	int (*install_signal_handler)(int signal, void (*handler)(int signal));

	/* futex(2) private wait, at most timeout_ms milliseconds, and wake of `count` waiters. */
	int (*futex_wait)(_Atomic uint32_t *word, uint32_t expected, unsigned timeout_ms);
	int (*futex_wake)(_Atomic uint32_t *word, int count);
	/* 1 when an aligned word holds a value, 0 when another, or when nothing is mapped there; or -errno.
	 */
	int (*word_equals)(const _Atomic uint32_t *word, uint32_t value);

	/* Milliseconds of CLOCK_MONOTONIC. */
	uint64_t (*now_ms)(void);
	/* Minor faults of the process so far (ru_minflt, getrusage(2)). */
	uint64_t (*minor_faults)(void);
	uid_t (*geteuid)(void);
	pid_t (*getpid)(void);
	/* Bytes of a page (AT_PAGESZ of getauxval(3)). */
	size_t (*page_size)(void);
};

/* The running kernel. */
extern const struct lz_os lz_os_linux;

/* Whether an intptr_t result is -errno: the kernel returns no address in the last page. */
static inline bool lz_os_failed(intptr_t result)
{
	return (uintptr_t)result > (uintptr_t)-4096;
}

#endif
