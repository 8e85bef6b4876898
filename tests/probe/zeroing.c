/*
 * memset, bzero and explicit_bzero over large ranges: contents are always right, and pages that were never
 * touched stay untouched on every kind of private anonymous memory.
 *
 * PROBE_FIRST in the environment names a call to make before anything else; see first_call.
 */
#include "zeroing.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kernel.h"
#include "early_memset.h"

/* Not declared by every C library, or only with -D_FORTIFY_SOURCE. */
void *__memset_chk(void *p, int byte, size_t size, size_t room);
__attribute__((weak)) void __explicit_bzero_chk(void *p, size_t size, size_t room);

/* --- zeroing.h --- */

__attribute__((noinline)) void zero_by(enum name name, void *p, size_t size)
{
	void *result = p;

	errno = UNTOUCHED;
	switch (name) {
	case MEMSET:
		/* The value is converted to unsigned char. */
		result = memset(p, 0x4200, size);
		break;
	case BZERO:
		bzero(p, size);
		break;
	case EXPLICIT_BZERO:
		explicit_bzero(p, size);
		break;
	case MEMSET_CHK:
		result = __memset_chk(p, 0, size, size);
		break;
	default:
		if (__explicit_bzero_chk != NULL)
			__explicit_bzero_chk(p, size, size + 1);
		else
			explicit_bzero(p, size);
	}
	CHECK(result == p, "name %d returns %p for %p", name, result, p);
	CHECK(errno == UNTOUCHED, "name %d sets errno to %d", name, errno);
}

__attribute__((noinline)) void zero(void *p, size_t size)
{
	errno = UNTOUCHED;
	CHECK(memset(p, 0, size) == p, "memset returns another address");
	CHECK(errno == UNTOUCHED, "memset sets errno to %d", errno);
}

/* struct pm_scan_arg of Linux 6.7, which older headers lack. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

static bool kernel_scans(void)
{
	static struct scan scan = {.size = sizeof scan};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), result;

	scan.start = (uintptr_t)&scan & -PAGE;
	scan.end = scan.start + PAGE;
	scan.category_anyof_mask = scan.return_mask = 1 << 3;
	result = ioctl(fd, _IOWR('f', 16, struct scan), &scan);
	if (fd >= 0)
		close(fd);
	return result >= 0;
}

bool skips_pages(void)
{
	static int known = -1;
	const char *families = getenv("LAZYZERO_INTERCEPT");

	if (known < 0)
		known = probe_preloaded() && getenv("PROBE_FIRST") == NULL &&
			(families == NULL || strstr(families, "memset") != NULL) &&
			getenv("LAZYZERO_DISABLE") == NULL && getenv("LAZYZERO_ONLY") == NULL &&
			kernel_scans();
	return known != 0;
}

size_t memset_threshold(void)
{
	const char *value = getenv("LAZYZERO_MEMSET_THRESHOLD");

	return value == NULL ? 4 * MB : strtoul(value, NULL, 10) * (strchr(value, 'K') != NULL ? KB : MB);
}

/*
 * Counts the pages that have contents of their own or map the zero page, and reads them and one in 16 of the
 * others; *zero says whether they are zero. Reading more would make a block look full where the kernel has no
 * zero page.
 */
static size_t visit_pages(const char *p, size_t size, bool *zero)
{
	const uint64_t present = UINT64_C(1) << 63, swapped = UINT64_C(1) << 62, of_file = UINT64_C(1) << 61;
	uint64_t entry[64];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t count = 0;

	CHECK(fd >= 0, "pagemap: %s", strerror(errno));
	for (size_t at = 0; at < size; at += PAGE) {
		bool is_present;

		if (at / PAGE % 64 == 0 &&
			pread(fd, entry, sizeof entry, (off_t)((uintptr_t)(p + at) / PAGE * 8)) < 8)
			break;
		is_present = (entry[at / PAGE % 64] & (present | swapped)) != 0 &&
			     (entry[at / PAGE % 64] & of_file) == 0;
		count += is_present;
		if (zero != NULL && (is_present || at / PAGE % 16 == 0))
			*zero = *zero && all_zero(p + at, size - at < PAGE ? size - at : PAGE);
	}
	close(fd);
	return count;
}

size_t present_pages(const void *p, size_t size)
{
	return visit_pages(p, size, NULL);
}

