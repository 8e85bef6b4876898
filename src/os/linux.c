/*
 * The Linux implementation of os.h. Each function makes a system call and preserves the caller's errno. It
 * uses no interposed symbol, so it works inside malloc, before constructors, and in the child of a threaded
 * parent.
 */
#include "os/facts.h"
#include "os/mman.h"
#include "os/os.h"
#include "os/raw_syscall.h"
#include "os/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* In this file, syscall(2) is not the function of libc, which is interposed, but the system call itself. */
#ifdef LZ_HAVE_RAW_SYSCALL
static long raw_syscall_errno(long number, long a, long b, long c, long d, long e, long f)
{
	long result = lz_raw_syscall(number, a, b, c, d, e, f);

	/* Results from -4095 to -1 are errors: MAX_ERRNO of the kernel (include/linux/err.h). */
	if ((unsigned long)result <= -4096ul)
		return result;
	errno = (int)-result;
	return -1;
}

#define SYSCALL_WITH(number, a, b, c, d, e, f, ...)                                                          \
	raw_syscall_errno((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#undef syscall
#define syscall(...) SYSCALL_WITH(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#endif

/* The result of a system call expression, or -errno. Preserves errno. */
#define RESULT_OF(call)                                                                                      \
	({                                                                                                   \
		int saved_errno = errno;                                                                     \
		long raw_result = (call);                                                                    \
		if (raw_result == -1) {                                                                      \
			raw_result = -(long)errno;                                                           \
			errno = saved_errno;                                                                 \
		}                                                                                            \
		raw_result;                                                                                  \
	})

/*
 * ThreadSanitizer does not see these calls. It must be told, for each 64 KiB, that memory unmapped or moved
 * by one thread may be handed to another thread later.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);

static void tsan_order(void (*by)(void *), void *address, size_t length)
{
	/*
	 * Keys stand for addresses: an address for which the sanitizer has no shadow memory would crash it.
	 */
	static char key[4096];
	uintptr_t at = (uintptr_t)address >> 16, end = ((uintptr_t)address + length + 65535) >> 16;

	for (; at < end && length <= (64u << 20); at++)
		by(&key[at % sizeof key]);
}
#else
#define tsan_order(by, address, length) ((void)0)
#endif

static intptr_t map(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
{
#ifdef __s390x__
	/* On s390x, the system call takes one pointer to its arguments (arch/s390/kernel/syscall.c). */
	unsigned long arguments[] = {(unsigned long)address, length, (unsigned long)protection,
		(unsigned long)flags, (unsigned long)fd, (unsigned long)offset};

	return RESULT_OF(syscall(SYS_mmap, arguments));
#else
	return RESULT_OF(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
#endif
}

static intptr_t raw_mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
{
	intptr_t at = map(address, length, protection, flags, fd, offset);

	if (!lz_os_failed(at))
		tsan_order(__tsan_acquire, (void *)at, length);
	return at;
}

static int raw_munmap(void *address, size_t length)
{
	tsan_order(__tsan_release, address, length);
	return (int)RESULT_OF(syscall(SYS_munmap, address, length));
}

static intptr_t raw_mremap(void *address, size_t old_length, size_t new_length, int flags, void *target)
{
	intptr_t at;

	tsan_order(__tsan_release, address, old_length);
	at = RESULT_OF(syscall(SYS_mremap, address, old_length, new_length, flags, target));
	if (!lz_os_failed(at))
		tsan_order(__tsan_acquire, (void *)at, new_length);
	return at;
}

static int raw_mprotect(void *address, size_t length, int protection)
{
	return (int)RESULT_OF(syscall(SYS_mprotect, address, length, protection));
}

static int raw_madvise(void *address, size_t length, int advice)
{
	return (int)RESULT_OF(syscall(SYS_madvise, address, length, advice));
}

static int raw_mincore(void *address, size_t length, unsigned char *pages)
{
	return (int)RESULT_OF(syscall(SYS_mincore, address, length, pages));
}

static int raw_mlock(void *address, size_t length)
{
	return (int)RESULT_OF(syscall(SYS_mlock, address, length));
}

static long raw_any_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	return RESULT_OF(syscall(number, a, b, c, d, e, f));
}

static ssize_t raw_read_memory(const void *address, void *buffer, size_t length)
{
	struct iovec to = {buffer, length}, from = {(void *)(uintptr_t)address, length};

	return RESULT_OF(syscall(SYS_process_vm_readv, syscall(SYS_getpid), &to, 1ul, &from, 1ul, 0ul));
}

/* Uses libc's sigaction(3), which knows the signal return trampoline. */
static int raw_install_signal_handler(int signal, void (*handler)(int signal))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK}, found;
	int error = (int)RESULT_OF(sigaction(signal, NULL, &found));

	if (error)
		return error;
	if ((found.sa_flags & SA_SIGINFO) != 0 || found.sa_handler != SIG_DFL)
		return -EBUSY;
	return (int)RESULT_OF(sigaction(signal, &action, NULL));
}

