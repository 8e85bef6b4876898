/*
 * MADV_WIPEONFORK on memory on a zero window, which the kernel does not support: a child finds zeros, however
 * it was created and whatever happened to the range before.
 */
#include "on_window.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define UNTOUCHED 77

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Since glibc 2.34. */
__attribute__((weak)) pid_t _Fork(void);

static void fill(char *p, size_t length, int byte)
{
	for (size_t at = 0; at < length; at += 16 * PAGE)
		p[at] = (char)byte;
}

/* Whether every byte that fill() wrote is `byte`. */
static bool holds(const char *p, size_t length, int byte)
{
	for (size_t at = 0; at < length; at += 16 * PAGE)
		if (p[at] != (char)byte)
			return false;
	return true;
}

static char *fresh(size_t length, int byte)
{
	char *p = opaque_pointer(mmap(NULL, length, RW, ANON, -1, 0));

	if (!CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno)))
		exit(1);
	fill(p, length, byte);
	CHECK(!probe_preloaded() || on_window(p, 1), "%zu KB are not on a window: nothing is proved",
		length / KB);
	return p;
}

static void wipe(char *p, size_t length)
{
	errno = UNTOUCHED;
	CHECK(madvise(p, length, MADV_WIPEONFORK) == 0 && errno == UNTOUCHED, "MADV_WIPEONFORK: %s",
		strerror(errno));
}

static bool ended_well(pid_t child)
{
	int status = -1;

	return waitpid(child, &status, 0) == child && status == 0;
}

