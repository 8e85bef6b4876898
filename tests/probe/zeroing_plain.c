/*
 * Memory that must be cleared as ever, because its untouched pages do not read as zero or must become
 * resident: files, shared memory, a userfaultfd's range, locked memory; and surroundings in which the kernel
 * cannot be asked.
 */
#include "zeroing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#define SMALL (6 * MB)
#define PAGES (SMALL / PAGE)

int mlock2(const void *address, size_t length, unsigned flags);
int pkey_alloc(unsigned flags, unsigned rights);
int pkey_set(int key, unsigned rights);
int pkey_mprotect(void *address, size_t length, int protection, int key);

/* Maps by the C library's name or by a raw system call, which the library does not see. */
static void *map_by(bool raw, void *at, size_t size, int flags, int fd)
{
	if (!raw)
		return mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	return (void *)syscall(SYS_mmap, at, size, PROT_READ | PROT_WRITE, flags, fd, 0L);
}

/* --- files and shared memory --- */

/* A file of SMALL bytes that are not zero. */
static int make_file(void)
{
	static char page[PAGE];
	int fd = memfd_create("zeroing", MFD_CLOEXEC);

	memset(page, 0x5a, sizeof page);
	for (size_t i = 0; i < PAGES; i++)
		CHECK(write(fd, page, PAGE) == (ssize_t)PAGE, "writing a file");
	return fd;
}

static void check_file(bool shared)
{
	int fd = make_file();
	char *p = map_by(false, NULL, SMALL, shared ? MAP_SHARED : MAP_PRIVATE, fd), byte = 1;

	p[3 * MB] = 1;
	zero(p + 1, SMALL - 2);
	CHECK(all_zero(p + 1, SMALL - 2), "a %s file is not cleared", shared ? "shared" : "private");
	CHECK(p[0] == 0x5a && p[SMALL - 1] == 0x5a, "beside a file's range");
	CHECK(pread(fd, &byte, 1, SMALL / 2) == 1 && byte == (shared ? 0 : 0x5a), "the file holds %d", byte);
	munmap(p, SMALL);
	close(fd);
}

/*
 * A private file or shared memory in the middle of a block. The block was cleared and used before, so it may
 * be on a window.
 */
static void check_file_inside(bool raw, bool shared)
{
	int fd = make_file();
	char *p = calloc(1, BLOCK), *at = (char *)(((uintptr_t)p + 4 * MB) & -(2 * MB));

	p[MB] = 1;
	zero(p, BLOCK);
	CHECK(map_by(raw, at, SMALL, MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE), fd) == at, "mmap");
	zero(p, BLOCK);
	CHECK(all_zero(p, BLOCK), "a %s file inside a block, mapped %s, is not cleared",
		shared ? "shared" : "private", raw ? "by a raw call" : "by mmap");
	map_by(raw, at, SMALL, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1);
	free(p);
	close(fd);
}

static void check_shared_memory(void)
{
	char *p = map_by(false, NULL, SMALL, MAP_SHARED | MAP_ANONYMOUS, -1);
	int id = shmget(IPC_PRIVATE, SMALL, 0600);
	unsigned char resident[PAGES];
	size_t count = 0;

	zero(p, SMALL);
	CHECK(mincore(p, SMALL, resident) == 0, "mincore");
	for (size_t i = 0; i < PAGES; i++)
		count += resident[i] & 1;
	CHECK_EQUAL(count, PAGES);
	munmap(p, SMALL);
	p = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
	if (p == (void *)-1)
		return;
	shmctl(id, IPC_RMID, NULL);
	memset(p, 3, MB);
	p[5 * MB] = 3;
	zero(p, SMALL);
	CHECK(all_zero(p, SMALL), "a SysV segment is not cleared");
	shmdt(p);
}

/* --- userfaultfd --- */

struct handler {
	int fd;
	size_t asked;
};

