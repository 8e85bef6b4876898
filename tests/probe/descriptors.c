/*
 * Programs that inspect their descriptors or make assumptions about them.
 *
 *      descriptors race       threads allocate near the budget while others fork, and close 0 and open a file
 *      descriptors closed     closefrom, close_range, dup2 onto the library's numbers: the cache still works,
 *                             other files are not touched
 *      descriptors children   fork, vfork, a raw clone, daemon: no child uses a file that shows its parent
 *      descriptors setuid     as root: after setuid the cache asks the kernel as before
 *      descriptors seccomp    under a filter that kills on openat, installed by a raw system call as a parent
 *                             or a service manager would before exec: decisions and reuse still work
 *      descriptors leader     the main thread ends: VmPTE can still be read
 *      descriptors tables     a thread with a table of its own allocates while the first thread does: no
 * files pile up descriptors limit N    under RLIMIT_NOFILE N: the program can use all numbers if N is below
 * 64
 *
 * For runs with the library; without it, the parts that do not need it pass as well.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/raw_syscall.h"

#define MIB ((size_t)1 << 20)
#define HIGHEST 1024
#define KEPT_MOST 4

static int failures;

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			failures++;                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
		}                                                                                            \
	} while (0)

static bool preloaded(void)
{
	return dlsym(RTLD_DEFAULT, "lz_stats") != NULL;
}

/* --- open descriptors --- */

/* The descriptor that the library keeps open of a /proc file with this name ("/pagemap"), or -1. */
static int kept_descriptor(const char *name)
{
	char link[64], target[256];

	for (int fd = HIGHEST - 1; fd >= 3; fd--) {
		ssize_t length;

		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		length = readlink(link, target, sizeof target - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strncmp(target, "/proc/", 6) == 0 && strcmp(strrchr(target, '/'), name) == 0)
			return fd;
	}
	return -1;
}

/* The process whose pagemap a descriptor refers to: the number in /proc/N/pagemap. */
static pid_t pagemap_owner(int fd)
{
	char link[64], target[256];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof target - 1);
	if (length <= 0)
		return -1;
	target[length] = '\0';
	return strncmp(target, "/proc/", 6) == 0 ? atoi(target + 6) : -1;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* --- a call that needs descriptors: a sparse block is freed, and its pages are walked --- */

static void use(size_t bytes)
{
	char *p = calloc(1, bytes);

	if (p == NULL)
		return;
	for (size_t i = 0; i < bytes; i += 100000) {
		if (p[i] != 0)
			failures++;
		p[i] = 1;
	}
	free(p);
}

/* VmPTE as the library reads it now: the fourth member of struct lz_statistics. */
static uint64_t page_table_bytes(void)
{
	static _Thread_local uint64_t statistics[17];
	int (*stats)(void *, size_t);

	*(void **)&stats = dlsym(RTLD_DEFAULT, "lz_stats");
	return stats == NULL ? 1 : stats(statistics, sizeof statistics) != 0 ? UINT64_MAX : statistics[3];
}

/*
 * Whether the library can see the pages of a block; the fourth member of struct lz_region is the resident
 * bytes.
 */
static bool pages_are_visible(void)
{
	static uint64_t info[64];
	int (*region_info)(const void *, void *);
	char *p = calloc(1, 24 * MIB);
	bool told = true;

	*(void **)&region_info = dlsym(RTLD_DEFAULT, "lz_region_info");
	if (p != NULL)
		p[0] = 1;
	if (p != NULL && region_info != NULL)
		told = region_info(p, info) == 0 && info[3] != 0 && info[3] <= 24 * MIB;
	free(p);
	return told;
}

/* --- race --- */

static volatile int stop;
static volatile unsigned long rounds;

static void *allocate(void *argument)
{
	size_t bytes = (uintptr_t)argument;

	while (!stop) {
		use(bytes);
		page_table_bytes(); /* reconciles with maps, reads status */
		rounds++;
	}
	return NULL;
}

static unsigned forks_leaking, forks, wrong, opened;

