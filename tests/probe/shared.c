/*
 * Shared memory of a program, and what `lazyzero run` does with it (LAZYZERO_SHARED).
 *
 *      shared compare            mmap, memfd, shmat, fork, mremap, MADV_REMOVE; prints results, which must
 *                                be the same with and without the library
 *      shared placed             prints "aligned" or "elsewhere" for each kind of mapping
 *      shared huge MIB           maps shared anonymous memory, prints how much of it is huge
 *      shared several MIB        maps MIB and a page, 8 times
 *      shared fill MIB           fills it, waits until it is huge, prints the page tables of 3 children
 *      shared sparse MIB         writes a page in each block, waits 2 s, prints how many pages exist
 *      shared punch MIB          fills it, frees a page of each block, waits 2 s, prints how many pages exist
 *      shared restrict HOW       fills 32 MiB after HOW was done with it, waits 2 s, prints how much is huge
 *      shared release MIB        fills, unmaps, and prints in how many ms the memory is free again
 *      shared limited            under RLIMIT_FSIZE
 *      shared segment MIB        a segment with 2 attachments; prints how much became huge and shm_nattch
 *      shared file PATH MIB HOW  fills a file there (HOW: full, or a half of each block), prints what is huge
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared.h"

#define PATIENCE_MS 20000

static size_t resident_pages(char *at, size_t bytes)
{
	static unsigned char present[(256 * MIB) / PAGE];
	size_t count = 0;

	if (syscall(SYS_mincore, at, bytes, present) != 0)
		die("mincore");
	for (size_t i = 0; i < bytes / PAGE; i++)
		count += present[i] & 1;
	return count;
}

/* --- compare --- */

