/*
 * A program that installs a seccomp filter which kills it on every system call except the few it needs
 * itself: the library must not make any other call from then on.
 *
 *   seccomp_filter prctl|seccomp|strict
 *   seccomp_filter dispatch       system calls from outside libc raise SIGSYS (PR_SET_SYSCALL_USER_DISPATCH)
 */
#include "probe.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(number)                                                                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool install(bool by_number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_brk),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_madvise),
		ALLOW(SYS_mprotect),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return false;
	if (by_number)
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Only libc's code may make system calls from now on. */
static bool dispatch(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start = 0, end = 0;
	char line[512];

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		if (strstr(line, " r-xp ") != NULL && strstr(line, "/libc.so.6") != NULL &&
			sscanf(line, "%lx-%lx", &start, &end) == 2)
			break;
	if (maps != NULL)
		fclose(maps);
	return end > start && prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, start, end - start, 0) == 0;
}

/* Uses memory in ways that need only the calls above, or none, without lazyzero. */
static void use_memory(char *large)
{
	for (int i = 0; i < 1000; i++) {
		char *small = opaque_pointer(malloc((size_t)(16 + i)));

		memset(small, 1, 16);
		free(small);
	}
	large = opaque_pointer(realloc(large, 6 * MB));
	large[5 * MB] = 1;
	free(large);
	large = opaque_pointer(calloc(1, 40 * MB));
	if (large[20 * MB] != 0)
		_exit(3);
	free(large);
	large = mmap(NULL, 2 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	large[MB] = 1;
	mprotect(large, MB, PROT_READ);
	large = mremap(large, 2 * MB, 4 * MB, MREMAP_MAYMOVE);
	madvise(large, MB, MADV_DONTNEED);
	munmap(large, 4 * MB);
}

int probe_main(void)
{
	const char *mode = probe_argc > 1 ? probe_argv[1] : "prctl";
	char *live = opaque_pointer(calloc(1, 3 * MB)), *freed = opaque_pointer(calloc(1, 8 * MB));

	/* The C library's allocator asks for random bytes when it starts. */
	free(opaque_pointer(malloc(100)));
	memset(freed, 1, 8 * MB);
	free(freed);
	live[MB] = 1;
	if (strcmp(mode, "strict") == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
			_exit(77);
		for (int i = 0; i < 1000; i++)
			free(opaque_pointer(malloc(100)));
		syscall(SYS_exit, 0);
	}
	if (strcmp(mode, "dispatch") == 0 ? !dispatch() : !install(strcmp(mode, "seccomp") == 0))
		_exit(77);
	use_memory(live);
	exit(0);
}