bool sparse_zero(const char *p, size_t size)
{
	size_t lead = -(uintptr_t)p & (PAGE - 1);
	bool zero = all_zero(p, lead);

	visit_pages(p + lead, size - lead, &zero);
	return zero;
}

bool all_zero(const char *p, size_t size)
{
	return size == 0 || (*p == 0 && memcmp(p, p + 1, size - 1) == 0);
}

char *map_private(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		return p;
	perror("mmap");
	_exit(2);
}

bool in_child_process(void (*check)(void), const char *what)
{
	int failed_before = probe_status_of_checks(), status = 0;
	pid_t child = fork();

	if (child == 0) {
		check();
		fflush(stdout);
		_exit(probe_status_of_checks() != failed_before);
	}
	return CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0,
		"%s: a child did not end well", what);
}

/* --- kinds of memory --- */

enum kind { CALLOC, MALLOC, RECYCLED, GROWN, MAPPED, BELOW, ALIGNED, MOVED, KINDS };

static const char *const kind_names[KINDS] = {"calloc", "malloc", "a recycled region", "realloc", "mmap",
	"malloc below", "aligned_alloc", "mremap"};

/* Returns `size` bytes of memory, page-aligned but for BELOW. */
static char *make(enum kind kind, size_t size)
{
	char *p;

	switch (kind) {
	case CALLOC:
		return calloc(1, size);
	case MALLOC:
		return malloc(size);
	case RECYCLED:
		p = calloc(1, size);
		for (size_t at = 0; at < size; at += 64 * PAGE)
			p[at] = 1;
		free(p);
		return calloc(1, size);
	case GROWN:
		return realloc(malloc(size - 4 * MB), size);
	case MAPPED:
		return map_private(size);
	case MOVED:
		p = mremap(map_private(size / 2), size / 2, size, MREMAP_MAYMOVE);
		return p == MAP_FAILED ? NULL : p;
	case ALIGNED:
		return aligned_alloc(64 * KB, size);
	default:
		/* From there on the C library maps blocks itself; the library's threshold may be lower. */
		return malloc(20 * MB < size ? 20 * MB : size);
	}
}

static void release(enum kind kind, char *p, size_t size)
{
	if (kind == MAPPED || kind == MOVED)
		munmap(p, size);
	else
		free(p);
}

static size_t size_of_kind(enum kind kind)
{
	/* At least 32 MiB, or the C library may serve a block from its heap, which may hold old pages. */
	return kind == MALLOC ? 34 * MB : kind == GROWN ? 40 * MB : kind == BELOW ? 20 * MB : BLOCK;
}

/*
 * Whether untouched pages of that memory are visible as such. Other allocators may touch their blocks, and a
 * write, or a read where the kernel has no huge zero page, makes a whole huge page present.
 */
static bool is_fresh(enum kind kind)
{
	const char *huge_pages = getenv("LAZYZERO_THP");

	if (huge_pages != NULL && strcmp(huge_pages, "always") == 0)
		return false;
	return getenv("PROBE_ALLOCATOR") == NULL || kind == MAPPED || kind == MOVED || kind == CALLOC;
}

static void check_kind(enum kind kind, enum name name)
{
	size_t size = size_of_kind(kind), before, after;
	char *p = make(kind, size), *first = (char *)(((uintptr_t)p + PAGE - 1) & -PAGE);

	if (!CHECK(p != NULL, "%s: no memory", kind_names[kind]))
		return;
	size -= 2 * PAGE; /* whole pages from `first` on */
	before = present_pages(first, size);
	for (int round = 0; round < 2; round++) {
		zero_by(name, first, size);
		zero_by(name, first + 5 + MB, size - 2 * MB - 10);
	}
	after = present_pages(first, size);
	if (skips_pages() && is_fresh(kind) && before < size / PAGE / 8)
		CHECK(after <= before + 2, "%s, name %d: untouched, %zu pages present after %zu",
			kind_names[kind], name, after, before);
	CHECK(sparse_zero(first, size), "%s, name %d: untouched memory is not zero", kind_names[kind], name);
	for (unsigned i = 0; i < size / PAGE / 128; i++)
		memset(first + probe_random() % (size - 8), 0x5a, 8);
	for (int round = 0; round < 4; round++) {
		/* A part of the block with ends that are not aligned, and what is stored beside it. */
		size_t from = 1 + probe_random() % (size / 4), to = size - 1 - probe_random() % (size / 4);

		first[from - 1] = first[to] = 0x77;
		first[from] = first[to - 1] = 0x5a;
		first[from + (to - from) / 2] = 0x5a;
		zero_by(name, first + from, to - from);
		CHECK(sparse_zero(first + from, to - from), "%s, name %d: [%zu, %zu) is not zero",
			kind_names[kind], name, from, to);
		CHECK(first[from - 1] == 0x77 && first[to] == 0x77, "%s, name %d: changed beside [%zu, %zu)",
			kind_names[kind], name, from, to);
	}
	release(kind, p, size + 2 * PAGE);
}

