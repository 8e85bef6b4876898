/*
 * What programs do to blocks other than filling them: files and segments mapped inside, keys, guards, locks,
 * policies, limits. A block that grows must not suffer from it, nor the next block at the same addresses.
 */
#include "probe.h"

#include "../kernel.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define BLOCK (8 * MB)
#define UNTOUCHED 77
#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13 */

/* Not declared by every C library. */
int pkey_mprotect(void *address, size_t length, int protection, int key);
int mlock2(const void *address, size_t length, unsigned flags);
/* Defined by libnuma, which may be missing. */
__attribute__((weak)) long mbind(void *, unsigned long, int, const unsigned long *, unsigned long, unsigned);

static long self_advise(const struct iovec *range, int advice)
{
	/* Called by name, as programs do; older C libraries lack it. */
	extern __attribute__((weak)) ssize_t process_madvise(
		int, const struct iovec *, size_t, int, unsigned);
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long result = -1;

	if (self >= 0 && process_madvise != NULL)
		result = process_madvise(self, range, 1, advice, 0);
	close(self);
	return result;
}

static bool ended_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- files and segments mapped inside --- */

/* Creates a file of `length` bytes that are not zero. */
static int make_file(size_t length)
{
	int fd = memfd_create("altered", 0);

	CHECK(fd >= 0, "memfd_create: %s", strerror(errno));
	for (size_t at = 0; at < length; at += PAGE) {
		char bytes[PAGE];

		memset(bytes, (int)(at / PAGE % 250) + 1, sizeof bytes);
		CHECK(write(fd, bytes, sizeof bytes) == PAGE, "writing a file");
	}
	return fd;
}

static bool holds_file(const char *at, size_t length)
{
	for (size_t i = 0; i < length; i += PAGE)
		if (at[i] != (char)(i / PAGE % 250 + 1) || at[i + PAGE - 1] != at[i])
			return false;
	return true;
}

/* Grows a block from `size` to `grown` while a file is mapped over a part of it. */
static void grow_over_file(size_t size, size_t grown, int flags)
{
	const size_t length = 16 * PAGE;
	char *p = aligned_alloc(PAGE, size), *at = p + 4 * PAGE, *q;
	int fd = make_file(length);

	memset(p, 7, 4 * PAGE);
	p[size - 1] = 9;
	CHECK(mmap(at, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == at, "mmap over a block");
	q = realloc(p, grown);
	if (CHECK(q != NULL, "realloc(%zu) to %zu", size, grown)) {
		CHECK(q[0] == 7 && q[4 * PAGE - 1] == 7 && q[size - 1] == 9,
			"%zu to %zu: what was written is lost", size, grown);
		CHECK(holds_file(q + 4 * PAGE, length),
			"%zu to %zu, flags %d: the file has lost its contents", size, grown, flags);
		free(q);
	}
	close(fd);
}

static void check_files_inside(void)
{
	for (int shared = 0; shared < 2; shared++) {
		int flags = shared ? MAP_SHARED : MAP_PRIVATE;

		grow_over_file(200 * KB, 20 * MB, flags);
		grow_over_file(4 * MB, 40 * MB, flags);
		grow_over_file(40 * MB, 200 * MB, flags);
	}
}

/* --- freed memory is reused without its attributes --- */

/* Checks that the next blocks of that size are writable and zero, in a forked child as well. */
static void check_fresh(const char *after)
{
	for (int round = 0; round < 3; round++) {
		char *p = opaque_pointer(calloc(1, BLOCK));

		for (size_t at = 0; at < BLOCK; at += PAGE) {
			if (!CHECK(p[at] == 0, "after %s: byte %zu is %d", after, at, p[at]))
				break;
			p[at] = 1;
		}
		pid_t child = fork();
		if (child == 0) {
			p[BLOCK / 2] = 2;
			_exit(p[BLOCK / 2 + PAGE] != 1);
		}
		CHECK(ended_well(child), "after %s: a child did not end well", after);
		CHECK(p[BLOCK / 2] == 1, "after %s: a child writes its parent's memory", after);
		free(p);
	}
}

static char *block(void)
{
	char *p = opaque_pointer(aligned_alloc(PAGE, BLOCK));

	memset(p, 3, BLOCK / 2);
	return p;
}

static void check_keys(void)
{
	char *p = block();

	/* Key 0 behaves like mprotect where keys exist, and key -1 everywhere. */
	CHECK(pkey_mprotect(p + MB, PAGE, PROT_READ, 0) == 0 ||
			pkey_mprotect(p + MB, PAGE, PROT_READ, -1) == 0,
		"pkey_mprotect: %s", strerror(errno));
	free(p);
	check_fresh("pkey_mprotect");
}

static void check_guards(void)
{
	char *p = block();
	struct iovec range = {p + MB, 2 * PAGE};

	/* On the own process since Linux 6.13, like guards. */
	self_advise(&range, GUARD_INSTALL);
	free(p);
	check_fresh("process_madvise");
}

static void check_locks(void)
{
	char *p = block();
	size_t before = probe_status("VmLck:"); /* a zero window may be locked */

	if (mlock(p, 2 * PAGE) == 0 && mlock2(p + MB, PAGE, 0) == 0) {
		CHECK(probe_status("VmLck:") > before, "mlock locks nothing");
		free(p);
		CHECK_EQUAL(probe_status("VmLck:"), before);
	} else {
		free(p);
	}
	check_fresh("mlock");
}

static void check_policies(void)
{
	char *p = block();
	unsigned long node = 1;

	/* MPOL_BIND to node 0, through the library's mbind: libnuma passes the call on as well. */
	if (mbind != NULL)
		CHECK(mbind(p, BLOCK, 2, &node, 8, 0) == 0 || errno == ENOSYS || errno == EPERM, "mbind: %s",
			strerror(errno));
	free(p);
	check_fresh("mbind");
}

static void check_segments(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600 | IPC_CREAT);
	char *p = block(), *at;

	if (!CHECK(id >= 0, "shmget: %s", strerror(errno)))
		return;
	at = shmat(id, p, SHM_REMAP);
	CHECK(at == p, "shmat over a block: %s", strerror(errno));
	shmctl(id, IPC_RMID, NULL);
	p[0] = 5;
	free(p);
	check_fresh("shmat");
}

