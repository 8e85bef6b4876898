/*
 * Fault injection: each call of the os table fails, the first, the nth, and all of them, while a scenario
 * allocates, resizes, frees, maps and remaps. In every case served memory reads as zero, written data is
 * preserved, nothing stays mapped or open, and no message is repeated.
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

/* --- a table in which any call can fail --- */

#define CALLS(X)                                                                                             \
	X(intptr_t, mmap, (void *a, size_t b, int c, int d, int e, int64_t f), (a, b, c, d, e, f))           \
	X(int, munmap, (void *a, size_t b), (a, b))                                                          \
	X(intptr_t, mremap, (void *a, size_t b, size_t c, int d, void *e), (a, b, c, d, e))                  \
	X(int, mprotect, (void *a, size_t b, int c), (a, b, c))                                              \
	X(int, madvise, (void *a, size_t b, int c), (a, b, c))                                               \
	X(int, mincore, (void *a, size_t b, unsigned char *c), (a, b, c))                                    \
	X(ssize_t, read_memory, (const void *a, void *b, size_t c), (a, b, c))                               \
	X(int, install_signal_handler, (int a, void (*b)(int)), (a, b))                                      \
	X(int, mlock, (void *a, size_t b), (a, b))                                                           \
	X(long, any_syscall, (long a, long b, long c, long d, long e, long f, long g),                       \
		(a, b, c, d, e, f, g))                                                                       \
	X(int, memfd_create, (const char *a), (a))                                                           \
	X(int, ftruncate, (int a, int64_t b), (a, b))                                                        \
	X(int, add_seals, (int a), (a))                                                                      \
	X(int, get_seals, (int a), (a))                                                                      \
	X(int, rlimit, (int a, uint64_t *b), (a, b))                                                         \
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
	X(int, describe_file, (int a, struct lz_mappable_file *b), (a, b))                                   \
	X(ssize_t, readlink, (const char *a, char *b, size_t c), (a, b, c))                                  \
	X(ssize_t, getcwd, (char *a, size_t b), (a, b))                                                      \
	X(int, ioctl, (int a, unsigned long b, void *c), (a, b, c))                                          \
	X(int, poll_writable, (int a), (a))                                                                  \
	X(int, send_datagram, (const char *a, const void *b, size_t c), (a, b, c))                           \
	X(int, block_write_signals, (uint64_t * a), (a))                                                     \
	X(int, futex_wait, (_Atomic uint32_t *a, uint32_t b, unsigned c), (a, b, c))                         \
	X(int, futex_wake, (_Atomic uint32_t *a, int b), (a, b))                                             \
	X(int, word_equals, (const _Atomic uint32_t *a, uint32_t b), (a, b))                                 \
	X(int, block_signals, (uint64_t * a), (a))

/* close frees the descriptor even if it returns an error; the other seven cannot fail. */
#define CANNOT_FAIL 8

enum call {
#define INDEX(type, name, parameters, arguments) CALL_##name,
	CALLS(INDEX) COUNT
};
static const char *const names[] = {
#define NAME(type, name, parameters, arguments) #name,
	CALLS(NAME)};

_Static_assert(COUNT + CANNOT_FAIL == sizeof(struct lz_os) / sizeof(void (*)(void)),
	"a function of the os table is missing from the list");

static struct {
	int call; /* -1: none */
	unsigned from, count;
	int error;
	unsigned seen[COUNT], injected;
} fault;

static struct lz_os real_os, table;

static bool fails(int call)
{
	unsigned n = ++fault.seen[call];
	bool injected = call == fault.call && n >= fault.from && n - fault.from < fault.count;

	fault.injected += injected;
	return injected;
}

#define WRAPPER(type, name, parameters, arguments)                                                           \
	static type faulty_##name parameters                                                                 \
	{                                                                                                    \
		return fails(CALL_##name) ? (type)fault.error : real_os.name arguments;                      \
	}
CALLS(WRAPPER)

static void start(char *const *envp)
{
	real_os = *fake_os();
	fake.now_ms = 1000000;
	table = real_os;
#define USE(type, name, parameters, arguments) table.name = faulty_##name;
	CALLS(USE)
	memset(&fault, 0, sizeof fault);
	fault.call = -1;
	memset(&core, 0, sizeof core);
	/* ENOSYS of the fault before is no fact about this kernel. */
	lz_facts_forget();
	cr_assert_eq(lz_core_init(&core, &table, envp, "prog"), 0);
}

/* --- invariants --- */

static char fault_description[128];

#define CHECK(condition) cr_assert(condition, "%s: %s", fault_description, #condition)

static void check_zero(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += 4096)
		cr_assert_eq(p[i], 0, "%s: byte %zu of %zu is %d", fault_description, i, to, p[i]);
}

