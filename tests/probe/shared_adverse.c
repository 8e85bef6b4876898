/*
 * Shared memory while the program does what a driver could stumble over. Each test prints the same without
 * lazyzero and under `lazyzero run`, but for "descriptors" and "huge" lines, which the script looks at.
 *
 *      shared_adverse file-changes    a memfd is written, punched, truncated and grown at random for 3 s
 *      shared_adverse removal         shared anonymous memory is written and freed (MADV_REMOVE) for 3 s
 *      shared_adverse direct FILE     blocks are buffers of O_DIRECT writes to the file, and of reads from it
 *      shared_adverse spliced         pages are in a pipe (splice, vmsplice), and change there
 *      shared_adverse memlock         RLIMIT_MEMLOCK
 *      shared_adverse fsize           RLIMIT_FSIZE and a memfd
 *      shared_adverse namespaces      unshare(2) and setns(2), and the number of threads
 *      shared_adverse children COUNT  so many short-lived children that each map shared memory
 *      shared_adverse crowded MIB     half of each block, then 48 MiB of private memory
 *      shared_adverse no-room DIR     a file system is filled by a sparse file and another one
 *      shared_adverse orphan FILE     kills its parent, and writes to the file what became of its memory
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared.h"

#define WORK_MS 3000u
#define FILE_PAGES ((size_t)(16 * MIB) / PAGE)

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static unsigned random_below(unsigned limit)
{
	static uint32_t state = 7;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % limit;
}

static int memfd_of(size_t bytes)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		die("memfd");
	return fd;
}

/* --- contents that change under the driver --- */

static unsigned char expected[FILE_PAGES]; /* the first byte of each page */

static void compare(const unsigned char *at, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		if (at[i * PAGE] != expected[i]) {
			printf("page %zu has %d, not %d\n", i, at[i * PAGE], expected[i]);
			exit(1);
		}
}

static void write_some(unsigned char *at, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		at[i * PAGE] = expected[i] = (unsigned char)(1 + random_below(200));
}

static int file_changes(void)
{
	uint64_t until = now_ms() + WORK_MS;
	int fd = memfd_of(FILE_PAGES * PAGE);
	unsigned char *at = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	size_t pages = FILE_PAGES;

	while (now_ms() < until) {
		size_t count = 1 + random_below(600), first;

		if (pages <= count) {
			pages = FILE_PAGES;
			if (ftruncate(fd, (off_t)(pages * PAGE)) != 0)
				die("ftruncate");
		}
		first = random_below((unsigned)(pages - count));
		switch (random_below(8)) {
		case 0:
			memset(expected + first, 0, pages - first);
			pages = first;
			if (ftruncate(fd, (off_t)(pages * PAGE)) != 0)
				die("ftruncate");
			break;
		case 1:
			memset(expected + first, 0, count);
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * PAGE),
				    (off_t)(count * PAGE)) != 0)
				die("fallocate");
			break;
		default:
			write_some(at, first, count);
		}
		compare(at, pages);
	}
	puts("as written");
	return 0;
}

static int removal(void)
{
	uint64_t until = now_ms() + WORK_MS;
	unsigned char *at = (unsigned char *)map_shared(FILE_PAGES * PAGE);

	while (now_ms() < until) {
		size_t count = 1 + random_below(600), first = random_below((unsigned)(FILE_PAGES - count));

		if (random_below(4) == 0) {
			memset(expected + first, 0, count);
			if (madvise(at + first * PAGE, count * PAGE, MADV_REMOVE) != 0)
				die("madvise");
		} else {
			write_some(at, first, count);
		}
		compare(at, FILE_PAGES);
	}
	puts("as written");
	return 0;
}

/* --- pages that others refer to --- */

static int direct(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
	char *at = map_shared(32 * MIB), *copy = at + 16 * MIB;
	uint64_t until = now_ms() + WORK_MS;

	unlink(path);
	if (fd < 0) {
		puts("not available");
		return 0;
	}
	for (unsigned round = 1; now_ms() < until; round++) {
		size_t length = BLOCK, offset = random_below(8) * BLOCK;

		for (size_t i = 0; i < length; i += PAGE)
			at[offset + i] = (char)(round + i / PAGE);
		if (pwrite(fd, at + offset, length, (off_t)offset) != (ssize_t)length ||
			pread(fd, copy + offset, length, (off_t)offset) != (ssize_t)length)
			die("O_DIRECT");
		if (memcmp(at + offset, copy + offset, length) != 0) {
			printf("block %zu was not read as it was written\n", offset / BLOCK);
			return 1;
		}
	}
	puts("read as written");
	return 0;
}

