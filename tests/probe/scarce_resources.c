/*
 * Proves that lazyzero lives with what a system may refuse it: little address space, little data, no /proc,
 * no memory for its own books. Large requests then get the C library's answer, small ones go on.
 *
 *  hostile as | data     under RLIMIT_AS, RLIMIT_DATA set by the program itself
 *  hostile requests      what is asked for in whatever state the script made; prints the answers
 *  hostile no-proc       restarts itself as `hostile requests` where /proc is not mounted
 */
#include "probe.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

static void check_small(void)
{
	for (size_t size = 1; size < 600 * KB; size = size * 2 + 1) {
		char *p = opaque_pointer(calloc(1, size));

		if (CHECK(p != NULL, "calloc(1, %zu) failed", size))
			p[size - 1] = 1;
		free(p);
	}
}

static int check_limit(int resource, const char *name)
{
	struct rlimit limit;
	char *blocks[512];
	size_t count = 0, again = 0;
	char *p, *grown;

	/* 256 MB more than there is now. */
	getrlimit((__rlimit_resource_t)resource, &limit);
	limit.rlim_cur = probe_status(resource == RLIMIT_AS ? "VmSize:" : "VmData:") + 256 * MB;
	setrlimit((__rlimit_resource_t)resource, &limit);

	errno = 0;
	p = opaque_pointer(calloc(1, opaque(GB)));
	CHECK(p == NULL && errno == ENOMEM, "under %s calloc gave %p, errno %d", name, (void *)p, errno);
	errno = 0;
	p = opaque_pointer(malloc(opaque(GB)));
	CHECK(p == NULL && errno == ENOMEM, "under %s malloc gave %p, errno %d", name, (void *)p, errno);
	check_small();
	while (count < 512 && (blocks[count] = opaque_pointer(calloc(1, 8 * MB))) != NULL)
		blocks[count++][8 * MB - 1] = 1;
	CHECK(count >= 16 && count <= 40, "under %s there was room for %zu blocks of 8 MB", name, count);
	check_small();
	if (count > 0) {
		blocks[0][0] = 77;
		errno = 0;
		grown = realloc(opaque_pointer(blocks[0]), opaque(512 * MB));
		CHECK(grown == NULL && errno == ENOMEM, "under %s realloc gave %p, errno %d", name,
			(void *)grown, errno);
		CHECK(blocks[0][0] == 77 && blocks[0][8 * MB - 1] == 1, "realloc that failed lost contents");
		grown = opaque_pointer(realloc(blocks[0], 2 * MB));
		CHECK(grown != NULL && grown[0] == 77, "under %s a block cannot shrink", name);
		blocks[0] = grown;
	}
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	while (again < 512 && (blocks[again] = opaque_pointer(calloc(1, 8 * MB))) != NULL)
		again++;
	CHECK(again + 1 >= count, "under %s there was room for %zu blocks, after freeing them for %zu", name,
		count, again);
	for (size_t i = 0; i < again; i++)
		free(blocks[i]);
	return probe_status_of_checks();
}

static void show(const char *what, bool ok)
{
	printf("%s: %s\n", what, ok ? "yes" : strerror(errno));
}

static int make_requests(void)
{
	char *p;
	void *m;

	check_small();
	p = opaque_pointer(calloc(1, opaque(16 * MB)));
	show("calloc of 16 MB", p != NULL);
	if (p != NULL)
		CHECK(p[0] == 0 && p[16 * MB - 1] == 0, "calloc is not zero");
	p = opaque_pointer(realloc(p, 48 * MB));
	show("realloc to 48 MB", p != NULL);
	free(p);
	p = opaque_pointer(malloc(opaque((size_t)1 << 62)));
	show("malloc of 4 EiB", p != NULL);
	free(p);
	m = mmap(NULL, 8 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	show("mmap of 8 MB", m != MAP_FAILED);
	if (m != MAP_FAILED) {
		show("mprotect", mprotect(m, 4 * MB, PROT_READ) == 0);
		show("madvise", madvise(m, 4 * MB, MADV_DONTNEED) == 0);
		m = mremap(m, 8 * MB, 16 * MB, MREMAP_MAYMOVE);
		show("mremap over two mappings", m != MAP_FAILED);
	}
	return probe_status_of_checks();
}

static int without_proc(void)
{
	char *arguments[] = {probe_argv[0], (char *)"requests", NULL};
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	if (length <= 0)
		return 77;
	self[length] = '\0';
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return 77;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return 77;
	/* In a user namespace /proc cannot be taken away, but covered. */
	if (umount2("/proc", MNT_DETACH) != 0 && mount("none", "/proc", "tmpfs", 0, NULL) != 0)
		return 77;
	if (access("/proc/self", F_OK) == 0)
		return 77;
	execv(self, arguments);
	return 3;
}

int probe_main(void)
{
	const char *action = probe_argc > 1 ? probe_argv[1] : "requests";

	if (strcmp(action, "as") == 0)
		return check_limit(RLIMIT_AS, "RLIMIT_AS");
	if (strcmp(action, "data") == 0)
		return check_limit(RLIMIT_DATA, "RLIMIT_DATA");
	if (strcmp(action, "no-proc") == 0)
		return without_proc();
	return make_requests();
}
