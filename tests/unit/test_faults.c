/*
 * Every call of the os table fails: the first, the nth, and all of them, while a program allocates, resizes,
 * frees, maps and remaps. Whatever fails: what is served reads as zero, nothing written is lost, nothing
 * stays mapped or open, and nobody is told the same thing twice.
 */
#include "core_fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/shm.h>

#include "cache/cache.h"
#include "os/facts.h"

/* --- a table of which any call can fail --- */

#define CALLS(X)                                                                                             \
	X(intptr_t, mmap, (void *a, size_t b, int c, int d, int e, int64_t f), (a, b, c, d, e, f))           \
	X(int, munmap, (void *a, size_t b), (a, b))                                                          \
	X(intptr_t, mremap, (void *a, size_t b, size_t c, int d, void *e), (a, b, c, d, e))                  \
	X(int, mprotect, (void *a, size_t b, int c), (a, b, c))                                              \
	X(int, madvise, (void *a, size_t b, int c), (a, b, c))                                               \
	X(int, mincore, (void *a, size_t b, unsigned char *c), (a, b, c))                                    \
	X(ssize_t, peek, (const void *a, void *b, size_t c), (a, b, c))                                      \
	X(int, handle_signal, (int a, void (*b)(int)), (a, b))                                               \
	X(int, mlock, (void *a, size_t b), (a, b))                                                           \
	X(long, pass, (long a, long b, long c, long d, long e, long f, long g), (a, b, c, d, e, f, g))       \
	X(int, memfd_create, (const char *a), (a))                                                           \
	X(int, ftruncate, (int a, int64_t b), (a, b))                                                        \
	X(int, seal, (int a), (a))                                                                           \
	X(int, seals, (int a), (a))                                                                          \
	X(int, limit, (int a, uint64_t *b), (a, b))                                                          \
	X(int, thp_disabled, (void), ())                                                                     \
	X(intptr_t, shmat, (int a, const void *b, int c), (a, b, c))                                         \
	X(int, shmdt, (const void *a), (a))                                                                  \
	X(int, shm_size, (int a, size_t *b), (a, b))                                                         \
	X(int, open, (const char *a, int b, unsigned c), (a, b, c))                                          \
	X(ssize_t, read, (int a, void *b, size_t c), (a, b, c))                                              \
	X(ssize_t, pread, (int a, void *b, size_t c, int64_t d), (a, b, c, d))                               \
	X(int, duplicate, (int a, int b), (a, b))                                                            \
	X(ssize_t, write, (int a, const void *b, size_t c), (a, b, c))                                       \
	X(int, fallocate, (int a, int64_t b), (a, b))                                                        \
	X(int, identify, (int a, struct lz_file_id *b), (a, b))                                              \
	X(int, hugetlb_page_size, (int a, size_t *b), (a, b))                                                \
	X(ssize_t, readlink, (const char *a, char *b, size_t c), (a, b, c))                                  \
	X(ssize_t, getcwd, (char *a, size_t b), (a, b))                                                      \
	X(int, ioctl, (int a, unsigned long b, void *c), (a, b, c))                                          \
	X(int, writable, (int a), (a))                                                                       \
	X(int, send_datagram, (const char *a, const void *b, size_t c), (a, b, c))                           \
	X(int, quiet_begin, (uint64_t * a), (a))                                                             \
	X(int, futex_wait, (_Atomic uint32_t *a, uint32_t b, unsigned c), (a, b, c))                         \
	X(int, futex_wake, (_Atomic uint32_t *a, int b), (a, b))                                             \
	X(int, holds, (const _Atomic uint32_t *a, uint32_t b), (a, b))                                       \
	X(int, block_signals, (uint64_t *a), (a))

/* close frees the descriptor even where it says that it failed; the other seven cannot fail. */
#define CANNOT_FAIL 8

enum call {
#define INDEX(type, name, parameters, arguments) CALL_##name,
	CALLS(INDEX) COUNT
};
static const char *const names[] = {
#define NAME(type, name, parameters, arguments) #name,
	CALLS(NAME)};

_Static_assert(
	COUNT + CANNOT_FAIL == sizeof(struct lz_os) / sizeof(void (*)(void)), "a call is not in the list");

static struct {
	int call; /* -1: none */
	unsigned from, count;
	int error;
	unsigned seen[COUNT], hit;
} fault;

static struct lz_os under, table;

static bool fails(int call)
{
	unsigned n = ++fault.seen[call];
	bool hit = call == fault.call && n >= fault.from && n - fault.from < fault.count;

	fault.hit += hit;
	return hit;
}