/* What is in the pipe is the page, not a copy: it shows what is written later. */
static int spliced(void)
{
	int fd = memfd_of(32 * MIB), ends[2];
	char *at = map_shared(32 * MIB),
	     *file = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct iovec part = {at + 4 * MIB, PAGE};
	loff_t offset = 4 * MIB;
	char page[PAGE];

	if (pipe(ends) != 0)
		die("pipe");
	fill(at, 32 * MIB, PAGE);
	fill(file, 32 * MIB, PAGE);
	if (vmsplice(ends[1], &part, 1, 0) != (ssize_t)PAGE ||
		splice(fd, &offset, ends[1], NULL, PAGE, 0) != (ssize_t)PAGE)
		die("splice");
	pause_ms(2500);
	at[4 * MIB] = file[4 * MIB] = 111;
	for (int i = 0; i < 2; i++) {
		if (read(ends[0], page, PAGE) != (ssize_t)PAGE)
			die("read");
		printf("%d\n", page[0]);
	}
	at[4 * MIB] = file[4 * MIB] = (char)(1 + 4 * MIB / PAGE % 100);
	check(at, 32 * MIB, PAGE);
	check(file, 32 * MIB, PAGE);
	return 0;
}

/* --- limits and namespaces --- */

static int memlock(void)
{
	const struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};
	char *at = map_shared(32 * MIB);

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		die("setrlimit");
	if (geteuid() == 0 && setuid(65534) != 0) /* root has CAP_IPC_LOCK */
		die("setuid");
	fill(at, 32 * MIB, PAGE);
	printf("all %s\n", outcome(mlock(at, 32 * MIB) != 0));
	printf("a part %s\n", outcome(mlock(at, MIB / 2) != 0));
	printf("the rest %s\n", outcome(mlock(at + MIB / 2, 2 * MIB) != 0));
	printf("everything %s\n", outcome(mlockall(MCL_CURRENT) != 0));
	pause_ms(1500);
	check(at, 32 * MIB, PAGE);
	printf("locked %ld\n", value_of("/proc/self/status", 0, "VmLck:"));
	return 0;
}

static int fsize(void)
{
	const struct rlimit limit = {.rlim_cur = 32 * MIB, .rlim_max = 32 * MIB};
	char *at, *file;
	int fd;

	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		die("setrlimit");
	signal(SIGXFSZ, SIG_IGN);
	fd = memfd_of(32 * MIB);
	at = map_shared(64 * MIB);
	file = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(at, 64 * MIB, PAGE);
	fill(file, 32 * MIB, PAGE);
	pause_ms(1500);
	check(at, 64 * MIB, PAGE);
	check(file, 32 * MIB, PAGE);
	printf("grown %s\n", outcome(ftruncate(fd, 33 * MIB) != 0));
	return 0;
}

