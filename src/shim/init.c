/* Start-up and shutdown of the shim; see shim.h and next.h. */
#include "shim/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/text.h"
#include "shim/arena.h"
#include "shim/company.h"
#include "shim/hugetlb.h"
#include "shim/interpose_syscall.h"
#include "shim/next.h"
#include "shim/next_calls.h"

enum start_state { COLD, STARTING, READY };

static _Atomic int next_state = COLD;
static _Atomic int core_state = COLD;

/*
 * Whether this thread is starting. Initial-exec, because a lazily allocated TLS block would call us;
 * volatile, because glibc declares dlsym a leaf, so the compiler takes it that nothing in this file runs
 * meanwhile.
 */
static __thread volatile bool starting __attribute__((tls_model("initial-exec")));

/* The stand-in for what an allocator may lack. */
static size_t unknown_size(void *p)
{
	(void)p;
	return 0;
}

/* The next functions themselves, whatever stands in lz_next. */
static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
} next_of_small;

/* --- looking up --- */

/* dlsym returns an object pointer; POSIX says it can be called. */
#define LOOK_UP(table, name) (*(void **)&(table)->name = dlsym(RTLD_NEXT, #name))

static void look_up(struct lz_next *table)
{
	LOOK_UP(table, malloc);
	LOOK_UP(table, calloc);
	LOOK_UP(table, realloc);
	LOOK_UP(table, free);
	LOOK_UP(table, memalign);
	LOOK_UP(table, aligned_alloc);
	LOOK_UP(table, posix_memalign);
	LOOK_UP(table, valloc);
	LOOK_UP(table, pvalloc);
	LOOK_UP(table, malloc_usable_size);
	/* cppcheck-suppress uninitvar ; LOOK_UP writes it by another type */
	table->known_size = table->malloc_usable_size;
	if (table->malloc_usable_size == NULL)
		table->malloc_usable_size = unknown_size;
	/* By a function that is no allocator's: tcmalloc takes the name __libc_malloc as well. */
	table->is_glibc =
		lz_company_is_together((const void *)table->malloc, dlsym(RTLD_NEXT, "gnu_get_libc_version"));
}

bool lz_start(void)
{
	int saved_errno = errno;
	int cold = COLD;

	if (starting)
		return false;
	if (atomic_compare_exchange_strong(&next_state, &cold, STARTING)) {
		struct lz_next found;

		starting = true;
		look_up(&found);
		lz_next_calls_find();
		lz_syscall_find();
		lz_next = found;
		next_of_small.malloc = found.malloc;
		next_of_small.calloc = found.calloc;
		next_of_small.realloc = found.realloc;
		starting = false;
		atomic_store(&next_state, READY);
		/* What was not found is not for the program to read at its first dlerror. */
		dlerror();
	}
	/* No thread exists before the first allocation; this is for one made by raw clone. */
	while (atomic_load(&next_state) != READY)
		sched_yield();
	lz_configure();
	errno = saved_errno;
	return true;
}

/* --- resolvers: what the table holds at first --- */

/*
 * Once started, an allocation goes through its interposer again: the thresholds are known only now. These are
 * tail calls, so the return address that will be logged is still the program's.
 */

static void *resolve_malloc(size_t size)
{
	return lz_start() ? malloc(size) : lz_arena_allocate(size, 1);
}

static void *resolve_calloc(size_t count, size_t size)
{
	size_t bytes;

	if (lz_start())
		return calloc(count, size);
	return __builtin_mul_overflow(count, size, &bytes) ? NULL : lz_arena_allocate(bytes, 1);
}

static void *resolve_realloc(void *p, size_t size)
{
	/* While starting, nothing but arena blocks exists, and those do not come here. */
	return lz_start() ? realloc(p, size) : p == NULL ? lz_arena_allocate(size, 1) : NULL;
}

static void resolve_free(void *p)
{
	if (lz_start())
		lz_next.free(p);
}