static bool was_served(int error)
{
	CHECK(error == 0 || error == -ENOMEM || error == -EAGAIN);
	return error == 0;
}

static char *allocate_zeroed(size_t size)
{
	struct lz_request request = {.call = "calloc", .size = size, .zeroed = true};
	void *p = NULL;

	if (!was_served(lz_heap_allocate(&core.heap, &request, 0, &p)))
		return NULL;
	check_zero(p, 0, size);
	return p;
}

static void free_block(char *p)
{
	if (p != NULL)
		CHECK(lz_heap_free(&core.heap, p) == 0);
}

/* Writes one page in each 256 KiB: enough to detect lost pages, few enough to stay sparse. */
static void fill_pattern(char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 256 << 10)
		p[i] = (char)(i >> 18 | 1);
}

static void check_pattern(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 256 << 10)
		cr_assert_eq(p[i], (char)(i >> 18 | 1), "%s: byte %zu was lost", fault_description, i);
	check_zero(p, 4096, size < 256 << 10 ? size : 256 << 10);
}

/* Clears all but the first and last bytes of a block, as memset does. The last pages may be untouched. */
static void clear_block(char *p, size_t size)
{
	for (size_t i = 0; i < size / 2; i += 5 * 4096)
		p[i] = 3;
	p[0] = p[size - 1] = 9;
	lz_zeroing_clear(&core.zeroing, p + 1, size - 2, __builtin_return_address(0));
	check_zero(p, 4096, size);
	CHECK(p[0] == 9 && p[1] == 0 && p[size - 2] == 0 && p[size - 1] == 9);
	p[0] = p[size - 1] = 0;
}

static void use_blocks(void)
{
	char *p = allocate_zeroed(4 * MIB), *q = allocate_zeroed(MIB), *r;

	if (q != NULL) {
		clear_block(q, MIB);
		memset(q, 5, MIB);
	}
	free_block(q);
	q = allocate_zeroed(MIB);
	r = allocate_zeroed(3 * MIB);
	if (p != NULL) {
		static const size_t sizes[] = {10 * MIB, 2 * MIB, 6 * MIB, 12 * MIB};
		size_t size = 4 * MIB;

		fill_pattern(p, size);
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			void *moved = p;

			if (was_served(resize(p, sizes[i], &moved)))
				size = sizes[i];
			p = moved;
			check_pattern(p, size < 2 * MIB ? size : 2 * MIB);
			if (i == 0 && size == sizes[0])
				check_zero(p, 4 * MIB, size);
			fill_pattern(p, size);
		}
	}
	free_block(q);
	free_block(r);
	free_block(p);
}

static void use_mappings(void)
{
	intptr_t at = map_anonymous(NULL, 8 * MIB, PROT_READ | PROT_WRITE, 0);
	size_t size = 8 * MIB;
	char *p = (char *)at;

	if (lz_os_failed(at))
		return;
	check_zero(p, 0, size);
	clear_block(p, size);
	clear_block(p, size);
	fill_pattern(p, size);
	if (lz_calls_mprotect(&core.calls, p + 2 * MIB, MIB, PROT_READ, -1, NULL) == 0 &&
		lz_calls_mprotect(&core.calls, p + 2 * MIB, MIB, PROT_READ | PROT_WRITE, -1, NULL) != 0)
		mprotect(p + 2 * MIB, MIB, PROT_READ | PROT_WRITE);
	check_pattern(p, size);
	if (lz_calls_madvise(&core.calls, p + 4 * MIB, 4 * MIB, MADV_DONTNEED) == 0) {
		check_zero(p, 4 * MIB, size);
		fill_pattern(p, size);
	}
	at = lz_calls_mremap(&core.calls, p, size, 12 * MIB, MREMAP_MAYMOVE, NULL, NULL);
	if (!lz_os_failed(at)) {
		p = (char *)at;
		check_zero(p, size, 12 * MIB);
		check_pattern(p, size);
		size = 12 * MIB;
	}
	/* A failed munmap has changed nothing, so the kernel must unmap the memory. */
	if (lz_calls_munmap(&core.calls, p + MIB, 2 * MIB) != 0)
		check_pattern(p, MIB);
	if (lz_calls_munmap(&core.calls, p, size) != 0)
		munmap(p, size);
}

static void run_scenario(void)
{
	use_blocks();
	use_mappings();
	lz_cache_flush(&core.cache);
}

/* Mapped address space in bytes, and the number of open descriptors. */
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

/* No two lines may be equal, apart from digits. */
static void check_no_repeated_messages(void)
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
			cr_assert(*line == '\0' || strcmp(line, other) != 0, "%s: message repeated: %s",
				fault_description, fake.written);
	}
}

/* --- running the scenario with each fault --- */

/*
 * What the library reads at most every 100 ms, it reads once in each run, however long that takes: the clock
 * stands still but for this step, which is less than the age at which cached regions are unmapped.
 */