/* Supplies pages that are not zero. */
static void *supply(void *argument)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	struct handler *handler = argument;
	struct uffd_msg message;

	for (size_t i = 0; i < sizeof page; i++)
		page[i] = 0x77;
	while (read(handler->fd, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = {
			.dst = message.arg.pagefault.address & -PAGE, .src = (uintptr_t)page, .len = PAGE};

		handler->asked++;
		if (ioctl(handler->fd, UFFDIO_COPY, &copy) != 0 && errno != EEXIST)
			break;
	}
	return NULL;
}

static void check_userfault(int fd, char *p)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {{(uintptr_t)p, SMALL}, UFFDIO_REGISTER_MODE_MISSING, 0};
	struct handler handler = {.fd = fd};
	pthread_t thread;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &range) != 0)
		return;
	CHECK(pthread_create(&thread, NULL, supply, &handler) == 0, "pthread_create");
	zero(p + 100, SMALL - 200);
	CHECK(p[0] == 0x77 && p[SMALL - 1] == 0x77, "a page that the handler supplies holds %d", p[0]);
	CHECK(all_zero(p + 100, SMALL - 200), "what the handler supplied is not cleared");
	CHECK_EQUAL(handler.asked, PAGES);
}

static void check_userfault_by_number(void)
{
	char *p = map_private(SMALL);

	zero(p, SMALL);
	madvise(p, SMALL, MADV_DONTNEED);
	check_userfault((int)syscall(SYS_userfaultfd, O_CLOEXEC), p);
}

static void check_userfault_by_device(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	/* The C library may serve it from its heap, and touch it. */
	char *p = (char *)(((uintptr_t)calloc(1, SMALL + PAGE) + PAGE - 1) & -PAGE);

	madvise(p, SMALL, MADV_DONTNEED);
	if (device >= 0)
		check_userfault(ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC), p);
}

/* --- locks and keys --- */

static void check_onfault(void)
{
	char *p = map_private(SMALL);

	if (mlock2(p, SMALL, 1 /* MLOCK_ONFAULT */) != 0)
		return;
	zero(p, SMALL);
	CHECK_EQUAL(present_pages(p, SMALL), PAGES);
}

static void check_mlock(void)
{
	char *p = map_private(SMALL);

	p[MB] = 1;
	if (mlock(p, SMALL) != 0)
		return;
	zero(p, SMALL);
	CHECK_EQUAL(present_pages(p, SMALL), PAGES);
	CHECK(all_zero(p, SMALL), "locked memory");
}

static void check_mlockall(void)
{
	char *p = map_private(SMALL);

	if (mlockall(4 /* MCL_ONFAULT */ | MCL_CURRENT | MCL_FUTURE) != 0)
		return;
	zero(p, SMALL);
	CHECK_EQUAL(present_pages(p, SMALL), PAGES);
	p = map_private(SMALL);
	zero(p, SMALL);
	CHECK_EQUAL(present_pages(p, SMALL), PAGES);
}

static void exit_in_handler(int number)
{
	(void)number;
	_exit(0);
}

/* The child ends well by SIGSEGV: memory whose key forbids writing must not be skipped. */
static void check_key(void)
{
	char *p = map_private(SMALL);
	int key = pkey_alloc(0, 0);

	if (key < 0 || pkey_mprotect(p, SMALL, PROT_READ | PROT_WRITE, key) != 0)
		return;
	pkey_set(key, 2 /* PKEY_DISABLE_WRITE */);
	signal(SIGSEGV, exit_in_handler);
	zero(p, SMALL);
	CHECK(false, "memory that a key forbids to write was cleared");
}

/* --- surroundings --- */

/* Clears memory of which some pages were written. */
static void use_block(const char *where)
{
	char *p = calloc(1, BLOCK);

	for (size_t at = 5; at < BLOCK; at += 16 * PAGE)
		p[at] = 1;
	for (enum name name = 0; name < NAMES; name++) {
		p[(size_t)(name + 1) * MB] = 1;
		zero_by(name, p + 1, BLOCK - 1);
		CHECK(all_zero(p, BLOCK), "%s: name %d", where, name);
	}
	free(p);
	p = map_private(SMALL);
	zero(p, SMALL);
	CHECK(all_zero(p, SMALL), "%s: a mapping", where);
	munmap(p, SMALL);
}

