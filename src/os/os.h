/*
 * The operating system as lazyzero uses it: one table of functions. Tests replace entries to make a call
 * fail, to record it, or to answer it from a recorded /proc tree.
 *
 * Every function returns its result, or -errno on failure, and preserves the caller's errno. mmap, mremap and
 * shmat return an intptr_t; test it with lz_os_failed. The Linux table never uses an interposed symbol, such
 * as libc's syscall(2): each entry makes its system call itself (raw_syscall.h). All functions are
 * thread-safe and async-signal-safe.
 */
#ifndef LZ_OS_OS_H
#define LZ_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Identifies an open file while it exists. If the identity behind a descriptor has changed, the descriptor
 * was closed and reused.
 */
struct lz_file_id {
	uint64_t device;
	uint64_t inode;
	uint32_t type;  /* the S_IFMT bits of st_mode */
	uint64_t size;  /* bytes; not part of the identity */
	uint64_t owner; /* uid; not part of the identity */
	uint64_t rdev;  /* of a device file, major << 32 | minor; not part of the identity */
};

/* A file as far as its mappings are concerned. */
struct lz_mappable_file {
	size_t huge_page; /* page size in bytes if it is on hugetlbfs, else 0 */
	uint64_t size;    /* of a regular file, bytes; UINT64_MAX for any other */
};

struct lz_os {
	/* mmap(2), munmap(2), mremap(2), mprotect(2), madvise(2). Lengths are in bytes. */
	intptr_t (*mmap)(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
	int (*munmap)(void *address, size_t length);
	intptr_t (*mremap)(void *address, size_t old_length, size_t new_length, int flags, void *target);
	int (*mprotect)(void *address, size_t length, int protection);
	int (*madvise)(void *address, size_t length, int advice);
	/* mincore(2): one byte for each page of [address, address + length). */
	int (*mincore)(void *address, size_t length, unsigned char *pages);
	/* Copies memory that may be unmapped concurrently (process_vm_readv(2) on this process). */
	ssize_t (*read_memory)(const void *address, void *buffer, size_t length);
	/* mlock(2). */
	int (*mlock)(void *address, size_t length);
	/* Any system call, with the arguments of syscall(2). For calls that are only passed on. */
	long (*any_syscall)(long number, long a, long b, long c, long d, long e, long f);

	/*
	 * memfd_create(2), close-on-exec, sealable and not executable; ftruncate(2) without raising SIGXFSZ;
	 * and all seals except F_SEAL_FUTURE_WRITE: size and contents become immutable.
	 */
	int (*memfd_create)(const char *name);
	int (*ftruncate)(int fd, int64_t length);
	int (*add_seals)(int fd);
	/* The seals of a file (F_GET_SEALS). -EINVAL for a file that cannot be sealed, as most cannot. */
	int (*get_seals)(int fd);
	/* The soft limit of a resource; RLIM_INFINITY if there is none (getrlimit(2)). */
	int (*rlimit)(int resource, uint64_t *bytes);
	/* 1 if transparent huge pages are disabled for this process (PR_GET_THP_DISABLE), else 0. */
	int (*thp_disabled)(void);

	/* shmat(2), shmdt(2), and the size of a segment in bytes (shmctl(2) with IPC_STAT). */
	intptr_t (*shmat)(int id, const void *address, int flags);
	int (*shmdt)(const void *address);
	int (*shm_size)(int id, size_t *bytes);

	/* open(2) relative to the working directory, always with O_CLOEXEC; read(2), write(2), close(2). */
	int (*open)(const char *path, int flags, unsigned mode);
	ssize_t (*read)(int fd, void *buffer, size_t length);
	/* pread(2). */
	ssize_t (*pread)(int fd, void *buffer, size_t length, int64_t offset);
	ssize_t (*write)(int fd, const void *bytes, size_t length);
	int (*close)(int fd);
	/*
	 * Duplicates a descriptor to the lowest free number not below `lowest`, close-on-exec
	 * (F_DUPFD_CLOEXEC of fcntl(2)).
	 */
	int (*duplicate)(int fd, int lowest);
	/* Allocates the first `length` bytes of a file (fallocate(2), mode 0). */
	int (*fallocate)(int fd, int64_t length);
	/* fstat(2), reduced to the identity of the file. */
	int (*identify)(int fd, struct lz_file_id *id);
	/* What mmap(2) of fd depends on (statx(2), fstatfs(2)). Does not contact a file server. */
	int (*describe_file)(int fd, struct lz_mappable_file *file);
	/* readlink(2), NUL-terminated. Returns the length, or -ENAMETOOLONG if it does not fit. */
	ssize_t (*readlink)(const char *path, char *buffer, size_t capacity);
	ssize_t (*getcwd)(char *buffer, size_t capacity);
	int (*ioctl)(int fd, unsigned long request, void *argument);
	/* 1 if a write to fd would not block now, 0 if it would (poll(2) without waiting). */
	int (*poll_writable)(int fd);
	/* Sends a datagram to a Unix socket given by its path. Never waits. Returns 0 or -errno. */
	int (*send_datagram)(const char *path, const void *bytes, size_t length);

	/*
	 * Between these two calls, a write that would raise SIGPIPE or SIGXFSZ only fails, and a write that
	 * would raise SIGTTOU succeeds. The signals are blocked for the calling thread, and those that became
	 * pending are discarded. *saved is private.
	 */
	int (*block_write_signals)(uint64_t *saved);
	void (*restore_write_signals)(uint64_t saved);

	/*
	 * Blocks all signals for the calling thread except those that its own instructions raise (SIGSEGV,
	 * SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS), because the kernel kills a process that raises a blocked
	 * one. The internal signals of the C library are blocked, too. *saved is the mask to restore.
	 */
	int (*block_signals)(uint64_t *saved);
	void (*restore_signals)(uint64_t saved);

	/*
	 * Installs a handler with SA_RESTART and SA_ONSTACK if the signal has its default disposition.
	 * Otherwise returns -EBUSY and changes nothing.
	 */
	int (*install_signal_handler)(int signal, void (*handler)(int signal));

	/* futex(2): a private wait of at most timeout_ms milliseconds, and a wake-up of `count` waiters. */
	int (*futex_wait)(_Atomic uint32_t *word, uint32_t expected, unsigned timeout_ms);
	int (*futex_wake)(_Atomic uint32_t *word, int count);
	/* 1 if an aligned word holds the value; 0 if it holds another or is not mapped; or -errno. */
	int (*word_equals)(const _Atomic uint32_t *word, uint32_t value);

	/* Milliseconds of CLOCK_MONOTONIC. */
	uint64_t (*now_ms)(void);
	/* Minor page faults of the process so far (ru_minflt of getrusage(2)). */
	uint64_t (*minor_faults)(void);
	uid_t (*geteuid)(void);
	pid_t (*getpid)(void);
	/* The page size in bytes (AT_PAGESZ of getauxval(3)). */
	size_t (*page_size)(void);
};

/* The implementation for the running kernel. */
extern const struct lz_os lz_os_linux;

/* Whether an intptr_t result is -errno. The kernel never returns an address in the last page. */
static inline bool lz_os_failed(intptr_t result)
{
	return (uintptr_t)result > (uintptr_t)-4096;
}

#endif