/* Written pages do not spread: clearing makes only the partial pages at the ends present. */
static void check_sparse(enum kind kind)
{
	size_t size = size_of_kind(kind), before, after, pages = 2;
	char *p = make(kind, size), *first = (char *)(((uintptr_t)p + PAGE - 1) & -PAGE);

	size -= 2 * PAGE;
	before = present_pages(first, size);
	for (size_t at = 100; at < size; at += 100 * PAGE, pages++)
		first[at] = 1;
	for (int round = 0; round < 5; round++) {
		first[100] = first[100 + 200 * PAGE] = 1;
		zero(first + 1, size - 2);
	}
	after = present_pages(first, size);
	if (skips_pages() && is_fresh(kind) && before < size / PAGE / 8)
		CHECK(after <= before + pages, "%s: %zu pages present after %zu and %zu written ones",
			kind_names[kind], after, before, pages);
	CHECK(sparse_zero(first + 1, size - 2), "%s: sparse memory is not zero", kind_names[kind]);
	release(kind, p, size + 2 * PAGE);
}

/* Pages that were only read map the zero page, and keep doing so. The size is one that no other check uses.
 */
static void check_read_pages(void)
{
	char *p = map_private(24 * MB);
	size_t before, after;

	zero(p, 24 * MB);
	CHECK(all_zero(p, 24 * MB), "untouched memory");
	p[5 * MB] = 1;
	before = probe_status("RssAnon:");
	zero(p, 24 * MB);
	after = probe_status("RssAnon:");
	CHECK(all_zero(p, 24 * MB), "memory that was read");
	if (skips_pages() && kernel_has_zero_page())
		CHECK(after < before + 4 * MB, "RssAnon grew from %zu to %zu", before, after);
	munmap(p, 24 * MB);
}

/* Huge pages: the huge zero page, written ones, and one written page among them. */
static void check_huge_pages(void)
{
	size_t size = 64 * MB, before, after;
	char *all = map_private(size + 2 * MB), *p = (char *)(((uintptr_t)all + 2 * MB - 1) & -(2 * MB));

	madvise(p, size, MADV_HUGEPAGE);
	/* Reads only: the huge zero page. */
	for (size_t at = 0; at < size; at += 2 * MB)
		CHECK(((volatile char *)p)[at] == 0, "new memory");
	p[9 * MB] = 1;
	before = probe_status("RssAnon:");
	zero(p + 100, size - 200);
	after = probe_status("RssAnon:");
	CHECK(all_zero(p, size), "huge pages that were read");
	if (skips_pages())
		CHECK(after < before + 8 * MB, "huge pages: RssAnon grew from %zu to %zu", before, after);
	for (size_t at = 0; at < size; at += 8 * MB)
		memset(p + at, 0x5a, 3 * MB);
	zero(p + 3 * MB + 5, size - 9 * MB);
	CHECK(all_zero(p + 3 * MB + 5, size - 9 * MB), "written huge pages");
	CHECK(p[3 * MB - 1] == 0x5a && p[0] == 0x5a && p[58 * MB + 5] == 0x5a, "beside written huge pages");
	munmap(all, size + 2 * MB);
}

/* A block that holds something everywhere. The size is one that no other check uses: call sites learn. */
static void check_full(void)
{
	size_t size = 130 * MB / 4 + 1;
	char *p = map_private(size);

	for (int round = 0; round < 2; round++) {
		memset(p, 0x33 + round, size);
		zero_by(MEMSET, p + 5, size - 9);
		CHECK(all_zero(p + 5, size - 9), "a full block, round %d", round);
		CHECK(p[4] == 0x33 + round && p[size - 4] == 0x33 + round, "beside a full block");
	}
	munmap(p, size);
}