static int raw_memfd_create(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (lz_fact_known(LZ_FACT_NOEXEC_SEAL) == LZ_FACT_UNSUPPORTED)
		return (int)RESULT_OF(syscall(SYS_memfd_create, name, flags));
	fd = (int)RESULT_OF(syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL));
	/* ENOSYS is about the whole call. */
	if (fd != -ENOSYS)
		lz_fact_learn(LZ_FACT_NOEXEC_SEAL, fd < 0 ? fd : 0);
	return fd == -EINVAL ? (int)RESULT_OF(syscall(SYS_memfd_create, name, flags)) : fd;
}

static int raw_add_seals(int fd)
{
	return (int)RESULT_OF(syscall(
		SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
}

static int raw_get_seals(int fd)
{
	return (int)RESULT_OF(syscall(SYS_fcntl, fd, F_GET_SEALS));
}

static int raw_rlimit(int resource, uint64_t *bytes)
{
	struct rlimit limit; /* the kernel's struct rlimit64 is identical on 64-bit machines */
	int error = (int)RESULT_OF(syscall(SYS_prlimit64, 0, resource, NULL, &limit));

	if (error == 0)
		*bytes = limit.rlim_cur;
	return error;
}

static int raw_thp_disabled(void)
{
	int answer = (int)RESULT_OF(syscall(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0));

	return answer > 1 ? 1 : answer;
}

static intptr_t raw_shmat(int id, const void *address, int flags)
{
	return RESULT_OF(syscall(SYS_shmat, id, address, flags));
}

static int raw_shmdt(const void *address)
{
	return (int)RESULT_OF(syscall(SYS_shmdt, address));
}

static int raw_shm_size(int id, size_t *bytes)
{
	struct shmid_ds segment;
	int error = (int)RESULT_OF(syscall(SYS_shmctl, id, IPC_STAT, &segment));

	if (error == 0)
		*bytes = segment.shm_segsz;
	return error;
}

static int raw_open(const char *path, int flags, unsigned mode)
{
	return (int)RESULT_OF(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}

static ssize_t raw_read(int fd, void *buffer, size_t length)
{
	return RESULT_OF(syscall(SYS_read, fd, buffer, length));
}

static ssize_t raw_pread(int fd, void *buffer, size_t length, int64_t offset)
{
	return RESULT_OF(syscall(SYS_pread64, fd, buffer, length, offset));
}

static int raw_duplicate(int fd, int lowest)
{
	return (int)RESULT_OF(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest));
}

static ssize_t raw_write(int fd, const void *bytes, size_t length)
{
	return RESULT_OF(syscall(SYS_write, fd, bytes, length));
}

static int raw_close(int fd)
{
	return (int)RESULT_OF(syscall(SYS_close, fd));
}

static int identify_with(struct statx *stat, int fd, struct lz_file_id *id)
{
	int error = (int)RESULT_OF(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, stat));

	if (error)
		return error;
	id->device = (uint64_t)stat->stx_dev_major << 32 | stat->stx_dev_minor;
	id->inode = stat->stx_ino;
	id->type = stat->stx_mode & (unsigned)S_IFMT;
	id->size = stat->stx_size;
	id->owner = stat->stx_uid;
	id->rdev = (uint64_t)stat->stx_rdev_major << 32 | stat->stx_rdev_minor;
	return 0;
}

/*
 * A struct statx takes 256 bytes, a large part of the stack that may be used below a call of the program.
 * Hence the scratch buffer.
 */
static int raw_identify(int fd, struct lz_file_id *id)
{
	struct statx *stat = lz_scratch_take(&lz_os_linux);
	int error = stat == NULL ? -ENOMEM : identify_with(stat, fd, id);

	lz_scratch_release(&lz_os_linux, stat);
	return error;
}

static int describe_file_with(
	struct statx *cached, struct statfs *stat, int fd, struct lz_mappable_file *file)
{
	int error;

	/*
	 * AT_STATX_DONT_SYNC asks for what is known without contacting a file server, which may be dead.
	 * hugetlbfs reports its page size as the block size.
	 */
	error = (int)RESULT_OF(syscall(
		SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, cached));
	if (error == 0 && (cached->stx_mask & STATX_SIZE) && S_ISREG(cached->stx_mode))
		file->size = cached->stx_size;
	if (error == 0 && cached->stx_blksize < 65536)
		return 0;
	error = (int)RESULT_OF(syscall(SYS_fstatfs, fd, stat));
	if (error == 0 && stat->f_type == HUGETLBFS_MAGIC)
		file->huge_page = (size_t)stat->f_bsize;
	return error;
}

static int raw_describe_file(int fd, struct lz_mappable_file *file)
{
	struct statx *cached = lz_scratch_take(&lz_os_linux);
	int error;

	*file = (struct lz_mappable_file){.size = UINT64_MAX};
	if (cached == NULL)
		return -ENOMEM;
	error = describe_file_with(cached, (struct statfs *)(cached + 1), fd, file);
	lz_scratch_release(&lz_os_linux, cached);
	return error;
}

static ssize_t raw_readlink(const char *path, char *buffer, size_t capacity)
{
	ssize_t length = RESULT_OF(syscall(SYS_readlinkat, AT_FDCWD, path, buffer, capacity));

	if (length >= 0 && (size_t)length == capacity)
		return -ENAMETOOLONG;
	if (length >= 0)
		buffer[length] = '\0';
	return length;
}

static ssize_t raw_getcwd(char *buffer, size_t capacity)
{
	return RESULT_OF(syscall(SYS_getcwd, buffer, capacity));
}

static int raw_ioctl(int fd, unsigned long request, void *argument)
{
	return (int)RESULT_OF(syscall(SYS_ioctl, fd, request, argument));
}

static int raw_poll_writable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	struct timespec none = {0};
	int ready = (int)RESULT_OF(syscall(SYS_ppoll, &wait, 1, &none, NULL, 0));

	return ready < 0 ? ready : ready == 1 && (wait.revents & POLLOUT) != 0;
}