#define WRAPPER(type, name, parameters, arguments)                                                           \
	static type faulty_##name parameters                                                                 \
	{                                                                                                    \
		return fails(CALL_##name) ? (type)fault.error : under.name arguments;                        \
	}
CALLS(WRAPPER)

static void start(char *const *envp)
{
	under = *fake_os();
	table = under;
#define USE(type, name, parameters, arguments) table.name = faulty_##name;
	CALLS(USE)
	memset(&fault, 0, sizeof fault);
	fault.call = -1;
	memset(&core, 0, sizeof core);
	/* ENOSYS of the fault before is no fact about this kernel. */
	lz_facts_forget();
	cr_assert_eq(lz_core_init(&core, &table, envp, "prog"), 0);
}

/* --- what must hold --- */

static char situation[128];

#define HOLDS(condition) cr_assert(condition, "%s: %s", situation, #condition)

static void check_zero(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += 4096)
		cr_assert_eq(p[i], 0, "%s: byte %zu of %zu is %d", situation, i, to, p[i]);
}

static bool served(int error)
{
	HOLDS(error == 0 || error == -ENOMEM || error == -EAGAIN);
	return error == 0;
}

static char *zeroed(size_t size)
{
	struct lz_request request = {.call = "calloc", .size = size, .zeroed = true};
	void *p = NULL;

	if (!served(lz_heap_allocate(&core.heap, &request, 0, &p)))
		return NULL;
	check_zero(p, 0, size);
	return p;
}

static void let_go(char *p)
{
	if (p != NULL)
		HOLDS(lz_heap_free(&core.heap, p) == 0);
}

/* A page in each 256 KiB: enough to tell pages that were lost, few enough to be sparse. */
static void mark(char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 256 << 10)
		p[i] = (char)(i >> 18 | 1);
}

static void check_marked(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 256 << 10)
		cr_assert_eq(p[i], (char)(i >> 18 | 1), "%s: byte %zu was lost", situation, i);
	check_zero(p, 4096, size < 256 << 10 ? size : 256 << 10);
}

static void blocks(void)
{
	char *p = zeroed(4 * MIB), *q = zeroed(MIB), *r;

	if (q != NULL)
		memset(q, 5, MIB);
	let_go(q);
	q = zeroed(MIB);
	r = zeroed(3 * MIB);
	if (p != NULL) {
		static const size_t sizes[] = {10 * MIB, 2 * MIB, 6 * MIB, 12 * MIB};
		size_t size = 4 * MIB;

		mark(p, size);
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			void *moved = p;

			if (served(resize(p, sizes[i], &moved)))
				size = sizes[i];
			p = moved;
			check_marked(p, size < 2 * MIB ? size : 2 * MIB);
			if (i == 0 && size == sizes[0])
				check_zero(p, 4 * MIB, size);
			mark(p, size);
		}
	}
	let_go(q);
	let_go(r);
	let_go(p);
}

static void mappings(void)
{
	intptr_t at = map_anonymous(NULL, 8 * MIB, PROT_READ | PROT_WRITE, 0);
	size_t size = 8 * MIB;
	char *p = (char *)at;

	if (lz_os_failed(at))
		return;
	check_zero(p, 0, size);
	mark(p, size);
	if (lz_calls_mprotect(&core.calls, p + 2 * MIB, MIB, PROT_READ, -1, NULL) == 0 &&
		lz_calls_mprotect(&core.calls, p + 2 * MIB, MIB, PROT_READ | PROT_WRITE, -1, NULL) != 0)
		mprotect(p + 2 * MIB, MIB, PROT_READ | PROT_WRITE);
	check_marked(p, size);
	if (lz_calls_madvise(&core.calls, p + 4 * MIB, 4 * MIB, MADV_DONTNEED) == 0) {
		check_zero(p, 4 * MIB, size);
		mark(p, size);
	}
	at = lz_calls_mremap(&core.calls, p, size, 12 * MIB, MREMAP_MAYMOVE, NULL, NULL);
	if (!lz_os_failed(at)) {
		p = (char *)at;
		check_zero(p, size, 12 * MIB);
		check_marked(p, size);
		size = 12 * MIB;
	}
	/* A munmap that fails has done nothing; then the kernel itself must be asked. */
	if (lz_calls_munmap(&core.calls, p + MIB, 2 * MIB) != 0)
		check_marked(p, MIB);
	if (lz_calls_munmap(&core.calls, p, size) != 0)
		munmap(p, size);
}

static void run_program(void)
{
	blocks();
	mappings();
	lz_cache_flush(&core.cache);
}

/* Bytes of address space, and open descriptors. */
static size_t mapped_bytes(void)
{
	static char line[512];
	FILE *maps = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		pages = strtoul(line, NULL, 10);
	if (maps != NULL)
		fclose(maps);
	return pages * 4096;
}

static unsigned descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