static void *resolve_memalign(size_t alignment, size_t size)
{
	return lz_start() ? memalign(alignment, size) : lz_arena_allocate(size, alignment);
}

static void *resolve_aligned_alloc(size_t alignment, size_t size)
{
	return lz_start() ? aligned_alloc(alignment, size) : lz_arena_allocate(size, alignment);
}

static int resolve_posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block;

	if (lz_start())
		return posix_memalign(out, alignment, size);
	block = lz_arena_allocate(size, alignment);
	if (block == NULL)
		return ENOMEM;
	*out = block;
	return 0;
}

static void *resolve_valloc(size_t size)
{
	return lz_start() ? valloc(size) : lz_arena_allocate(size, 1);
}

static void *resolve_pvalloc(size_t size)
{
	return lz_start() ? pvalloc(size) : lz_arena_allocate(size, 1);
}

static size_t resolve_usable_size(void *p)
{
	return lz_start() ? lz_next.malloc_usable_size(p) : 0;
}

struct lz_next lz_next = {
	.malloc = resolve_malloc,
	.calloc = resolve_calloc,
	.realloc = resolve_realloc,
	.free = resolve_free,
	.memalign = resolve_memalign,
	.aligned_alloc = resolve_aligned_alloc,
	.posix_memalign = resolve_posix_memalign,
	.valloc = resolve_valloc,
	.pvalloc = resolve_pvalloc,
	.malloc_usable_size = resolve_usable_size,
};

/* --- while freed regions are kept --- */

/*
 * What the table holds while the core keeps freed regions: the next functions behind a look at the time, so
 * that kept memory is unmapped in time though the program makes small requests only. 20 ns each, and nothing
 * on the fast path where nothing is kept.
 */
#define TRIM_EVERY_MS 250u

/*
 * Something that changes at least every 2^24 steps, cheaply: the processor's counter of cycles, 10 to 25 ns,
 * or, where none can be read, one step for each request. libc's clock_gettime is no way: a library that fakes
 * the time may stand for it, and call malloc.
 */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc() >> 24;
#elif defined(__aarch64__)
	uint64_t count;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
	return count >> 18;
#else
	static _Atomic uint64_t requests;

	return atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) >> 6;
#endif
}

static _Atomic uint64_t last_ticks, trim_ms;

static void trim_in_time(void)
{
	uint64_t now = ticks();

	if (atomic_exchange_explicit(&last_ticks, now, memory_order_relaxed) == now)
		return;
	now = lz_os_linux.now_ms();
	if (now < atomic_load_explicit(&trim_ms, memory_order_relaxed))
		return;
	atomic_store_explicit(&trim_ms, now + TRIM_EVERY_MS, memory_order_relaxed);
	lz_cache_trim_idle(&lz_core.cache);
}

/* What is kept counts against limits that another process may have lowered (prlimit(1)). */
static bool gave_back(void)
{
	return lz_cache_flush(&lz_core.cache);
}

static void *trim_then_malloc(size_t size)
{
	void *p;

	trim_in_time();
	p = next_of_small.malloc(size);
	return p != NULL || !gave_back() ? p : next_of_small.malloc(size);
}

static void *trim_then_calloc(size_t count, size_t size)
{
	void *p;

	trim_in_time();
	p = next_of_small.calloc(count, size);
	return p != NULL || !gave_back() ? p : next_of_small.calloc(count, size);
}

static void *trim_then_realloc(void *p, size_t size)
{
	trim_in_time();
	return next_of_small.realloc(p, size);
}

#define SET_NEXT(name, function) __atomic_store_n(&lz_next.name, function, __ATOMIC_RELAXED)

/* Called with the core's lock, so that the last call is the last change. */
static void watch_small_requests(bool kept)
{
	SET_NEXT(malloc, kept ? trim_then_malloc : next_of_small.malloc);
	SET_NEXT(calloc, kept ? trim_then_calloc : next_of_small.calloc);
	SET_NEXT(realloc, kept ? trim_then_realloc : next_of_small.realloc);
}

