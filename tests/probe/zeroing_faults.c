/*
 * Memory that must fault as it does without the library. The probe prints where each call faults; the script
 * compares that with a run without the library.
 */
#include "zeroing.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13 */
#define ROUNDS 3000

void *__memset_chk(void *p, int byte, size_t size, size_t room);
__attribute__((weak)) void __explicit_bzero_chk(void *p, size_t size, size_t room);

static sigjmp_buf landing;
static siginfo_t fault;

static void jump(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	fault = *info;
	siglongjmp(landing, 1);
}

/* Clears, and returns whether that raised a signal. */
static bool faults(enum name name, char *p, size_t size)
{
	struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO}, before[2];
	volatile bool raised = true;

	sigaction(SIGSEGV, &action, &before[0]);
	sigaction(SIGBUS, &action, &before[1]);
	if (sigsetjmp(landing, 1) == 0) {
		if (name == MEMSET)
			memset(p, 0, size);
		else
			zero_by(name, p, size);
		raised = false;
	}
	sigaction(SIGSEGV, &before[0], NULL);
	sigaction(SIGBUS, &before[1], NULL);
	return raised;
}

/* Prints where clearing faults. */
static void report(enum name name, const char *what, char *p, size_t size)
{
	if (faults(name, p + 40, size - 40))
		printf("%s, name %d: signal %d, code %d, page %zu\n", what, name, fault.si_signo,
			fault.si_code, ((uintptr_t)fault.si_addr - (uintptr_t)p) / PAGE);
	else
		printf("%s, name %d: no fault\n", what, name);
}

static bool make_hole(char *p, size_t size)
{
	return munmap(p, size) == 0;
}

static bool make_none(char *p, size_t size)
{
	return mprotect(p, size, PROT_NONE) == 0;
}

static bool make_read_only(char *p, size_t size)
{
	return mprotect(p, size, PROT_READ) == 0;
}

static bool make_guard(char *p, size_t size)
{
	return madvise(p, size, GUARD_INSTALL) == 0;
}

/* Pages of a file beyond its end: SIGBUS. */
static bool make_end_of_file(char *p, size_t size)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	bool mapped = ftruncate(fd, 3 * (off_t)PAGE) == 0 && size > 4 * PAGE &&
		      mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == p;

	close(fd);
	return mapped;
}

static const struct obstacle {
	const char *name;
	bool (*make)(char *p, size_t size);
} obstacles[] = {{"hole", make_hole}, {"PROT_NONE", make_none}, {"read-only", make_read_only},
	{"guard", make_guard}, {"end of file", make_end_of_file}};

#define OBSTACLES (sizeof obstacles / sizeof *obstacles)

#define LENGTH (6 * MB)
enum fill { UNTOUCHED_PAGES, SPARSE, HUGE_PAGES, FULL, FILLS };

static char *filled(char *p, enum fill fill)
{
	if (fill == HUGE_PAGES)
		madvise(p, LENGTH, MADV_HUGEPAGE);
	/* Learned as a block that is sparse. */
	if (fill == SPARSE)
		zero(p, LENGTH);
	for (size_t at = 64; fill != UNTOUCHED_PAGES && at < LENGTH; at += fill == FULL ? PAGE : 32 * PAGE)
		p[at] = 7;
	return p;
}

/* The obstacle at different places, in memory that is untouched, sparse, full, or in huge pages. */
static void check_obstacle(const struct obstacle *obstacle)
{
	static const struct {
		size_t from, length;
	} places[] = {
		{0, 8 * PAGE}, {LENGTH / 2, 5 * PAGE}, {2 * MB, 2 * MB}, {LENGTH - PAGE, PAGE}, {0, LENGTH}};

	for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
		for (enum fill fill = 0; fill < FILLS; fill++) {
			size_t from = places[i].from, to = from + places[i].length;
			char *all = map_private(LENGTH + 2 * MB), what[80];
			char *p = filled((char *)(((uintptr_t)all + 2 * MB - 1) & -(2 * MB)), fill);

			snprintf(what, sizeof what, "%s in pages %zu to %zu, fill %d", obstacle->name,
				from / PAGE, to / PAGE, fill);
			if (obstacle->make(p + from, to - from)) {
				report((enum name)((i + fill) % NAMES), what, p, LENGTH);
				/* All before the obstacle is cleared, and nothing after it is. */
				if (from != 0)
					CHECK(all_zero(p + 40, from - 40), "%s: not cleared up to it", what);
				if (fill != UNTOUCHED_PAGES && to < LENGTH)
					CHECK(p[LENGTH - 32 * PAGE + 64] == 7, "%s: cleared beyond it", what);
			} else {
				printf("%s: not to be had\n", what);
			}
			munmap(all, LENGTH + 2 * MB);
		}
}