static void *fork_children(void *argument)
{
	bool *had = argument;

	while (!stop) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			int found = 0;

			/* Descriptor 0 is used by another thread. */
			for (int fd = 3; fd < 64 && found == 0; fd++)
				if (!had[fd] && is_open(fd))
					found = fd;
			_exit(found);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			continue;
		forks++;
		if (status == 0)
			continue;
		forks_leaking++;
	}
	return NULL;
}

static void *close_and_open(void *argument)
{
	(void)argument;
	while (!stop) {
		close(0);
		if (open("/dev/null", O_RDONLY) != 0) {
			wrong++;
			for (int fd; (fd = open("/dev/null", O_RDONLY)) > 0;)
				close(fd);
		}
		opened++;
	}
	return NULL;
}

static void race(void)
{
	static bool had[64];
	pthread_t threads[5];
	const char *seconds = getenv("RACE_SECONDS");

	/* Values that are found once (the budget, the window) are read from files that are opened here. */
	for (int i = 0; i < 3; i++)
		use(24 * MIB);
	use(6 * MIB);
	page_table_bytes();
	for (int fd = 0; fd < 64; fd++)
		had[fd] = is_open(fd);
	pthread_create(&threads[0], NULL, allocate, (void *)(24 * MIB));
	pthread_create(&threads[1], NULL, allocate, (void *)(6 * MIB));
	pthread_create(&threads[2], NULL, fork_children, had);
	pthread_create(&threads[3], NULL, fork_children, had);
	pthread_create(&threads[4], NULL, close_and_open, NULL);
	sleep(seconds != NULL ? (unsigned)atoi(seconds) : 3);
	stop = 1;
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	CHECK(forks_leaking == 0);
	CHECK(wrong == 0);
	CHECK(forks > 20 && opened > 1000 && rounds > (preloaded() ? 20 : 0));
	fprintf(stderr,
		"%u of %u children inherited a low descriptor; %u of %u times open did not give 0; "
		"%lu rounds of allocation\n",
		forks_leaking, forks, wrong, opened, rounds);
}

/* --- closed --- */

static void close_all_from(int first)
{
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
	for (int fd = first; fd < HIGHEST; fd++)
		close(fd);
}

static void closed(void)
{
	static const char *const names[] = {"/pagemap", "/maps", "/status"};
	int numbers[3], file;
	char target[64];

	use(24 * MIB);
	for (int i = 0; i < 3; i++) {
		numbers[i] = kept_descriptor(names[i]);
		CHECK(!preloaded() || numbers[i] >= HIGHEST - 70);
		CHECK(!preloaded() || (fcntl(numbers[i], F_GETFD) & FD_CLOEXEC));
	}
	CHECK(!is_open(3));

	/*
	 * The descriptors were closed: they are opened again at high numbers, and the lowest number stays
	 * free.
	 */
	close_all_from(3);
	CHECK(kept_descriptor("/pagemap") == -1);
	CHECK(pages_are_visible());
	CHECK(page_table_bytes() != UINT64_MAX);
	CHECK(!is_open(3));
	for (int i = 0; i < 3; i++)
		CHECK(!preloaded() || kept_descriptor(names[i]) >= HIGHEST - 70);

	/* Another file at the library's numbers is not read, moved or closed. */
	file = memfd_create("theirs", 0);
	CHECK(write(file, "theirs, all of it", 17) == 17);
	lseek(file, 7, SEEK_SET);
	for (int i = 0; i < 3; i++) {
		numbers[i] = preloaded() ? kept_descriptor(names[i]) : 1000 + i;
		CHECK(dup2(file, numbers[i]) == numbers[i]);
	}
	for (int i = 0; i < 3; i++) {
		CHECK(pages_are_visible());
		CHECK(page_table_bytes() != UINT64_MAX);
	}
	for (int i = 0; i < 3; i++)
		CHECK(is_open(numbers[i]) && lseek(numbers[i], 0, SEEK_CUR) == 7);
	for (int i = 0; i < 3; i++) {
		ssize_t length;
		char link[64];

		snprintf(link, sizeof link, "/proc/self/fd/%d", numbers[i]);
		length = readlink(link, target, sizeof target - 1);
		target[length > 0 ? length : 0] = '\0';
		CHECK(strstr(target, "theirs") != NULL);
		CHECK(!preloaded() || kept_descriptor(names[i]) != -1);
	}
	/* Descriptors do not accumulate. */
	for (int round = 0; round < 50; round++) {
		int open_now = 0;

		close_all_from(3);
		use(24 * MIB);
		pages_are_visible();
		page_table_bytes();
		for (int fd = 3; fd < HIGHEST; fd++)
			open_now += is_open(fd);
		CHECK(open_now <= KEPT_MOST);
	}
}

