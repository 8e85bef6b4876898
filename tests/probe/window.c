/*
 * To a program, memory on a zero window behaves as anonymous memory; see window.h.
 *
 *   window                the fixed cases, and some series of random calls
 *   window FIRST COUNT    only the series with these seeds; a single one prints every call
 */
#include "window.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- helpers --- */

char *fresh(const struct calls *c, char *at, size_t length)
{
	char *p = POINTER(c->map(at, length, RW, ANON | MAP_FIXED, -1, 0));

	if (is_named(c) && probe_preloaded())
		CHECK(on_window(at, length), "%zu KB are not on a window: nothing is proved", length / KB);
	return p;
}

static sigjmp_buf back;

static void jump_back(int number)
{
	siglongjmp(back, number);
}

static void catch_faults(void)
{
	struct sigaction action = {.sa_handler = jump_back, .sa_flags = SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

int store(char *at, uint64_t value)
{
	int number = sigsetjmp(back, 0);

	if (number == 0)
		*(volatile uint64_t *)at = value;
	return number;
}

int load(const char *at, uint64_t *value)
{
	int number = sigsetjmp(back, 0);

	if (number == 0)
		*value = *(const volatile uint64_t *)at;
	return number;
}

uint64_t peek(const char *at)
{
	static int fd;
	static pid_t owner;
	uint64_t value;

	if (owner != getpid()) {
		fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
		owner = getpid();
	}
	return pread(fd, &value, sizeof value, (off_t)at) == sizeof value ? value : ~UINT64_C(0);
}

int make_file(size_t length, int flags)
{
	const char *directory = getenv("TMPDIR");
	char name[256];
	int fd, again;

	snprintf(name, sizeof name, "%s/lazyzero-window-XXXXXX", directory != NULL ? directory : "/tmp");
	fd = mkstemp(name);
	for (size_t at = 0; fd >= 0 && at < length; at += 8) {
		static uint64_t block[512];

		block[at / 8 % 512] = at * 2654435761u + 1;
		if (at % PAGE == PAGE - 8 && write(fd, block, PAGE) != (ssize_t)PAGE)
			CHECK(false, "cannot write %s", name);
	}
	again = open(name, O_RDWR | O_CLOEXEC | flags);
	unlink(name);
	close(fd);
	return again;
}

bool tells_written(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool known = fd >= 0 && syscall(SYS_ioctl, fd, 0xc0606610u /* PAGEMAP_SCAN */, NULL) < 0 &&
		     errno != ENOTTY;

	close(fd);
	return known;
}

/* --- fixed cases --- */

/* Compares mincore only on written pages: a read maps 2 MiB of the window at once. */
static void residence(const struct calls *c)
{
	static unsigned char pages[8 * MB / PAGE];

	fresh(c, AT(0), 8 * MB);
	store(AT(0), 1);
	store(AT(MB), 1);
	store(AT(2 * MB - 8), 1);
	for (size_t at = 4 * MB; at < 4 * MB + 64 * KB; at += PAGE)
		store(AT(at), at);
	for (int round = 0; round < 3; round++) {
		uint64_t sum = 0;

		memset(pages, 0x77, sizeof pages);
		INT(c->residence(AT(0), 8 * MB, pages));
		for (size_t i = 0; i < sizeof pages; i++)
			sum = sum * 31 + pages[i];
		VALUE(sum);
		if (round == 0)
			INT(c->advise(AT(MB), 3 * MB + 16 * KB, MADV_DONTNEED));
		if (round == 1)
			INT(c->advise(AT(6 * MB), 64 * KB, MADV_POPULATE_WRITE));
	}
	INT(c->residence(AT(0) + 1, PAGE, pages));
	INT(c->residence(AT(0), PAGE, (void *)8));
	INT(c->residence(AT(7 * MB), 2 * MB, pages)); /* beyond the end */
	INT(c->residence(AT(7 * MB), SIZE_MAX / 2, pages));
	INT(c->residence(AT(7 * MB), 0, NULL));
}

/*
 * The window's pages are huge already, and written pages stay as they are: EINVAL or EAGAIN where plain
 * memory becomes a huge page, success where there is nothing to collapse. Errors about the range are the
 * same, and so are contents.
 */
static void advise_collapse(const struct calls *c, char *at, size_t length)
{
	int error = 0;

	errno = UNTOUCHED;
	if (c->advise(at, length, MADV_COLLAPSE) == 0)
		CHECK_EQUAL(errno, UNTOUCHED);
	else
		error = errno;
	CHECK(error == 0 || error == EINVAL || error == EAGAIN || error == ENOMEM, "MADV_COLLAPSE: errno %d",
		error);
	VALUE(error == ENOMEM);
}

static void collapse(const struct calls *c)
{
	fresh(c, AT(0), 12 * MB);
	store(AT(2 * MB), 5);
	store(AT(5 * MB), 6);
	advise_collapse(c, AT(2 * MB), 4 * MB);
	advise_collapse(c, AT(0), 2 * MB); /* untouched */
	advise_collapse(c, AT(0), 6 * MB);
	INT(c->advise(AT(6 * MB), MB, MADV_COLLAPSE)); /* no whole block */
	advise_collapse(c, AT(6 * MB + PAGE), 2 * MB);
	advise_collapse(c, AT(11 * MB), 2 * MB); /* beyond the end */
	VALUE(peek(AT(2 * MB)));
	VALUE(peek(AT(5 * MB)));
	INT(store(AT(3 * MB), 7));
	VALUE(peek(AT(3 * MB)));
	VALUE(peek(AT(9 * MB)));
}

/* Flags that a program set on memory remain when it is wiped on fork, or grows. */
static void flags_stay(const struct calls *c)
{
	fresh(c, AT(0), 8 * MB);
	store(AT(MB), 1);
	INT(c->advise(AT(0), 4 * MB, MADV_DONTDUMP));
	INT(c->advise(AT(0), 2 * MB, MADV_DONTFORK));
	INT(mlock(AT(MB), 16 * KB));
	INT(c->advise(AT(0), 6 * MB, MADV_WIPEONFORK));
	VALUE(peek(AT(MB)));
	fresh(c, AT(32 * MB), 8 * MB);
	INT(c->advise(AT(32 * MB), 8 * MB, MADV_DONTFORK));
	INT(c->advise(AT(32 * MB), 8 * MB, MADV_DONTDUMP));
	POINTER(c->remap(AT(32 * MB), 8 * MB, 12 * MB, 0, NULL));
	POINTER(c->remap(AT(32 * MB), 12 * MB, 16 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(64 * MB)));
	INT(c->advise(AT(64 * MB), 4 * MB, MADV_DOFORK));
	POINTER(c->remap(AT(64 * MB), 16 * MB, 20 * MB, 0, NULL)); /* two mappings: EFAULT */
}

/* Arguments that the kernel rejects. */
static void mapping_arguments(const struct calls *c)
{
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), deaf = open("/dev/zero", O_WRONLY | O_CLOEXEC);
	size_t before;
	char *p;

	POINTER(c->map(NULL, 4 * MB, RW, ANON, -1, 1));
	POINTER(c->map(NULL, 4 * MB, RW, MAP_PRIVATE, zero, 1));
	POINTER(c->map(NULL, 4 * MB, RW, MAP_PRIVATE, deaf, 0));
	POINTER(c->map(AT(0), 4 * MB, RW, MAP_PRIVATE | MAP_FIXED, zero, 0));
	VALUE(store(AT(8), 3));
	VALUE(peek(AT(8)));
	INT(c->advise(AT(0), 4 * MB, MADV_FREE));
	before = probe_status("VmSize:");
	p = POINTER(c->map(NULL, 4 * MB + 1, RW, ANON, -1, 0));
	VALUE(store(p + 4 * MB, 1));
	VALUE(store(p + 4 * MB + PAGE - 8, 1));
	INT(c->unmap(p, 4 * MB + 1));
	CHECK_EQUAL(probe_status("VmSize:"), before);                             /* nothing remains mapped */
	p = POINTER(c->map(AT(16 * MB) + 3 * PAGE, 4 * MB + 1, RW, ANON, -1, 0)); /* a hint */
	VALUE(store(p + 4 * MB, 1));
	VALUE(peek(p + 4 * MB + PAGE));
	INT(c->unmap(p, 4 * MB + 1));
	close(zero);
	close(deaf);
}

static void remap_arguments(const struct calls *c)
{
	fresh(c, AT(0), 8 * MB);
	store(AT(MB), 4);
	POINTER(c->remap(AT(0), 8 * MB, SIZE_MAX / 2, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, SIZE_MAX, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, 0, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 0, 8 * MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 0, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(32 * MB)));
	POINTER(c->remap(AT(0), SIZE_MAX, MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), (size_t)1 << 47, MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, (size_t)1 << 46, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, (size_t)1 << 47, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, (size_t)1 << 48, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0) + 1, 4 * MB, 8 * MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 16 * MB, 32 * MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(0), 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(4 * MB)));
	POINTER(c->remap(AT(0), 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(32 * MB) + 1));
	POINTER(c->remap(AT(0), 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
	VALUE(peek(AT(MB)));
	store(AT(MB), 5);
	POINTER(c->remap(AT(0), 8 * MB, 2 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(48 * MB) + 5 * PAGE));
	VALUE(peek(AT(49 * MB + 5 * PAGE)));
	/* A hole at the start, followed by a window. */
	fresh(c, AT(0), 8 * MB);
	INT(c->unmap(AT(0), 64 * KB));
	POINTER(c->remap(AT(0), 8 * MB, 4 * MB, 0, NULL));
	POINTER(c->remap(AT(64 * KB), 8 * MB - 64 * KB, 4 * MB, 0, NULL));
	POINTER(c->remap(AT(64 * KB), 4 * MB, 40 * MB, 0, NULL)); /* the addresses are in use */
	POINTER(c->remap(AT(64 * KB), 4 * MB, 20 * MB, 0, NULL));
	VALUE(store(AT(20 * MB), 7));
	VALUE(peek(AT(20 * MB)));
}

/* Guard pages (Linux 6.13): touching them raises SIGSEGV, and their contents are lost. */
static void guards(const struct calls *c)
{
	uint64_t value;

	fresh(c, AT(0), 8 * MB);
	store(AT(MB), 4);
	INT(c->advise(AT(MB), 64 * KB, MADV_GUARD_INSTALL));
	VALUE(load(AT(MB), &value));
	VALUE(store(AT(MB), 4));
	VALUE(store(AT(MB + 64 * KB), 4));
	INT(c->advise(AT(MB), 32 * KB, MADV_GUARD_REMOVE));
	VALUE(store(AT(MB), 9));
	VALUE(store(AT(MB + 32 * KB), 4));
	VALUE(peek(AT(MB)));
}

int probe_main(void)
{
	uint64_t first = 0, count = 150;

	catch_faults();
	compare_flags(true);
	if (probe_argc > 2) {
		first = strtoul(probe_argv[1], NULL, 10);
		count = strtoul(probe_argv[2], NULL, 10);
	} else {
		if (tells_written())
			run_case("mincore", residence);
		else
			puts("not tested: mincore (before Linux 6.7)");
		run_case("MADV_COLLAPSE", collapse);
		run_case("flags", flags_stay);
		run_case("arguments of mmap", mapping_arguments);
		run_case("arguments of mremap", remap_arguments);
		run_case("guards", guards);
		io_cases();
	}
	random_cases(first, count);
	return probe_status_of_checks();
}
