/*
 * A program of large blocks and mappings that says how each step went, and a launcher that has the kernel
 * refuse one system call to it: always, by a seccomp filter that also binds the program's own calls.
 *
 *  denied run                  the program; "WRONG ..." and status 1 where memory does not hold what it
 * should denied nothing              starts and ends denied lowered N            the program, when no
 * descriptor of N and more can be opened denied crowded N            the program, when but N mappings are
 * left of vm.max_map_count denied CASE ERRNO ARGUMENT  the filter, then this program with the argument denied
 * CASE ERRNO -- PROGRAM [ARGUMENT]...  the filter, then another program denied cases                the names
 * of the cases, one a line
 *
 * Steps say "done" or the error; calls that only advise say nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
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
#include <unistd.h>

#define MB ((size_t)1 << 20)
#define SCAN_REQUEST 0xc0606610u /* PAGEMAP_SCAN */
#define COLLAPSE 25

static int status;

static void say(const char *step, bool done, int error)
{
	printf("%s: %s\n", step, done ? "done" : strerrorname_np(error));
}

static void expect_byte(const char *step, const char *p, size_t at, char expected)
{
	if (p[at] == expected)
		return;
	printf("WRONG: %s: byte %zu is %d\n", step, at, p[at]);
	status = 1;
}

static void expect_zero(const char *step, const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += 4096)
		expect_byte(step, p, i + i / 4096 % 4096, 0);
}

static void mark(char *p, size_t size)
{
	for (size_t i = 0; i < size; i += MB / 2)
		p[i] = (char)(i / MB + 1);
}

static void expect_marked(const char *step, const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += MB / 2)
		expect_byte(step, p, i, (char)(i / MB + 1));
}

static void blocks(void)
{
	for (int round = 0; round < 3; round++) {
		char *p = calloc(1, 48 * MB), *q;

		say("calloc", p != NULL, errno);
		if (p == NULL)
			continue;
		expect_zero("calloc", p, 0, 48 * MB);
		mark(p, 48 * MB);
		q = realloc(p, 100 * MB);
		say("realloc up", q != NULL, errno);
		p = q != NULL ? q : p;
		expect_marked("realloc up", p, 48 * MB);
		q = realloc(p, 40 * MB);
		say("realloc down", q != NULL, errno);
		p = q != NULL ? q : p;
		expect_marked("realloc down", p, 40 * MB);
		free(p);
	}
}

static void mappings(void)
{
	size_t size = 16 * MB;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
	bool unmapped;

	say("mmap", p != MAP_FAILED, errno);
	if (p == MAP_FAILED)
		return;
	expect_zero("mmap", p, 0, size);
	mark(p, size);
	if (madvise(p + 8 * MB, 4 * MB, MADV_DONTNEED) == 0)
		expect_zero("DONTNEED", p, 8 * MB, 12 * MB);
	mark(p, size);
	q = mremap(p, size, 24 * MB, MREMAP_MAYMOVE);
	say("mremap", q != MAP_FAILED, errno);
	if (q != MAP_FAILED) {
		p = q;
		expect_zero("mremap", p, size + MB, 24 * MB);
		expect_marked("mremap", p, size);
		size = 24 * MB;
	}
	if (mprotect(p + MB, MB, PROT_READ) == 0)
		expect_marked("mprotect", p, 16 * MB);
	unmapped = munmap(p, size) == 0;
	say("munmap", unmapped, errno);
}