/* --- children --- */

/* In a child of `parent`, after use: any file that shows a process shows this one. */
static int check_child_descriptors(pid_t parent)
{
	static const char *const names[] = {"/pagemap", "/maps", "/status"};

	use(24 * MIB);
	if (!pages_are_visible() || page_table_bytes() == UINT64_MAX)
		return 1;
	if (preloaded() && kept_descriptor("/pagemap") == -1)
		return 2;
	for (int i = 0; i < 3; i++) {
		int fd = kept_descriptor(names[i]);

		if (fd >= 0 && pagemap_owner(fd) == parent)
			return 3;
	}
	/* No other descriptor shows the parent. */
	for (int fd = 3; fd < HIGHEST; fd++)
		if (is_open(fd) && pagemap_owner(fd) == parent)
			return 4;
	return failures != 0 ? 5 : 0;
}

static int status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		continue;
	return status;
}

static void children(void)
{
	pid_t self = getpid(), pid;
	int pagemap, ends[2], ended = -1;

	use(24 * MIB);
	pages_are_visible();
	pagemap = kept_descriptor("/pagemap");
	pid = fork();
	if (pid == 0)
		_exit(check_child_descriptors(self));
	CHECK(status_of(pid) == 0);
	/* A grandchild. */
	pid = fork();
	if (pid == 0) {
		pid_t middle = getpid();

		use(24 * MIB);
		pid = fork();
		if (pid == 0)
			_exit(check_child_descriptors(middle));
		_exit(status_of(pid) != 0);
	}
	CHECK(status_of(pid) == 0);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(check_child_descriptors(self));
	CHECK(status_of(pid) == 0);
	/* The child of vfork closes all descriptors; the parent keeps its own. */
	pid = vfork();
	if (pid == 0) {
		close_all_from(3);
		use(24 * MIB);
		page_table_bytes();
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
	CHECK(kept_descriptor("/pagemap") == pagemap);
	CHECK(!is_open(3));
	CHECK(pages_are_visible() && page_table_bytes() != UINT64_MAX);
	CHECK(kept_descriptor("/pagemap") == pagemap);
	/* A daemon. */
	CHECK(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		pid_t before = getpid();

		if (daemon(1, 1) == 0) {
			ended = check_child_descriptors(before) != 0 || check_child_descriptors(self) != 0;
			(void)!write(ends[1], &ended, sizeof ended);
		}
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
	close(ends[1]);
	CHECK(read(ends[0], &ended, sizeof ended) == sizeof ended && ended == 0);
	close(ends[0]);
}

/* --- fewer privileges --- */

static void after_setuid(void)
{
	if (geteuid() != 0) {
		puts("skipped: setuid needs root");
		exit(77);
	}
	use(24 * MIB);
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	/* Otherwise this test proves nothing. */
	CHECK(open("/proc/self/pagemap", O_RDONLY) == -1 && errno == EACCES);
	for (int i = 0; i < 3; i++) {
		use(24 * MIB);
		CHECK(pages_are_visible());
		CHECK(page_table_bytes() != UINT64_MAX);
	}
}

/* Not by prctl(2), which the library interposes: it would stop serving, see seccomp_filter.c. */
static bool install_filter(struct sock_fprog *program)
{
#ifdef LZ_HAVE_RAW_SYSCALL
	return lz_raw_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)program, 0, 0, 0) == 0;
#else
	(void)program;
	return false;
#endif
}