static void close_all(void)
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

static void check_closed_descriptors(void)
{
	close_all();
	use_block("closed descriptors");
}

static void check_no_descriptors(void)
{
	struct rlimit none = {0, 0};

	close_all();
	setrlimit(RLIMIT_NOFILE, &none);
	use_block("RLIMIT_NOFILE 0");
}

static void check_other_descriptors(void)
{
	int fd = make_file();

	for (int at = 3; at < 1024; at++)
		if (at != fd)
			dup2(fd, at);
	use_block("descriptors of another file");
}

static void check_chroot(void)
{
	const char *empty = getenv("PROBE_EMPTY_DIRECTORY");

	close_all();
	if (empty == NULL || chroot(empty) != 0 || chdir("/") != 0)
		return;
	use_block("without /proc");
}

static void check_unprivileged(void)
{
	if (setgid(65534) != 0 || setuid(65534) != 0)
		return;
	use_block("after setuid");
	close_all();
	use_block("after setuid, closed descriptors");
	prctl(PR_SET_DUMPABLE, 0);
	use_block("not dumpable");
}

/* Kills the process for all but these calls. */
static void check_filter(void)
{
#define ALLOW(number)                                                                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_write), ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL)};
	struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
	char *p = map_private(BLOCK);
	int failed_before = probe_status_of_checks();

	p[MB] = p[2 * MB + 1] = 1;
	zero(p, BLOCK);
	p[MB] = p[2 * MB + 1] = 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return;
	for (enum name name = 0; name < NAMES; name++)
		zero_by(name, p, BLOCK);
	CHECK(all_zero(p, BLOCK), "under a seccomp filter");
	munmap(p, BLOCK);
	_exit(failed_before != probe_status_of_checks());
}

static void *use_alone(void *main_thread)
{
	int failed_before = probe_status_of_checks();

	pthread_join(*(pthread_t *)main_thread, NULL);
	use_block("after the main thread has ended");
	close_all();
	use_block("after the main thread has ended, closed descriptors");
	_exit(failed_before != probe_status_of_checks());
}

static void check_ended_main_thread(void)
{
	static pthread_t self;
	pthread_t thread;

	self = pthread_self();
	CHECK(pthread_create(&thread, NULL, use_alone, &self) == 0, "pthread_create");
	/* pthread_exit would unwind into main if this is the main thread's constructor. */
	syscall(SYS_exit, 0);
}

/* A thread with a descriptor table of its own. */
static void *use_own_table(void *unused)
{
	(void)unused;
	if (unshare(CLONE_FILES) == 0)
		close_all();
	use_block("a table of its own");
	return NULL;
}

static void check_own_table(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, use_own_table, NULL) == 0, "pthread_create");
	pthread_join(thread, NULL);
	use_block("another thread's table is its own");
}

void check_plain(void)
{
	static const struct {
		const char *what;
		void (*check)(void);
	} table[] = {{"userfaultfd by number", check_userfault_by_number},
		{"/dev/userfaultfd", check_userfault_by_device}, {"mlock2", check_onfault},
		{"mlock", check_mlock}, {"mlockall", check_mlockall}, {"protection keys", check_key},
		{"closed descriptors", check_closed_descriptors}, {"RLIMIT_NOFILE", check_no_descriptors},
		{"other descriptors", check_other_descriptors}, {"chroot", check_chroot},
		{"setuid", check_unprivileged}, {"seccomp", check_filter},
		{"no main thread", check_ended_main_thread}, {"a table of its own", check_own_table}};

	for (int i = 0; i < 4; i++)
		check_file_inside(i & 1, i & 2);
	check_file(false);
	check_file(true);
	check_shared_memory();
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		in_child_process(table[i].check, table[i].what);
}