static unsigned count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

/*
 * Blocks whose pages became inaccessible before they are freed or unmapped: what is learned of their pages
 * then must not come from reading them.
 */
static void check_inaccessible_when_freed(void)
{
	/* The C library maps and unmaps such a block. */
	const size_t size = 34 * MB;

	for (int kind = 0; kind < 4; kind++) {
		bool mapped = kind & 1, huge = kind & 2;
		char *p = mapped ? map_private(size) : aligned_alloc(2 * MB, size);

		if (huge)
			madvise(p, size, MADV_HUGEPAGE);
		zero(p, size);
		for (size_t at = 0; at < size; at += huge ? 2 * MB : 16 * PAGE)
			p[at] = 7;
		if (mapped) {
			mprotect(p, size, PROT_NONE);
			munmap(p, size);
		} else {
			mprotect(p + 2 * MB, size - 4 * MB, PROT_NONE);
			free(p);
		}
	}
}

/* A handler that jumps out of the call, thousands of times. */
static void check_jumps(void)
{
	char *all = map_private(BLOCK + 2 * MB), *p = (char *)(((uintptr_t)all + 2 * MB - 1) & -(2 * MB)), *q;
	unsigned open_before = 0;
	size_t mapped_before = 0, pages;

	madvise(p, 2 * MB, MADV_HUGEPAGE);
	p[0] = p[4 * MB] = 1;
	mprotect(p + 2 * MB + 3 * PAGE, PAGE, PROT_NONE);
	for (int i = 0; i < ROUNDS; i++) {
		/* The first round may make the C library allocate. */
		if (i == 1) {
			open_before = count_descriptors();
			mapped_before = probe_status("VmSize:");
		}
		CHECK(faults((enum name)(i % NAMES), p + 1 + (i & 1) * 2 * MB, 8 * MB), "round %d: no fault",
			i);
	}
	CHECK_EQUAL(count_descriptors(), open_before);
	CHECK(probe_status("VmSize:") <= mapped_before + MB, "VmSize grew from %zu to %zu", mapped_before,
		probe_status("VmSize:"));
	munmap(all, BLOCK + 2 * MB);
	q = map_private(7 * MB);
	/* A call site of its own: the others have learned. */
	memset(q, 0, 7 * MB);
	pages = present_pages(q, 7 * MB);
	if (skips_pages())
		CHECK(pages == 0, "after the jumps, %zu pages become present", pages);
	munmap(q, 7 * MB);
}

/* --- -D_FORTIFY_SOURCE --- */

static void overflow(bool explicitly)
{
	char *p = map_private(BLOCK);
	struct rlimit none = {0, 0};
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &none);
		/* What libc prints would make the test's log look like a failure. */
		close(STDERR_FILENO);
		if (explicitly && __explicit_bzero_chk != NULL)
			__explicit_bzero_chk(p, BLOCK, BLOCK - 1);
		else
			__memset_chk(p, 0, BLOCK, BLOCK - 1);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child, "waitpid");
	printf("overflow %d: status %#x\n", explicitly, (unsigned)status);
	munmap(p, BLOCK);
}

void check_faults(void)
{
	for (size_t i = 0; i < OBSTACLES; i++)
		check_obstacle(&obstacles[i]);
	check_inaccessible_when_freed();
	check_jumps();
	overflow(false);
	overflow(true);
}