static int raw_send_datagram(const char *path, const void *bytes, size_t length)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;
	long error;

	if (strlen(path) >= sizeof to.sun_path)
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = (int)RESULT_OF(syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return fd;
	error = RESULT_OF(syscall(SYS_sendto, fd, bytes, length, MSG_NOSIGNAL, &to, sizeof to));
	raw_close(fd);
	return error < 0 ? (int)error : 0;
}

/* The kernel's signal set is one 64-bit word on every architecture with 64 signals; glibc's is larger. */
#define SIGNAL_BIT(number) (1ull << ((number)-1))
/*
 * SIGTTOU: when it is blocked, a background process may write to a terminal with tostop (tty_check_change).
 */
#define WRITE_SIGNALS (SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ) | SIGNAL_BIT(SIGTTOU))

static int raw_block_write_signals(uint64_t *saved)
{
	uint64_t blocked = WRITE_SIGNALS;
	uint64_t pending = 0;
	long error = RESULT_OF(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, saved, sizeof blocked));

	if (error)
		return (int)error;
	/*
	 * A signal that is already pending belongs to the program and stays pending. It is recorded in two
	 * bits of the saved mask that rt_sigprocmask never sets (SIGKILL, SIGSTOP).
	 */
	RESULT_OF(syscall(SYS_rt_sigpending, &pending, sizeof pending));
	*saved &= ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
	if (pending & SIGNAL_BIT(SIGPIPE))
		*saved |= SIGNAL_BIT(SIGKILL);
	if (pending & SIGNAL_BIT(SIGXFSZ))
		*saved |= SIGNAL_BIT(SIGSTOP);
	return 0;
}

static void raw_restore_write_signals(uint64_t saved)
{
	struct timespec none = {0};
	uint64_t ours = 0;
	uint64_t pending = 0;
	uint64_t mask = saved & ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));

	if (!(saved & SIGNAL_BIT(SIGKILL)))
		ours |= SIGNAL_BIT(SIGPIPE);
	if (!(saved & SIGNAL_BIT(SIGSTOP)))
		ours |= SIGNAL_BIT(SIGXFSZ);
	RESULT_OF(syscall(SYS_rt_sigpending, &pending, sizeof pending));
	ours &= pending;
	if (ours != 0)
		RESULT_OF(syscall(SYS_rt_sigtimedwait, &ours, NULL, &none, sizeof ours));
	RESULT_OF(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask));
}