static void check_swapped(void)
{
	char *p = map_private(BLOCK);

	for (size_t at = 0; at < BLOCK; at += 32 * PAGE)
		p[at] = 9;
	madvise(p, BLOCK, 21 /* MADV_PAGEOUT, Linux 5.4 */);
	zero(p, BLOCK);
	CHECK(all_zero(p, BLOCK), "swapped pages");
	munmap(p, BLOCK);
}

static void check_below_threshold(void)
{
	size_t size = memset_threshold() - 1;
	char *p = map_private(size + 1);

	zero_by(BZERO, p, size);
	CHECK_EQUAL(present_pages(p, size + 1), (size + PAGE) / PAGE);
	munmap(p, size + 1);
	p = map_private(BLOCK);
	memset(p, 1, BLOCK);
	CHECK_EQUAL(present_pages(p, BLOCK), BLOCK / PAGE);
	CHECK(p[0] == 1 && memcmp(p, p + 1, BLOCK - 1) == 0, "memset(1)");
	munmap(p, BLOCK);
}

/* --- explicit_bzero --- */

#define SECRET "a secret that nobody may find"

static bool holds_secret(const char *buffer, size_t size)
{
	return memmem(buffer, size, SECRET, strlen(SECRET)) != NULL;
}

static void check_secrets(void)
{
	static char seen[1 << 16];
	char *p = calloc(1, BLOCK);
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), status = 0;
	pid_t parent = getpid(), child;

	for (size_t at = 100; at < BLOCK - 100; at += 37 * PAGE)
		memcpy(p + at, SECRET, strlen(SECRET));
	zero_by(EXPLICIT_BZERO, p, BLOCK);
	for (size_t at = 0; at < BLOCK; at += sizeof seen) {
		CHECK(pread(mem, seen, sizeof seen, (off_t)(uintptr_t)(p + at)) == sizeof seen,
			"/proc/self/mem");
		if (!CHECK(!holds_secret(seen, sizeof seen), "a secret is left at %zu", at))
			break;
	}
	close(mem);
	/* Yama lets only ancestors look. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	child = fork();
	if (child == 0) {
		for (size_t at = 0; at < BLOCK; at += sizeof seen) {
			struct iovec to = {seen, sizeof seen}, from = {p + at, sizeof seen};

			if (process_vm_readv(parent, &to, 1, &from, 1, 0) < 0 && errno == EPERM)
				_exit(0);
			if (holds_secret(seen, sizeof seen))
				_exit(1);
		}
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0, "another process finds a secret");
	free(p);
}

/* --- calls before the library is ready --- */

/* The call that PROBE_FIRST names, then memory that is cleared by small and large calls. */
static void first_call(const char *name)
{
	static char small[200];

	if (strcmp(name, "userfaultfd") == 0)
		syscall(SYS_userfaultfd, O_CLOEXEC);
	else if (strcmp(name, "seccomp") == 0)
		syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &(unsigned){0});
	else if (strcmp(name, "vmsplice") == 0)
		syscall(SYS_vmsplice, -1, NULL, 0, 0);
	bzero(small, 100);
	explicit_bzero(small, 100);
	CHECK(__memset_chk(small, 7, 100, 200) == small && small[99] == 7, "a small memset");
	for (enum name by = 0; by < NAMES; by++)
		zero_by(by, small, 50 + by);
}

int probe_main(void)
{
	if (getenv("PROBE_FIRST") != NULL)
		first_call(getenv("PROBE_FIRST"));
	CHECK(early_memset_worked(), "memset in an IFUNC resolver");
	for (enum kind kind = 0; kind < KINDS; kind++)
		for (enum name name = 0; name < NAMES; name++)
			if (name == MEMSET || kind == CALLOC || kind == MAPPED)
				check_kind(kind, name);
	for (enum kind kind = 0; kind < KINDS; kind++)
		check_sparse(kind);
	check_read_pages();
	check_huge_pages();
	check_full();
	check_swapped();
	check_below_threshold();
	check_secrets();
	check_plain();
	check_faults();
	check_concurrent();
	return probe_status_of_checks();
}