static void check_userfaultfd(void)
{
	errno = UNTOUCHED;
	CHECK(ioctl(-1, UFFDIO_REGISTER, (void *)8) == -1 && errno == EBADF, "ioctl: %s", strerror(errno));
	CHECK(ioctl(-1, UFFDIO_REGISTER, NULL) == -1 && errno == EBADF, "ioctl: %s", strerror(errno));
}

/* --- attributes of the whole process: each test in a child --- */

static void in_child(void (*check)(void))
{
	pid_t child = fork();

	if (child == 0) {
		check();
		_exit(probe_status_of_checks());
	}
	CHECK(ended_well(child), "the checks in a child");
}

/* Cached regions must not make the next request fail under RLIMIT_AS. */
static void check_address_space_limit(void)
{
	struct rlimit limit;
	void *p;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = probe_status("VmSize:") + 12 * MB;
	for (int i = 0; i < 4; i++)
		free(memset(calloc(1, 4 * MB), 1, 4 * MB));
	p = calloc(1, 12 * MB);
	memset(p, 1, 12 * MB);
	free(p);
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	p = opaque_pointer(malloc(90 * KB));
	CHECK(p != NULL, "a small block, though there is room");
	free(p);
	p = opaque_pointer(mmap(NULL, 6 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(p != MAP_FAILED, "6 MiB, though there is room for 12");
}

/* Maps a page directly after a block, so that the block cannot grow in place. */
static void map_page_after(char *p, size_t length)
{
	mmap(p + length, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/*
 * Grows a block that has moved before, without address space for both places at once: the kernel then moves
 * it only if it is one mapping with the page before it.
 */
static void grow_twice(void)
{
	const size_t length = 8 * MB;
	struct rlimit limit;
	char *p;

	for (int unzeroed = 0; unzeroed < 2; unzeroed++) {
		getrlimit(RLIMIT_AS, &limit);
		p = unzeroed ? opaque_pointer(malloc(length)) : opaque_pointer(calloc(1, length));
		p[MB] = 5;
		map_page_after(p, length);
		p = opaque_pointer(realloc(p, 2 * length));
		if (!CHECK(p != NULL && p[MB] == 5, "realloc to 16 MiB"))
			return;
		map_page_after(p, 2 * length);
		limit.rlim_cur = probe_status("VmSize:") + 12 * MB;
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
		p = opaque_pointer(realloc(p, 3 * length));
		CHECK(p != NULL && p[MB] == 5, "realloc from 16 to 24 MiB with address space for 12 more");
		free(p);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_AS, &limit);
	}
}

/* Memory that mlockall populated is released with its block, and new memory behaves as before. */
static void check_mlockall(void)
{
	const size_t length = 64 * MB, stacks = 16 * MB; /* also populated */
	size_t before = probe_status("RssAnon:"), sum = 0;
	char *p = opaque_pointer(calloc(1, length));

	sum += (size_t)p[MB];
	if (mlockall(MCL_CURRENT) != 0 || munlockall() != 0) {
		CHECK(errno == EPERM || errno == ENOMEM, "mlockall: %s", strerror(errno));
		return;
	}
	CHECK_EQUAL(probe_status("VmLck:"), 0);
	free(p);
	CHECK(probe_status("RssAnon:") < before + stacks, "mlockall leaves %zu bytes",
		probe_status("RssAnon:") - before);
	p = opaque_pointer(calloc(1, length));
	for (size_t at = 0; at < length; at += PAGE)
		sum += (size_t)p[at];
	CHECK_EQUAL(sum, 0);
	/* Without a zero page, each page that is read is allocated. */
	if (kernel_has_zero_page())
		CHECK(probe_status("RssAnon:") < before + stacks, "reading takes %zu bytes",
			probe_status("RssAnon:") - before);
}

/* Whether smaps tells memory that is locked when it is touched ("lf") from other locked memory ("lo"). */
static bool shows_locking_on_fault(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	bool shows = false;

	while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL)
		shows |= strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " lf") != NULL;
	if (smaps != NULL)
		fclose(smaps);
	return shows;
}

/*
 * What is added to memory is locked if that memory was; it is populated in advance only if it is locked, and
 * not with MCL_ONFAULT. Likewise new memory.
 */
static void check_growth_under_mlockall(int flags)
{
	const size_t length = 64 * MB, little = 4 * MB;
	const int rw = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	char *block = opaque_pointer(calloc(1, length)), *mapping = mmap(NULL, length, rw, anonymous, -1, 0);
	size_t locked, resident, expected = flags & MCL_CURRENT ? 2 * length : 0;

	block[MB] = mapping[MB] = 7;
	if (mlockall(flags) != 0) {
		CHECK(errno == EPERM || errno == ENOMEM || errno == EINVAL, "mlockall: %s", strerror(errno));
		return;
	}
	if ((flags & MCL_CURRENT) && !shows_locking_on_fault())
		return;
	locked = probe_status("VmLck:");
	resident = probe_status("RssAnon:");
	block = opaque_pointer(realloc(block, 2 * length));
	mapping = mremap(mapping, length, 2 * length, MREMAP_MAYMOVE);
	if (!CHECK(block != NULL && mapping != MAP_FAILED, "growing under mlockall(%d): %s", flags,
		    strerror(errno)))
		return;
	CHECK(block[MB] == 7 && mapping[MB] == 7 && block[2 * length - 1] == 0, "growing loses bytes");
	locked = probe_status("VmLck:") - locked;
	CHECK(locked >= expected && locked < expected + little, "mlockall(%d): growing locks %zu bytes",
		flags, locked);
	resident = probe_status("RssAnon:") - resident;
	CHECK(resident < little, "mlockall(%d): growing populates %zu bytes", flags, resident);
	if (!(flags & MCL_ONFAULT))
		return;
	locked = probe_status("VmLck:");
	resident = probe_status("RssAnon:");
	mmap(NULL, length, rw, anonymous, -1, 0);
	locked = probe_status("VmLck:") - locked;
	CHECK(locked >= length && locked < length + little, "mlockall(%d): mmap locks %zu bytes", flags,
		locked);
	resident = probe_status("RssAnon:") - resident;
	CHECK(resident < little, "mlockall(%d): mmap populates %zu bytes", flags, resident);
}

static void check_locking_new_memory(void)
{
	check_growth_under_mlockall(MCL_FUTURE);
}

static void check_locking_new_memory_on_fault(void)
{
	check_growth_under_mlockall(MCL_FUTURE | MCL_ONFAULT);
}

static void check_locking_all_memory_on_fault(void)
{
	check_growth_under_mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* No descriptor is available for reading /proc. */
static void grow_without_descriptors(void)
{
	const int rw = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	const size_t length = 16 * MB;
	char *p = opaque_pointer(mmap(NULL, length, rw, anonymous, -1, 0)), *q;
	char *wiped = opaque_pointer(mmap(NULL, length, rw, anonymous, -1, 0));
	struct rlimit limit = {0, 0};
	pid_t child;

	p[MB] = wiped[MB] = 6;
	setrlimit(RLIMIT_NOFILE, &limit);
	q = mremap(p, length, 3 * length, MREMAP_MAYMOVE);
	if (CHECK(q != MAP_FAILED, "mremap without descriptors: %s", strerror(errno)))
		CHECK(q[MB] == 6 && q[2 * length] == 0 && (q[2 * length] = 1), "mremap loses bytes");
	CHECK(madvise(wiped, length, MADV_WIPEONFORK) == 0, "MADV_WIPEONFORK without descriptors: %s",
		strerror(errno));
	CHECK(wiped[MB] == 6, "leaving a window loses bytes");
	child = fork();
	if (child == 0)
		_exit(wiped[MB]);
	CHECK(ended_well(child), "MADV_WIPEONFORK does not wipe");
}

int probe_main(void)
{
	/* Makes the C library map each block by itself: what is mapped into a heap block would stay there. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	/* Run first: once attributes on windows were changed, they can only be read from /proc. */
	in_child(grow_without_descriptors);
	check_files_inside();
	check_keys();
	check_guards();
	check_locks();
	check_policies();
	check_segments();
	check_userfaultfd();
	in_child(check_address_space_limit);
	/* Pieces of a window move one by one, which needs address space for both places. */
	if (getenv("LAZYZERO_BUDGET") == NULL && getenv("LAZYZERO_BACKING") == NULL)
		in_child(grow_twice);
	in_child(check_mlockall);
	in_child(check_locking_new_memory);
	in_child(check_locking_new_memory_on_fault);
	in_child(check_locking_all_memory_on_fault);
	return probe_status_of_checks();
}