static void kill_on_open(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#ifdef SYS_open
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !install_filter(&program)) {
		puts("skipped: no seccomp filters here, or no raw system calls on this architecture");
		exit(77);
	}
}

static void under_seccomp(void)
{
	pid_t pid;

	use(24 * MIB);
	use(6 * MIB);
	page_table_bytes();
	kill_on_open();
	/* Otherwise this test proves nothing. */
	pid = fork();
	if (pid == 0) {
		(void)!syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY, 0);
		_exit(0);
	}
	CHECK(WIFSIGNALED(status_of(pid)));
	for (int i = 0; i < 5; i++) {
		use(24 * MIB);
		use(6 * MIB);
		CHECK(page_table_bytes() != UINT64_MAX);
	}
	CHECK(preloaded() ? pages_are_visible() : true);
}

/* --- the main thread ends --- */

static void *check_after_main_thread(void *argument)
{
	(void)argument;
	usleep(100000);
	for (int i = 0; i < 3; i++) {
		use(24 * MIB);
		CHECK(pages_are_visible());
		CHECK(page_table_bytes() != UINT64_MAX && page_table_bytes() != 0);
	}
	CHECK(!is_open(3));
	exit(failures != 0);
	return NULL;
}

static void end_main_thread(void)
{
	pthread_t thread;

	use(24 * MIB);
	pthread_create(&thread, NULL, check_after_main_thread, NULL);
	pthread_exit(NULL);
}

/* --- limits --- */

static void under_limit(int limit)
{
	int open_now = 0, ours = 0, got = 0;

	/* The test may inherit descriptors. */
	for (int fd = 3; fd < HIGHEST; fd++) {
		bool is_ours = is_open(fd) && pagemap_owner(fd) == getpid();

		open_now += is_open(fd) && fd < limit;
		ours += is_ours;
		CHECK(!is_ours || (fd >= limit / 2 && fd < limit));
	}
	CHECK(!preloaded() || ours == (limit < 64 ? 0 : 3));
	use(24 * MIB);
	CHECK(pages_are_visible());
	CHECK(page_table_bytes() != UINT64_MAX);
	/* The program uses all others. */
	while (dup(1) >= 0)
		got++;
	CHECK(errno == EMFILE && got == limit - 3 - open_now);
	/* Requests still succeed with no descriptor left. */
	for (int i = 0; i < 3; i++)
		use(24 * MIB);
	page_table_bytes();
}

/* --- a thread with descriptors of its own --- */

static void *use_private_table(void *unused)
{
	if (unshare(CLONE_FILES) != 0)
		return unused;
	for (int i = 0; i < 200; i++) {
		close_all_from(3);
		use(24 * MIB);
		page_table_bytes();
	}
	return unused;
}

/* Both threads go on; neither opens files again and again because the other does not have them. */
static void private_tables(void)
{
	pthread_t thread;
	int open_now = 0;

	use(24 * MIB);
	pthread_create(&thread, NULL, use_private_table, NULL);
	for (int i = 0; i < 200; i++) {
		use(24 * MIB);
		page_table_bytes();
	}
	pthread_join(thread, NULL);
	for (int fd = 3; fd < HIGHEST; fd++)
		open_now += is_open(fd) && pagemap_owner(fd) == getpid();
	CHECK(open_now <= 2 * KEPT_MOST);
}

int main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "";

	if (strcmp(part, "race") == 0)
		race();
	else if (strcmp(part, "closed") == 0)
		closed();
	else if (strcmp(part, "children") == 0)
		children();
	else if (strcmp(part, "setuid") == 0)
		after_setuid();
	else if (strcmp(part, "seccomp") == 0)
		under_seccomp();
	else if (strcmp(part, "leader") == 0)
		end_main_thread();
	else if (strcmp(part, "tables") == 0)
		private_tables();
	else if (strcmp(part, "limit") == 0 && argc > 2)
		under_limit(atoi(argv[2]));
	else
		return 2;
	return failures != 0;
}