/* Digits apart, no two lines are the same. */
static void check_said_once(void)
{
	static char text[sizeof fake.written];
	size_t length = 0;

	for (const char *at = fake.written; *at != '\0'; at++)
		if (!isxdigit((unsigned char)*at))
			text[length++] = *at;
	text[length] = '\0';
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		for (char *other = text; other < line; other += strlen(other) + 1)
			cr_assert(*line == '\0' || strcmp(line, other) != 0, "%s: said twice: %s", situation,
				fake.written);
	}
}

/* --- the walk --- */

/* Limits are read ten times a second: here in each run, however long it takes. */
static void forget_limits(void)
{
	atomic_store(&core.cache.limits_ms, 0);
}

/* A sanitizer's shadow is many mappings: when the ledger is compared with them, its own memory grows. */
#ifdef __SANITIZE_ADDRESS__
#define LEDGER_GROWTH ((size_t)256 << 10)
#else
#define LEDGER_GROWTH 0
#endif

static void with_fault(char *const *envp, int call, unsigned from, unsigned count, int error)
{
	size_t before;
	unsigned open_before;

	snprintf(situation, sizeof situation, "%s %s, %u from the %uth, %s", envp[0], names[call], count,
		from, strerror(-error));
	start(envp);
	/* What the core keeps for itself is there after the first run. */
	run_program();
	/* In this order: counting descriptors makes the heap grow. */
	open_before = descriptors();
	before = mapped_bytes();
	memset(fault.seen, 0, sizeof fault.seen);
	fake.written_length = 0;
	fake.written[0] = '\0';
	fault.call = call;
	fault.from = from;
	fault.count = count;
	fault.error = error;
	forget_limits();
	run_program();
	fault.call = -1;
	check_said_once();
	cr_assert_eq(descriptors(), open_before, "%s: descriptors", situation);
	/* What munmap did not give back, nobody can. */
	if (call != CALL_munmap)
		cr_assert_leq(mapped_bytes(), before + LEDGER_GROWTH, "%s: %zu bytes more are mapped",
			situation, mapped_bytes() - before);
	/* And it is well again. */
	run_program();
	HOLDS(core.books.stats.wire->region_bytes == 0);
	HOLDS(core.books.stats.wire->window_regions == 0 && core.books.stats.wire->window_region_bytes == 0);
}

/* As with_fault, but from the first call on: what start-up cannot have, it does without. */
static void from_the_start(char *const *envp, int call, int error)
{
	snprintf(situation, sizeof situation, "%s %s from start-up, %s", envp[0], names[call],
		strerror(-error));
	start(envp);
	memset(&core, 0, sizeof core);
	fault.call = call;
	fault.from = 1;
	fault.count = UINT32_MAX;
	fault.error = error;
	if (lz_core_init(&core, &table, envp, "prog") == 0)
		run_program();
	check_said_once();
}

/* A crash says where it was. */
static void on_crash(int number)
{
	(void)!write(STDERR_FILENO, situation, strlen(situation));
	(void)!write(STDERR_FILENO, "\n", 1);
	signal(number, SIG_DFL);
	raise(number);
}

static void walk(char *const *envp)
{
	static const int errors[] = {-ENOMEM, -EPERM, -EINTR};
	unsigned total[COUNT];

	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	start(envp);
	run_program();
	memset(fault.seen, 0, sizeof fault.seen);
	strcpy(situation, "no fault");
	forget_limits();
	run_program();
	memcpy(total, fault.seen, sizeof total);
	for (int call = 0; call < COUNT; call++) {
		unsigned hits = 0;

		for (unsigned n = 1; n <= total[call]; n += n < 2 ? 1 : n) {
			with_fault(envp, call, n, 1, -ENOMEM);
			hits += fault.hit;
		}
		for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
			with_fault(envp, call, 1, UINT32_MAX, errors[i]);
			hits += fault.hit;
		}
		from_the_start(envp, call, -ENOSYS);
		cr_expect(hits > 0 || total[call] == 0, "%s never failed", names[call]);
	}
}

Test(faults, on_the_zero_page)
{
	walk((char *[]){"LAZYZERO_BACKING=zeropage", "LAZYZERO_BUDGET=1G", NULL});
}

Test(faults, on_the_window)
{
	walk((char *[]){"LAZYZERO_BACKING=window", "LAZYZERO_BUDGET=1G", NULL});
}

Test(faults, with_a_report)
{
	static char path[] = "/tmp/lazyzero-faults.XXXXXX", variable[64];
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	unlink(path);
	snprintf(variable, sizeof variable, "LAZYZERO_REPORT=%s", path);
	walk((char *[]){variable, "LAZYZERO_BUDGET=1G", NULL});
	unlink(path);
}

Test(faults, nothing_kept_and_huge_pages_refused)
{
	walk((char *[]){"LAZYZERO_CACHE=0", "LAZYZERO_BUDGET=1G", "LAZYZERO_THP=never",
		"LAZYZERO_POPULATE=read", NULL});
}