static int namespaces(void)
{
	static const struct {
		const char *name;
		int flag;
	} kinds[] = {{"ipc", CLONE_NEWIPC}, {"mnt", CLONE_NEWNS}, {"net", CLONE_NEWNET},
		{"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER}};
	int id = shmget(IPC_PRIVATE, 32 * MIB, 0600),
	    original = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	char *at = map_shared(32 * MIB), *segment = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	fill(at, 32 * MIB, PAGE);
	fill(segment, 32 * MIB, PAGE);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		printf("unshare %s %s\n", kinds[i].name, outcome(unshare(kinds[i].flag) != 0));
		if (i == 0) {
			id = shmget(IPC_PRIVATE, 16 * MIB, 0600);
			printf("another segment %s\n", outcome(shmat(id, NULL, 0) == (void *)-1));
			shmctl(id, IPC_RMID, NULL);
			printf("setns %s\n", outcome(setns(original, CLONE_NEWIPC) != 0));
		}
		fill(map_shared(16 * MIB), 16 * MIB, PAGE);
	}
	pause_ms(1500);
	check(at, 32 * MIB, PAGE);
	check(segment, 32 * MIB, PAGE);
	printf("threads %ld\n", value_of("/proc/self/status", 0, "Threads:"));
	return 0;
}

/* --- processes --- */

static int descriptors_of_parent(void)
{
	char path[64];
	DIR *directory;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%ld/fd", (long)getppid());
	directory = opendir(path);
	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

static int children(unsigned count)
{
	char *at = map_shared(32 * MIB);
	unsigned failures = 0;
	int before, status;

	fill(at, 32 * MIB, PAGE);
	pause_ms(500);
	before = descriptors_of_parent();
	for (unsigned i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0) {
			int id = shmget(IPC_PRIVATE, 16 * MIB, 0600);
			char *own = map_shared(16 * MIB), *segment = shmat(id, NULL, 0);

			shmctl(id, IPC_RMID, NULL);
			own[PAGE] = segment[PAGE] = at[PAGE];
			mmap(NULL, 16 * MIB, PROT_READ, MAP_SHARED, memfd_of(16 * MIB), 0);
			_exit(own[PAGE] != segment[PAGE] || own[0] != 0);
		}
		failures += child < 0 || waitpid(child, &status, 0) != child || status != 0;
	}
	printf("%u of %u children failed\n", failures, count);
	pause_ms(2500);
	printf("descriptors: %d more\n", descriptors_of_parent() - before);
	at = map_shared(32 * MIB);
	fill(at, 32 * MIB, PAGE);
	pause_ms(2500);
	printf("%ld MiB huge\n", huge_mib(at, 32 * MIB));
	return 0;
}

static int orphan(const char *path)
{
	char *at = map_shared(64 * MIB);
	FILE *file;

	fill(at, 32 * MIB, PAGE);
	pause_ms(300); /* in the middle of it */
	kill(getppid(), SIGKILL);
	pause_ms(100);
	fill(at, 64 * MIB, PAGE);
	check(at, 64 * MIB, PAGE);
	fill(map_shared(64 * MIB), 64 * MIB, PAGE);
	if (madvise(at, BLOCK, MADV_REMOVE) != 0 || at[0] != 0)
		return 1;
	for (size_t i = BLOCK; i < 64 * MIB; i += PAGE)
		if (at[i] != (char)(1 + i / PAGE % 100))
			return 1;
	file = fopen(path, "w");
	if (file == NULL)
		die(path);
	fputs("alive\n", file);
	return fclose(file);
}

/* --- room --- */

static void fill_halves(char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += BLOCK)
		fill(at + i, BLOCK / 2, PAGE);
}

static int crowded(size_t bytes)
{
	char *at = map_shared(bytes), *own;

	fill_halves(at, bytes);
	pause_ms(3000);
	own = mmap(NULL, 48 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(own, 48 * MIB, PAGE);
	check(own, 48 * MIB, PAGE);
	puts("room enough");
	return 0;
}

static int no_room(const char *directory)
{
	static char block[64 << 10];
	char path[4096];
	ssize_t written;
	size_t sum = 0;
	char *at;
	int fd;

	snprintf(path, sizeof path, "%s/sparse", directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 32 * MIB) != 0)
		die(path);
	at = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill_halves(at, 32 * MIB);
	pause_ms(2500);
	snprintf(path, sizeof path, "%s/other", directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while ((written = write(fd, block, sizeof block)) > 0)
		sum += (size_t)written;
	printf("%zu KiB, then %s\n", sum / 1024, outcome(written < 0));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : NULL;

	setbuf(stdout, NULL);
	if (strcmp(what, "file-changes") == 0)
		return file_changes();
	if (strcmp(what, "removal") == 0)
		return removal();
	if (strcmp(what, "spliced") == 0)
		return spliced();
	if (strcmp(what, "memlock") == 0)
		return memlock();
	if (strcmp(what, "fsize") == 0)
		return fsize();
	if (strcmp(what, "namespaces") == 0)
		return namespaces();
	if (argument == NULL)
		return 2;
	if (strcmp(what, "direct") == 0)
		return direct(argument);
	if (strcmp(what, "children") == 0)
		return children((unsigned)atoi(argument));
	if (strcmp(what, "crowded") == 0)
		return crowded((size_t)atoi(argument) * MIB);
	if (strcmp(what, "no-room") == 0)
		return no_room(argument);
	if (strcmp(what, "orphan") == 0)
		return orphan(argument);
	return 2;
}