/* Neighbours of different protection are not merged: each page is a mapping. */
static int crowd(unsigned long left)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	char line[32] = "";
	unsigned long used = 0,
		      most = file != NULL && fgets(line, sizeof line, file) ? strtoul(line, NULL, 10) : 0;
	char *p;

	if (file != NULL)
		fclose(file);
	file = fopen("/proc/self/maps", "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		used += strchr(line, '\n') != NULL;
	if (file != NULL)
		fclose(file);
	if (most == 0 || most > 1000000) {
		fprintf(stderr, "skipped: vm.max_map_count is %lu\n", most);
		return 77;
	}
	p = mmap(NULL, most * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return 2;
	for (unsigned long i = 0; used + left + 2 < most && mprotect(p + i * 4096, 4096, PROT_READ) == 0;
		i += 2)
		used += 2;
	blocks();
	mappings();
	return status;
}

/* A call, and what its argument must be for the filter to act: (value & mask) == wanted; no mask for any. */
static const struct denied {
	const char *name;
	long call;
	unsigned argument;
	uint32_t mask, wanted;
} cases[] = {
	{"memfd_create", SYS_memfd_create, 0, 0, 0},
	{"ftruncate", SYS_ftruncate, 0, 0, 0},
	{"seal", SYS_fcntl, 1, ~0u, F_ADD_SEALS},
	{"collapse", SYS_madvise, 2, ~0u, COLLAPSE},
	{"madvise", SYS_madvise, 0, 0, 0},
	{"scan", SYS_ioctl, 1, ~0u, SCAN_REQUEST},
	{"prctl", SYS_prctl, 0, 0, 0},
	{"mremap", SYS_mremap, 0, 0, 0},
	{"mremap-dontunmap", SYS_mremap, 3, MREMAP_DONTUNMAP, MREMAP_DONTUNMAP},
	{"mremap-fixed", SYS_mremap, 3, MREMAP_FIXED, MREMAP_FIXED},
	{"mlock", SYS_mlock, 0, 0, 0},
	{"mincore", SYS_mincore, 0, 0, 0},
	{"reserve", SYS_mmap, 3, MAP_NORESERVE, MAP_NORESERVE},
	{"mmap-fixed-shared", SYS_mmap, 3, MAP_SHARED | MAP_FIXED, MAP_SHARED | MAP_FIXED},
	{"prlimit64", SYS_prlimit64, 0, 0, 0},
	{"statx", SYS_statx, 0, 0, 0},
	{"fstatfs", SYS_fstatfs, 0, 0, 0},
	{"readlinkat", SYS_readlinkat, 0, 0, 0},
	{"getcwd", SYS_getcwd, 0, 0, 0},
	{"ppoll", SYS_ppoll, 0, 0, 0},
	{"rt_sigpending", SYS_rt_sigpending, 0, 0, 0},
	{"rt_sigtimedwait", SYS_rt_sigtimedwait, 0, 0, 0},
	{"fallocate", SYS_fallocate, 0, 0, 0},
	{"geteuid", SYS_geteuid, 0, 0, 0},
	{"shmat", SYS_shmat, 0, 0, 0},
};
#define CASES (sizeof cases / sizeof *cases)

static int deny(const struct denied *denied, unsigned error)
{
	unsigned low = (unsigned)(offsetof(struct seccomp_data, args) + 8 * denied->argument);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)denied->call, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, denied->mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied->wanted, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
		       ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
		       : -1;
}

static int launch(char **argv)
{
	for (size_t i = 0; i < CASES; i++) {
		if (strcmp(argv[1], cases[i].name) != 0)
			continue;
		if (deny(&cases[i], (unsigned)strtoul(argv[2], NULL, 10)) != 0) {
			perror("skipped: seccomp");
			return 77;
		}
		if (strcmp(argv[3], "--") == 0)
			execvp(argv[4], argv + 4);
		else
			execl("/proc/self/exe", "denied", argv[3], (char *)NULL);
		perror("denied: exec");
		return 2;
	}
	fprintf(stderr, "denied_syscalls: no case \"%s\"; \"denied_syscalls cases\" lists them\n", argv[1]);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 4 || (argc > 4 && strcmp(argv[3], "--") == 0))
		return launch(argv);
	if (argc == 3 && strcmp(argv[1], "lowered") == 0) {
		struct rlimit limit = {strtoul(argv[2], NULL, 10), strtoul(argv[2], NULL, 10)};

		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			return 2;
		blocks();
		mappings();
		return status;
	}
	if (argc == 3 && strcmp(argv[1], "crowded") == 0)
		return crowd(strtoul(argv[2], NULL, 10));
	if (argc == 2 && strcmp(argv[1], "cases") == 0) {
		for (size_t i = 0; i < CASES; i++)
			puts(cases[i].name);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "run") == 0) {
		blocks();
		mappings();
		return status;
	}
	fputs("usage: denied_syscalls run|nothing|lowered N|crowded N|cases|CASE ERRNO ARGUMENT|CASE ERRNO "
	      "-- PROGRAM\n",
		stderr);
	return 2;
}