static void expire_cached_figures(void)
{
	fake.now_ms += 500;
}

/*
 * With a sanitizer, its shadow memory adds many mappings: reconciling with them makes the ledger allocate
 * memory.
 */
#ifdef __SANITIZE_ADDRESS__
#define LEDGER_GROWTH ((size_t)256 << 10)
#else
#define LEDGER_GROWTH 0
#endif

static void run_with_fault(char *const *envp, int call, unsigned from, unsigned count, int error)
{
	size_t before;
	unsigned open_before;

	snprintf(fault_description, sizeof fault_description, "%s %s, %u from the %uth, %s", envp[0],
		names[call], count, from, strerror(-error));
	start(envp);
	/* After the first run, the core has allocated its own memory. */
	run_scenario();
	/* Must come first: counting descriptors makes the heap grow. */
	open_before = descriptors();
	before = mapped_bytes();
	memset(fault.seen, 0, sizeof fault.seen);
	fake.written_length = 0;
	fake.written[0] = '\0';
	fault.call = call;
	fault.from = from;
	fault.count = count;
	fault.error = error;
	expire_cached_figures();
	run_scenario();
	fault.call = -1;
	check_no_repeated_messages();
	cr_assert_eq(descriptors(), open_before, "%s: descriptors", fault_description);
	/* Memory that munmap failed to release cannot be released otherwise. */
	if (call != CALL_munmap)
		cr_assert_leq(mapped_bytes(), before + LEDGER_GROWTH, "%s: %zu more bytes are mapped",
			fault_description, mapped_bytes() - before);
	/* Without faults, everything must work again. */
	run_scenario();
	CHECK(core.books.stats.wire->region_bytes == 0);
	CHECK(core.books.stats.wire->window_regions == 0 && core.books.stats.wire->window_region_bytes == 0);
}

/*
 * Like run_with_fault, but from the first call of start-up on. The library works without what start-up could
 * not get.
 */
static void run_with_fault_from_startup(char *const *envp, int call, int error)
{
	snprintf(fault_description, sizeof fault_description, "%s %s from start-up, %s", envp[0], names[call],
		strerror(-error));
	start(envp);
	memset(&core, 0, sizeof core);
	fault.call = call;
	fault.from = 1;
	fault.count = UINT32_MAX;
	fault.error = error;
	if (lz_core_init(&core, &table, envp, "prog") == 0)
		run_scenario();
	check_no_repeated_messages();
}

/* Reports the injected fault on a crash. */
static void on_crash(int number)
{
	(void)!write(STDERR_FILENO, fault_description, strlen(fault_description));
	(void)!write(STDERR_FILENO, "\n", 1);
	signal(number, SIG_DFL);
	raise(number);
}

static void run_all_faults(char *const *envp)
{
	static const int errors[] = {-ENOMEM, -EPERM, -EINTR};
	unsigned total[COUNT];

	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	start(envp);
	run_scenario();
	memset(fault.seen, 0, sizeof fault.seen);
	strcpy(fault_description, "no fault injected");
	expire_cached_figures();
	run_scenario();
	memcpy(total, fault.seen, sizeof total);
	for (int call = 0; call < COUNT; call++) {
		unsigned injected = 0;

		for (unsigned n = 1; n <= total[call]; n += n < 2 ? 1 : n) {
			run_with_fault(envp, call, n, 1, -ENOMEM);
			injected += fault.injected;
		}
		for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
			run_with_fault(envp, call, 1, UINT32_MAX, errors[i]);
			injected += fault.injected;
		}
		run_with_fault_from_startup(envp, call, -ENOSYS);
		cr_expect(injected > 0 || total[call] == 0, "%s never failed", names[call]);
	}
}

Test(fault_injection, zero_page_backing)
{
	run_all_faults((char *[]){"LAZYZERO_BACKING=zeropage", "LAZYZERO_BUDGET=1T", NULL});
}

Test(fault_injection, window_backing)
{
	run_all_faults((char *[]){"LAZYZERO_BACKING=window", "LAZYZERO_BUDGET=1T", NULL});
}

Test(fault_injection, with_report)
{
	static char path[] = "/tmp/lazyzero-faults.XXXXXX", variable[64];
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	unlink(path);
	snprintf(variable, sizeof variable, "LAZYZERO_REPORT=%s", path);
	run_all_faults((char *[]){variable, "LAZYZERO_BUDGET=1T", NULL});
	unlink(path);
}

Test(fault_injection, no_cache_and_no_huge_pages)
{
	run_all_faults((char *[]){"LAZYZERO_CACHE=0", "LAZYZERO_BUDGET=1T", "LAZYZERO_THP=never",
		"LAZYZERO_POPULATE=read", NULL});
}