static void compare_mapping(const char *name, char *at, size_t bytes)
{
	unsigned char byte;
	char *moved;
	pid_t child;
	int status;

	printf("%s\n", name);
	fill(at, bytes, PAGE);
	child = fork();
	if (child == 0) {
		check(at, bytes, PAGE);
		at[1] = 42;
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("child %d, its write %d\n", status, at[1]);
	moved = mremap(at, bytes, bytes + BLOCK, MREMAP_MAYMOVE);
	printf("grown %s\n", outcome(moved == MAP_FAILED));
	if (moved == MAP_FAILED)
		exit(1);
	child = fork();
	if (child == 0) {
		moved[bytes] = 1; /* beyond the object */
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("beyond %s\n", WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "nothing");
	at = moved;
	printf("remove %s\n", outcome(madvise(at + BLOCK, PAGE, MADV_REMOVE) != 0));
	printf("gone %d, beside %d\n", at[BLOCK], at[BLOCK + PAGE]);
	printf("dontneed %s, kept %d\n", outcome(madvise(at, PAGE, MADV_DONTNEED) != 0), at[1]);
	printf("free %s\n", outcome(madvise(at, PAGE, MADV_FREE) != 0));
	printf("wipeonfork %s\n", outcome(madvise(at, PAGE, MADV_WIPEONFORK) != 0));
	printf("msync %s\n", outcome(msync(at, PAGE, MS_SYNC) != 0));
	printf("mprotect %s\n", outcome(mprotect(at, PAGE, PROT_READ) != 0));
	printf("exec %s\n", outcome(mprotect(at, PAGE, PROT_READ | PROT_EXEC) != 0));
	printf("back %s\n", outcome(mprotect(at, PAGE, PROT_READ | PROT_WRITE) != 0));
	printf("mlock %s\n", outcome(mlock(at, PAGE) != 0));
	printf("mincore %s, ", outcome(mincore(at, PAGE, &byte) != 0));
	printf("%d\n", byte & 1);
	at = mremap(moved, 0, bytes, MREMAP_MAYMOVE);
	printf("a second mapping %s, %d\n", outcome(at == MAP_FAILED), at == MAP_FAILED ? 0 : at[PAGE]);
	printf("unmapped %s\n", outcome(munmap(moved + BLOCK, BLOCK) != 0));
	printf("there %d\n", moved[0]);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 512; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int compare(void)
{
	static const struct {
		const char *name;
		int flags, protection;
	} rows[] = {{"plain", 0, PROT_READ | PROT_WRITE},
		{"noreserve", MAP_NORESERVE, PROT_READ | PROT_WRITE},
		{"populated", MAP_POPULATE, PROT_READ | PROT_WRITE}, {"none", 0, PROT_NONE},
		{"executable", 0, PROT_READ | PROT_WRITE | PROT_EXEC},
		{"validate", MAP_SHARED_VALIDATE, PROT_READ}};
	int before = count_descriptors(), fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING), id;
	char *at;

	compare_mapping("anonymous", map_shared(32 * MIB), 32 * MIB);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		at = mmap(NULL, 20 * MIB + 1, rows[i].protection, MAP_SHARED | MAP_ANONYMOUS | rows[i].flags,
			-1, 0);
		printf("%s: %s\n", rows[i].name, outcome(at == MAP_FAILED));
	}
	at = mmap(NULL, (size_t)1 << 46, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("more than there is: %s\n", outcome(at == MAP_FAILED));
	at = mmap(NULL, 16 * MIB, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, 77, 4096);
	printf("a descriptor and an offset are ignored: %s\n", outcome(at == MAP_FAILED));
	printf("misaligned offset: %s\n",
		outcome(mmap(NULL, 16 * MIB, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 1) == MAP_FAILED));
	at = map_shared(16 * MIB);
	printf("fixed: %s\n", outcome(mmap(at + BLOCK, 16 * MIB - BLOCK, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at + BLOCK));
	if (fd < 0 || ftruncate(fd, 64 * MIB) != 0)
		die("memfd");
	at = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(3 * MIB));
	compare_mapping("memfd", at, 32 * MIB);
	printf("lease %s\n", outcome(fcntl(fd, F_SETLEASE, F_RDLCK) != 0));
	printf("flock %s\n", outcome(flock(fd, LOCK_EX | LOCK_NB) != 0));
	printf("sealed while mapped: %s\n", outcome(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0));
	printf("sealed against growing: %s\n", outcome(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) != 0));
	printf("read-only descriptor: %s\n",
		outcome(mmap(NULL, 16 * MIB, PROT_WRITE, MAP_SHARED, 99, 0) == MAP_FAILED));
	id = shmget(IPC_PRIVATE, 32 * MIB, 0600);
	if (id < 0)
		die("shmget");
	at = shmat(id, NULL, 0);
	printf("shmat %s\n", outcome(at == (void *)-1));
	shmctl(id, IPC_RMID, NULL);
	fill(at, 32 * MIB, PAGE);
	check(at, 32 * MIB, PAGE);
	printf("shmdt %s\n", outcome(shmdt(at) != 0));
	printf("shmat of no segment: %s\n", outcome(shmat(id, NULL, 0) == (void *)-1));
	close(fd);
	printf("descriptors: %d more\n", count_descriptors() - before);
	return 0;
}

/* --- placement --- */

static void print_placed(const char *name, const void *at, size_t offset)
{
	size_t residue = ((uintptr_t)at - offset) % BLOCK;

	if (residue == 0)
		printf("%s aligned\n", name);
	else
		printf("%s elsewhere\n", name);
}

static int placed(void)
{
	int fd = memfd_create("probe", 0), other = open("/proc/self/exe", O_RDONLY);
	int id = shmget(IPC_PRIVATE, 8 * MIB, 0600);
	char *taken = mmap(NULL, 32 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;

	/* Of three in a row the kernel aligns at most one by chance. */
	for (int i = 0; i < 3; i++) {
		print_placed("anonymous",
			mmap(NULL, 8 * MIB + PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 0);
		if (mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			die("mmap");
	}
	if (ftruncate(fd, 16 * MIB) != 0)
		die("ftruncate");
	print_placed("memfd", mmap(NULL, 8 * MIB, PROT_READ, MAP_SHARED, fd, 5 * PAGE), 5 * PAGE);
	print_placed("segment", shmat(id, NULL, 0), 0);
	shmctl(id, IPC_RMID, NULL);
	at = mmap(taken + PAGE, 8 * MIB, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	printf("fixed %s\n", at == taken + PAGE ? "as asked" : "elsewhere");
	munmap(taken + 16 * MIB, 16 * MIB);
	at = mmap(taken + 16 * MIB + PAGE, 8 * MIB, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("hint %s\n", at == taken + 16 * MIB + PAGE ? "as asked" : "elsewhere");
	close(other);
	return 0;
}

/* --- driven --- */

static void wait_until_huge(char *at, size_t bytes)
{
	for (unsigned waited = 0; waited < PATIENCE_MS; waited += 100) {
		if (huge_mib(at, bytes) >= (long)(bytes / MIB))
			return;
		pause_ms(100);
	}
}

static int filled(size_t bytes)
{
	char *at = map_shared(bytes), *results = map_shared(PAGE);
	long *tables = (long *)(void *)results;

	fill(at, bytes, PAGE);
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			wait_until_huge(at, bytes);
			check(at, bytes, PAGE);
			tables[i] = value_of("/proc/self/status", 0, "VmPTE:");
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	check(at, bytes, PAGE);
	printf("%ld of %zu MiB huge, page tables of the children %ld KiB\n", huge_mib(at, bytes), bytes / MIB,
		tables[0] + tables[1] + tables[2]);
	return 0;
}

static int sparse(size_t bytes, bool punch)
{
	char *at = map_shared(bytes);

	if (punch) {
		fill(at, bytes, PAGE);
		for (size_t i = 0; i < bytes; i += BLOCK)
			if (madvise(at + i + PAGE, PAGE, MADV_REMOVE) != 0)
				die("madvise");
	} else {
		fill(at, bytes, BLOCK);
	}
	pause_ms(2000);
	printf("%zu pages\n", resident_pages(at, bytes));
	check(at, bytes, BLOCK);
	return 0;
}

/* As libnuma declares it. Only the library, or libnuma, defines it. */
__attribute__((weak)) extern long mbind(void *address, unsigned long length, int mode,
	const unsigned long *nodes, unsigned long nodes_max, unsigned flags);

static long prefer_first_node(char *at, size_t bytes)
{
	const unsigned long first = 1;
	const int preferred = 1; /* MPOL_PREFERRED */

	if (mbind != NULL)
		return mbind(at, bytes, preferred, &first, 8 * sizeof first, 0);
	return syscall(SYS_mbind, at, bytes, preferred, &first, 8 * sizeof first, 0);
}

/* For a moment: page faults would otherwise wait for an answer. */
static bool give_to_userfaultfd(char *at, size_t bytes)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {(uintptr_t)at, bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0 &&
	       close(fd) == 0;
}

static int restricted(const char *how)
{
	size_t bytes = 32 * MIB;
	char *at = map_shared(bytes);
	bool failed = false;

	if (strcmp(how, "mlock") == 0)
		failed = mlock(at, bytes) != 0;
	else if (strcmp(how, "mlockall") == 0)
		failed = mlockall(MCL_CURRENT) != 0;
	else if (strcmp(how, "nohugepage") == 0)
		failed = madvise(at, bytes, MADV_NOHUGEPAGE) != 0;
	else if (strcmp(how, "mbind") == 0)
		failed = prefer_first_node(at, bytes) != 0;
	else if (strcmp(how, "userfaultfd") == 0)
		failed = !give_to_userfaultfd(at, bytes);
	else if (strcmp(how, "nothing") != 0)
		return 2;
	if (failed && errno == ENOSYS) {
		puts("not available");
		return 0;
	}
	if (failed)
		die(how);
	fill(at, bytes, PAGE);
	pause_ms(2000);
	printf("%ld MiB huge\n", huge_mib(at, bytes));
	return 0;
}

static int released(size_t bytes)
{
	char *at = map_shared(bytes);
	long before;
	unsigned waited = 0;

	pause_ms(500); /* the driver has it now */
	fill(at, bytes, PAGE);
	before = value_of("/proc/meminfo", 0, "Shmem:");
	munmap(at, bytes);
	while (value_of("/proc/meminfo", 0, "Shmem:") > before - (long)(bytes / 1024 / 2) &&
		waited < PATIENCE_MS) {
		pause_ms(1);
		waited++;
	}
	printf("%u ms\n", waited);
	return waited < PATIENCE_MS ? 0 : 1;
}

static int limited(void)
{
	const struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};
	char *at;

	signal(SIGXFSZ, SIG_DFL);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		die("setrlimit");
	at = map_shared(64 * MIB);
	fill(at, 64 * MIB, PAGE);
	check(at, 64 * MIB, PAGE);
	puts("filled");
	return 0;
}

static int segment(size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, 0600);
	char *at = shmat(id, NULL, 0);
	struct shmid_ds status;
	pid_t child;

	if (at == (void *)-1)
		die("shmat");
	fill(at, bytes, PAGE);
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	wait_until_huge(at, bytes);
	printf("%ld of %zu MiB huge\n", huge_mib(at, bytes), bytes / MIB);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	check(at, bytes, PAGE);
	pause_ms(1500);
	for (int i = 0; i < 20; i++, pause_ms(100))
		if (shmctl(id, IPC_STAT, &status) != 0 || status.shm_nattch != 1)
			printf("%lu attachments\n", (unsigned long)status.shm_nattch);
	shmctl(id, IPC_RMID, NULL);
	shmdt(at);
	pause_ms(1500);
	printf("afterwards: %s\n", outcome(shmctl(id, IPC_STAT, &status) != 0));
	return 0;
}

static int file(const char *path, size_t bytes, const char *how)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t part = strcmp(how, "full") == 0 ? BLOCK : BLOCK / 2;
	struct stat status;
	char *at;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		die(path);
	/* Before it is mapped: the room that the driver leaves must not depend on what is written later. */
	for (size_t i = 0; i < bytes; i += BLOCK)
		for (size_t page = 0; page < part; page += PAGE)
			if (pwrite(fd, "x", 1, (off_t)(i + page)) != 1)
				die(path);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (part == BLOCK)
		wait_until_huge(at, bytes);
	else
		pause_ms(2500);
	if (stat(path, &status) != 0)
		die(path);
	printf("%zu pages\n", (size_t)status.st_blocks * 512 / PAGE);
	if (part == BLOCK)
		printf("%ld of %zu MiB huge\n", huge_mib(at, bytes), bytes / MIB);
	unlink(path);
	return 0;
}

static int several(size_t bytes)
{
	for (int i = 0; i < 8; i++)
		map_shared(bytes + PAGE);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	size_t bytes = argc > 2 ? (size_t)atol(argv[argc > 3 ? 3 : 2]) * MIB : 0;

	setbuf(stdout, NULL);
	if (strcmp(what, "compare") == 0)
		return compare();
	if (strcmp(what, "placed") == 0)
		return placed();
	if (strcmp(what, "limited") == 0)
		return limited();
	if (argc > 2 && strcmp(what, "restrict") == 0)
		return restricted(argv[2]);
	if (argc > 4 && strcmp(what, "file") == 0)
		return file(argv[2], bytes, argv[4]);
	if (bytes == 0)
		return 2;
	if (strcmp(what, "huge") == 0) {
		printf("%ld MiB huge\n", huge_mib(map_shared(bytes), bytes));
		return 0;
	}
	if (strcmp(what, "fill") == 0)
		return filled(bytes);
	if (strcmp(what, "several") == 0)
		return several(bytes);
	if (strcmp(what, "sparse") == 0 || strcmp(what, "punch") == 0)
		return sparse(bytes, strcmp(what, "punch") == 0);
	if (strcmp(what, "release") == 0)
		return released(bytes);
	if (strcmp(what, "segment") == 0)
		return segment(bytes);
	return 2;
}