/* --- the core --- */

/* A set-uid program takes no orders from its caller's environment (secure_getenv(3)). */
static char **trusted_environment(void)
{
	static char *nothing[] = {NULL};

	return getauxval(AT_SECURE) != 0 ? nothing : environ;
}

/*
 * A sanitizer's runtime watches every block and keeps what it knows of it; what we served, it would not know,
 * and LeakSanitizer would call lost what only our regions point to.
 */
static bool leave_to_sanitizer(void)
{
	const char *sanitizer = lz_company_sanitizer();
	char buffer[160];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	if (sanitizer == NULL)
		return false;
	lz_text_string(&text, "the program is built with ");
	lz_text_string(&text, sanitizer);
	lz_text_string(&text, ", which must see all memory: lazyzero does nothing in it");
	lz_log_note(&lz_core.log, buffer);
	return true;
}

static void report_now(int signal)
{
	(void)signal;
	lz_report_write(&lz_core.reporter, "signal");
}

static void set_report_signal(void)
{
	int signal = lz_report_signal(&lz_core.reporter);

	if (signal == 0 && lz_core.options.report_signal != LZ_REPORT_NONE)
		lz_log_note(&lz_core.log,
			"LAZYZERO_REPORT_SIGNAL has no effect: there is no LAZYZERO_REPORT, and the "
			"signal does what it does without");
	if (signal != 0 && lz_core.os->install_signal_handler(signal, report_now) != 0)
		lz_log_note(&lz_core.log, "no report at LAZYZERO_REPORT_SIGNAL: the signal is handled or "
					  "ignored already");
}

static void set_thresholds(const struct lz_options *options, char *const *environment)
{
	if (lz_core.active && leave_to_sanitizer())
		lz_core.active = false;
	if (!lz_core.active)
		return;
	set_report_signal();
	lz_core.cache.on_filled = watch_small_requests;
	if (!lz_hugetlb_leaves_to_next(&lz_core, lz_next.is_glibc, environment)) {
		if (options->intercept & LZ_INTERCEPT_CALLOC)
			lz_calloc_threshold = options->threshold;
		if ((options->intercept & LZ_INTERCEPT_MALLOC) &&
			!lz_company_mixes_operators((const void *)lz_next.malloc))
			lz_malloc_threshold = options->malloc_threshold;
	}
	/* Last, and released: another thread may see it at once, and must then see a whole core. */
	__atomic_store_n(
		&lz_mappings_followed, (options->intercept & LZ_INTERCEPT_MMAP) != 0, __ATOMIC_RELEASE);
}

bool lz_configure(void)
{
	int cold = COLD;

	if (atomic_load_explicit(&core_state, memory_order_acquire) == READY)
		return true;
	/* ld.so allocates before libc has been given its environment. */
	if (environ == NULL && getauxval(AT_SECURE) == 0)
		return false;
	if (atomic_compare_exchange_strong(&core_state, &cold, STARTING)) {
		int saved_errno = errno;
		const char *name = (const char *)getauxval(AT_EXECFN);
		char *const *environment = trusted_environment();
		int error = lz_core_init(&lz_core, &lz_os_linux, environment, name != NULL ? name : "");

		lz_core_set_next(&lz_core, lz_next_calls_os());
		if (error == 0)
			set_thresholds(&lz_core.options, environment);
		atomic_store(&core_state, READY);
		errno = saved_errno;
	}
	return atomic_load(&core_state) == READY;
}

bool lz_begin(void)
{
	return atomic_load_explicit(&core_state, memory_order_acquire) == READY ||
	       (lz_start() && atomic_load(&core_state) == READY);
}

__attribute__((constructor)) static void enter_program(void)
{
	lz_start();
}

__attribute__((destructor)) static void leave_program(void)
{
	if (atomic_load(&core_state) == READY)
		lz_core_close(&lz_core);
}