/* A condition that must hold in a forked child. */
#define IN_CHILD(what, condition)                                                                            \
	do {                                                                                                 \
		pid_t forked = fork();                                                                       \
		if (forked == 0)                                                                             \
			_exit(!(condition));                                                                 \
		CHECK(ended_well(forked), "%s: not in the child: %s", what, #condition);                     \
	} while (0)

/* --- ranges --- */

static void check_parts(void)
{
	char *p = fresh(16 * MB, 5);

	wipe(p + 2 * MB + 64 * KB, 4 * MB);
	IN_CHILD("a part", holds(p, 2 * MB, 5) && holds(p + 2 * MB + 64 * KB, 4 * MB, 0) &&
				   holds(p + 6 * MB + 64 * KB, 9 * MB, 5));
	CHECK(holds(p, 16 * MB, 5), "the parent's memory is wiped");
	CHECK(madvise(p + 3 * MB, MB, MADV_KEEPONFORK) == 0, "MADV_KEEPONFORK: %s", strerror(errno));
	IN_CHILD("kept again", holds(p + 2 * MB + 64 * KB, MB - 64 * KB, 0) && holds(p + 3 * MB, MB, 5) &&
				       holds(p + 4 * MB, 2 * MB, 0));
	wipe(p, 16 * MB);
	IN_CHILD("all of it", holds(p, 16 * MB, 0));
	CHECK(madvise(p, 16 * MB, MADV_KEEPONFORK) == 0, "MADV_KEEPONFORK: %s", strerror(errno));
	IN_CHILD("none of it", holds(p, 16 * MB, 5));
	munmap(p, 16 * MB);
}

/* A mapping that replaces a wiped range is not wiped, however it was made. */
static void check_replaced(void)
{
	char *p = fresh(16 * MB, 5);

	wipe(p, 16 * MB);
	CHECK(munmap(p + 2 * MB, 2 * MB) == 0, "munmap: %s", strerror(errno));
	CHECK(mmap(p + 2 * MB, 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * MB, "mmap: %s",
		strerror(errno));
	fill(p + 2 * MB, 2 * MB, 6);
	CHECK(mmap(p + 6 * MB, MB, RW, ANON | MAP_FIXED, -1, 0) == p + 6 * MB, "mmap: %s", strerror(errno));
	fill(p + 6 * MB, MB, 7);
	/* A raw system call. */
	CHECK(syscall(SYS_mmap, p + 8 * MB, MB, RW, ANON | MAP_FIXED, -1, 0L) == (long)(p + 8 * MB),
		"mmap: %s", strerror(errno));
	fill(p + 8 * MB, MB, 8);
	IN_CHILD("mapped over", holds(p, 2 * MB, 0) && holds(p + 2 * MB, 2 * MB, 6) &&
					holds(p + 4 * MB, 2 * MB, 0) && holds(p + 6 * MB, MB, 7) &&
					holds(p + 7 * MB, MB, 0) && holds(p + 8 * MB, MB, 8) &&
					holds(p + 9 * MB, 7 * MB, 0));
	munmap(p, 16 * MB);
}

static void check_moved(void)
{
	char *room = opaque_pointer(mmap(NULL, 64 * MB, PROT_NONE, ANON, -1, 0)), *p = fresh(8 * MB, 5), *q;

	wipe(p, 8 * MB);
	q = mremap(p, 8 * MB, 12 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	if (!CHECK(q == room, "mremap: %s", strerror(errno)))
		return;
	fill(q + 8 * MB, 4 * MB, 6);
	/* Something else is mapped at the old place. */
	CHECK(mmap(p, 8 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p, "mmap: %s", strerror(errno));
	fill(p, 8 * MB, 7);
	IN_CHILD("moved and grown", holds(q, 12 * MB, 0) && holds(p, 8 * MB, 7));
	CHECK(holds(q, 8 * MB, 5) && holds(q + 8 * MB, 4 * MB, 6), "mremap loses bytes");
	CHECK(mremap(q, 12 * MB, 12 * MB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, room + 32 * MB) ==
			room + 32 * MB,
		"mremap: %s", strerror(errno));
	fill(q, 12 * MB, 8);
	IN_CHILD("duplicated", holds(q, 12 * MB, 0) && holds(room + 32 * MB, 12 * MB, 0));
	CHECK(holds(q, 12 * MB, 8) && holds(room + 32 * MB, 8 * MB, 5), "MREMAP_DONTUNMAP loses bytes");
	CHECK(mremap(q, 12 * MB, 4 * MB, 0) == q, "mremap: %s", strerror(errno));
	CHECK(mmap(q + 4 * MB, 8 * MB, RW, ANON | MAP_FIXED, -1, 0) == q + 4 * MB, "mmap: %s",
		strerror(errno));
	fill(q + 4 * MB, 8 * MB, 9);
	IN_CHILD("cut", holds(q, 4 * MB, 0) && holds(q + 4 * MB, 8 * MB, 9));
	munmap(room, 64 * MB);
	munmap(p, 8 * MB);
}

/*
 * The next block of the same size, at the same address or not, is not wiped. (The C library's own block is,
 * if it comes from a heap.)
 */
static void check_freed(void)
{
	if (!probe_preloaded())
		return;
	for (int round = 0; round < 4; round++) {
		char *p = opaque_pointer(calloc(1, 8 * MB)), *start = p + (-(uintptr_t)p & (PAGE - 1));

		fill(start, 7 * MB, 4);
		IN_CHILD("a block", holds(start, 7 * MB, 4));
		wipe(start, 7 * MB);
		IN_CHILD("a block that is wiped", holds(start, 7 * MB, 0));
		free(p);
	}
}

/* A limited number of ranges can be recorded; beyond it the call fails, as it may. */
static void check_many(void)
{
	const size_t count = 200;
	char *p = fresh(count * 64 * KB, 5);
	size_t wiped = 0;
	int error = 0;

	while (wiped < count && (errno = 0, madvise(p + wiped * 64 * KB, 4 * PAGE, MADV_WIPEONFORK)) == 0)
		wiped++;
	error = errno;
	CHECK(wiped >= 32 && (wiped == count || error == EAGAIN), "%zu ranges, then %s", wiped,
		strerror(error));
	for (size_t i = 0; i < count; i++) {
		p[i * 64 * KB] = 5;
		p[i * 64 * KB + 8 * PAGE] = 6;
	}
	pid_t child = fork();
	if (child == 0) {
		for (size_t i = 0; i < count; i++)
			if (p[i * 64 * KB] != (i < wiped ? 0 : 5) || p[i * 64 * KB + 8 * PAGE] != 6)
				_exit(1);
		_exit(0);
	}
	CHECK(ended_well(child), "%zu ranges", wiped);
	/* Page by page, of which the kernel makes one mapping. */
	munmap(p, count * 64 * KB);
	p = fresh(2 * MB, 5);
	for (size_t at = 0; at < 2 * MB; at += PAGE)
		wipe(p + at, PAGE);
	IN_CHILD("page by page", holds(p, 2 * MB, 0));
	munmap(p, 2 * MB);
}

static void check_arguments(void)
{
	char *p = fresh(8 * MB, 5);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *q = opaque_pointer(mmap(NULL, 8 * MB, RW, MAP_PRIVATE, zero, 0));

	fill(q, 8 * MB, 5);
	CHECK(madvise(q, 8 * MB, MADV_WIPEONFORK) == -1 && errno == EINVAL, "/dev/zero is wiped");
	munmap(p + 4 * MB, MB);
	CHECK(madvise(p, 8 * MB, MADV_WIPEONFORK) == -1 && errno == ENOMEM, "a hole is advised");
	IN_CHILD("beside a hole", holds(p, 4 * MB, 0) && holds(p + 5 * MB, 3 * MB, 0) && holds(q, 8 * MB, 5));
	munmap(p, 8 * MB);
	munmap(q, 8 * MB);
	close(zero);
}

/* --- ways to create a child --- */

static pid_t by_fork(void)
{
	return fork();
}

static pid_t by_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L);
}

/* What the child writes after the wipe stays, also through the library's own first call. */
static int as_child(char *p, pid_t (*make)(void))
{
	void *first;

	/* Children without fork handlers are wiped by their first call. */
	if (make != by_fork) {
		first = mmap(NULL, 2 * MB, RW, ANON, -1, 0);
		munmap(first, 2 * MB);
	}
	if (!holds(p, 4 * MB, 0) || !holds(p + 4 * MB, 4 * MB, 5))
		return 1;
	fill(p, 8 * MB, 9);
	free(opaque_pointer(calloc(1, 4 * MB)));
	first = mmap(NULL, 2 * MB, RW, ANON, -1, 0);
	munmap(first, 2 * MB);
	if (!holds(p, 8 * MB, 9))
		return 2;
	pid_t child = make();
	if (child == 0) {
		if (make != by_fork)
			munmap(mmap(NULL, 2 * MB, RW, ANON, -1, 0), 2 * MB);
		_exit(!(holds(p, 4 * MB, 0) && holds(p + 4 * MB, 4 * MB, 9)));
	}
	return ended_well(child) && holds(p, 8 * MB, 9) ? 0 : 3;
}

static void check_children(const char *name, pid_t (*make)(void))
{
	char *p = fresh(8 * MB, 5);
	int status = 0;
	pid_t child;

	wipe(p, 4 * MB);
	child = make();
	if (child == 0)
		_exit(as_child(p, make));
	CHECK(waitpid(child, &status, 0) == child && status == 0, "%s: status %#x", name, (unsigned)status);
	CHECK(holds(p, 8 * MB, 5), "%s: the parent's memory is wiped", name);
	munmap(p, 8 * MB);
}

/*
 * The program's fork handlers find the range wiped, unless they were registered before the library started.
 */
static char *handled;
static int found;

static void look(void)
{
	found = handled == NULL ? 0 : handled[0];
}

static void check_handlers(void)
{
	const char *where = getenv("PROBE_WHERE");

	if (where != NULL && strcmp(where, "constructor") == 0)
		return;
	handled = fresh(4 * MB, 5);
	wipe(handled, 4 * MB);
	found = -1;
	IN_CHILD("fork handlers", found == 0);
	munmap(handled, 4 * MB);
	handled = NULL;
}

/*
 * While other threads change what is wiped: a range that nobody changes is wiped each time, and no other is.
 */
static _Atomic bool finished;

static void *change(void *unused)
{
	(void)unused;
	while (!finished) {
		char *p = mmap(NULL, 4 * MB, RW, ANON, -1, 0);

		madvise(p + MB, 2 * MB, MADV_WIPEONFORK);
		madvise(p + MB + 64 * KB, 64 * KB, MADV_KEEPONFORK);
		munmap(p, 4 * MB);
	}
	return NULL;
}

static void check_beside_changes(void)
{
	char *p = fresh(8 * MB, 5);
	pthread_t thread;

	wipe(p, 4 * MB);
	finished = false;
	if (pthread_create(&thread, NULL, change, NULL) != 0)
		return;
	for (int round = 0; round < 50; round++)
		IN_CHILD("beside changes", holds(p, 4 * MB, 0) && holds(p + 4 * MB, 4 * MB, 5));
	finished = true;
	pthread_join(thread, NULL);
	munmap(p, 8 * MB);
}

int probe_main(void)
{
	static bool registered;

	if (!registered)
		pthread_atfork(NULL, NULL, look);
	registered = true;
	check_parts();
	check_replaced();
	check_moved();
	check_freed();
	check_many();
	check_arguments();
	check_children("fork", by_fork);
	check_children("clone", by_clone);
	if (_Fork != NULL)
		check_children("_Fork", _Fork);
	check_handlers();
	check_beside_changes();
	return probe_status_of_checks();
}