/* Signals that are raised by an instruction of the thread itself. */
#define INSTRUCTION_SIGNALS                                                                                  \
	(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) |                \
		SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS))

static int raw_block_signals(uint64_t *saved)
{
	uint64_t blocked = ~INSTRUCTION_SIGNALS;

	return (int)RESULT_OF(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, saved, sizeof blocked));
}

static void raw_restore_signals(uint64_t saved)
{
	RESULT_OF(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &saved, NULL, sizeof saved));
}

static int raw_ftruncate(int fd, int64_t length)
{
	uint64_t saved;
	int error = raw_block_write_signals(&saved);

	if (error)
		return error;
	error = (int)RESULT_OF(syscall(SYS_ftruncate, fd, length));
	raw_restore_write_signals(saved);
	return error;
}

static int raw_futex_wait(_Atomic uint32_t *word, uint32_t expected, unsigned timeout_ms)
{
	struct timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

	return (int)RESULT_OF(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, NULL, 0));
}

static int raw_futex_wake(_Atomic uint32_t *word, int count)
{
	return (int)RESULT_OF(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0));
}

static int raw_word_equals(const _Atomic uint32_t *word, uint32_t value)
{
	/*
	 * The kernel compares first and then requeues no waiter. This is the one system call allowed in every
	 * sandbox that reads memory without a fault and does not sleep.
	 */
	int error = (int)RESULT_OF(syscall(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0L, word, value));

	return error == -EAGAIN || error == -EFAULT ? 0 : error < 0 ? error : 1;
}

static uint64_t raw_minor_faults(void)
{
	struct rusage usage = {.ru_minflt = 0};

	syscall(SYS_getrusage, RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

static uint64_t raw_now_ms(void)
{
	struct timespec now = {0};

	/*
	 * Not by libc's function: a library that fakes the time may replace it, and may call malloc or take
	 * locks.
	 */
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uid_t raw_geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid);
}

static int raw_fallocate(int fd, int64_t length)
{
	return (int)RESULT_OF(syscall(SYS_fallocate, fd, 0, (int64_t)0, length));
}

static pid_t raw_getpid(void)
{
	return (pid_t)syscall(SYS_getpid);
}

static size_t raw_page_size(void)
{
	return getauxval(AT_PAGESZ);
}

const struct lz_os lz_os_linux = {
	.mmap = raw_mmap,
	.munmap = raw_munmap,
	.mremap = raw_mremap,
	.mprotect = raw_mprotect,
	.madvise = raw_madvise,
	.mincore = raw_mincore,
	.mlock = raw_mlock,
	.any_syscall = raw_any_syscall,
	.read_memory = raw_read_memory,
	.memfd_create = raw_memfd_create,
	.ftruncate = raw_ftruncate,
	.add_seals = raw_add_seals,
	.get_seals = raw_get_seals,
	.rlimit = raw_rlimit,
	.thp_disabled = raw_thp_disabled,
	.shmat = raw_shmat,
	.shmdt = raw_shmdt,
	.shm_size = raw_shm_size,
	.open = raw_open,
	.read = raw_read,
	.pread = raw_pread,
	.write = raw_write,
	.close = raw_close,
	.duplicate = raw_duplicate,
	.fallocate = raw_fallocate,
	.identify = raw_identify,
	.describe_file = raw_describe_file,
	.readlink = raw_readlink,
	.getcwd = raw_getcwd,
	.ioctl = raw_ioctl,
	.poll_writable = raw_poll_writable,
	.send_datagram = raw_send_datagram,
	.block_write_signals = raw_block_write_signals,
	.restore_write_signals = raw_restore_write_signals,
	.block_signals = raw_block_signals,
	.restore_signals = raw_restore_signals,
	.install_signal_handler = raw_install_signal_handler,
	.futex_wait = raw_futex_wait,
	.futex_wake = raw_futex_wake,
	.word_equals = raw_word_equals,
	.now_ms = raw_now_ms,
	.minor_faults = raw_minor_faults,
	.geteuid = raw_geteuid,
	.getpid = raw_getpid,
	.page_size = raw_page_size,
};
