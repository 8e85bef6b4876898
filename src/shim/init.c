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
#include "shim/loaded_objects.h"
#include "shim/hugetlb.h"
#include "shim/interpose_syscall.h"
#include "shim/next.h"
#include "shim/next_calls.h"

enum start_state { NOT_STARTED, STARTING, READY };

static _Atomic int next_state = NOT_STARTED;
static _Atomic int core_state = NOT_STARTED;

/*
 * Whether this thread is in start-up. Initial-exec, because allocating a TLS block lazily would call malloc.
 * Volatile, because glibc declares dlsym a leaf function, so the compiler assumes that it calls nothing in
 * this file.
 */
static __thread volatile bool starting __attribute__((tls_model("initial-exec")));

/* Replaces malloc_usable_size if the next allocator lacks it. */
static size_t unknown_size(void *p)
{
	(void)p;
	return 0;
}

/* The next allocator's functions, while lz_next may hold the trimming ones. */
static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
} next_functions;

/* --- finding the next allocator --- */

/* dlsym returns an object pointer; POSIX allows calling it. */
#define FIND_NEXT(table, name) (*(void **)&(table)->name = dlsym(RTLD_NEXT, #name))

static void find_next_functions(struct lz_next *table)
{
	FIND_NEXT(table, malloc);
	FIND_NEXT(table, calloc);
	FIND_NEXT(table, realloc);
	FIND_NEXT(table, free);
	FIND_NEXT(table, memalign);
	FIND_NEXT(table, aligned_alloc);
	FIND_NEXT(table, posix_memalign);
	FIND_NEXT(table, valloc);
	FIND_NEXT(table, pvalloc);
	FIND_NEXT(table, malloc_usable_size);
	/* cppcheck-suppress uninitvar ; FIND_NEXT writes it by another type */
	table->known_size = table->malloc_usable_size;
	if (table->malloc_usable_size == NULL)
		table->malloc_usable_size = unknown_size;
	/* Compared with a function that no allocator defines: tcmalloc defines __libc_malloc as well. */
	table->is_glibc = lz_loaded_in_same_object(
		(const void *)table->malloc, dlsym(RTLD_NEXT, "gnu_get_libc_version"));
}

bool lz_resolve_next(void)
{
	int saved_errno = errno;
	int not_started = NOT_STARTED;

	if (starting)
		return false;
	if (atomic_compare_exchange_strong(&next_state, &not_started, STARTING)) {
		struct lz_next found;

		starting = true;
		find_next_functions(&found);
		lz_next_calls_find();
		lz_syscall_find();
		lz_memset_find();
		lz_exit_find();
		lz_next = found;
		next_functions.malloc = found.malloc;
		next_functions.calloc = found.calloc;
		next_functions.realloc = found.realloc;
		starting = false;
		atomic_store(&next_state, READY);
		/*
		 * Clears the error of failed lookups, so that the program's first dlerror does not return it.
		 */
		dlerror();
	}
	/* There are no threads before the first allocation, except those made by raw clone(2). */
	while (atomic_load(&next_state) != READY)
		sched_yield();
	lz_configure();
	errno = saved_errno;
	return true;
}

/* --- resolvers: the initial contents of lz_next --- */

/*
 * After start-up, an allocation goes through its interposer again, because the thresholds are known only now.
 * These are tail calls, so the logged return address is the program's.
 */

static void *resolve_malloc(size_t size)
{
	return lz_resolve_next() ? malloc(size) : lz_arena_allocate(size, 1);
}

static void *resolve_calloc(size_t count, size_t size)
{
	size_t bytes;

	if (lz_resolve_next())
		return calloc(count, size);
	return __builtin_mul_overflow(count, size, &bytes) ? NULL : lz_arena_allocate(bytes, 1);
}

static void *resolve_realloc(void *p, size_t size)
{
	/* During start-up only arena blocks exist, and those do not come here. */
	return lz_resolve_next() ? realloc(p, size) : p == NULL ? lz_arena_allocate(size, 1) : NULL;
}

static void resolve_free(void *p)
{
	if (lz_resolve_next())
		lz_next.free(p);
}

static void *resolve_memalign(size_t alignment, size_t size)
{
	return lz_resolve_next() ? memalign(alignment, size) : lz_arena_allocate(size, alignment);
}

static void *resolve_aligned_alloc(size_t alignment, size_t size)
{
	return lz_resolve_next() ? aligned_alloc(alignment, size) : lz_arena_allocate(size, alignment);
}

static int resolve_posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block;

	if (lz_resolve_next())
		return posix_memalign(out, alignment, size);
	block = lz_arena_allocate(size, alignment);
	if (block == NULL)
		return ENOMEM;
	*out = block;
	return 0;
}

static void *resolve_valloc(size_t size)
{
	return lz_resolve_next() ? valloc(size) : lz_arena_allocate(size, 1);
}

static void *resolve_pvalloc(size_t size)
{
	return lz_resolve_next() ? pvalloc(size) : lz_arena_allocate(size, 1);
}

static size_t resolve_usable_size(void *p)
{
	return lz_resolve_next() ? lz_next.malloc_usable_size(p) : 0;
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

/* --- while the cache holds regions --- */

/*
 * lz_next points to these functions while the cache holds regions. They check the time before they call the
 * next allocator, so that idle regions are unmapped even if the program makes only small requests. That costs
 * 20 ns for each call; when the cache is empty, the fast path has no extra cost.
 */
#define TRIM_INTERVAL_MS 250u

/*
 * A cheap value that changes at least every 2^24 steps: the processor's cycle counter (10 to 25 ns), or, if
 * it cannot be read, a count of requests. libc's clock_gettime is not used: a library that fakes the time may
 * interpose it and call malloc.
 */
static inline uint64_t coarse_clock(void)
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

static _Atomic uint64_t last_clock, next_trim_ms;

static void trim_periodically(void)
{
	uint64_t now = coarse_clock();

	if (atomic_exchange_explicit(&last_clock, now, memory_order_relaxed) == now)
		return;
	now = lz_os_linux.now_ms();
	if (now < atomic_load_explicit(&next_trim_ms, memory_order_relaxed))
		return;
	atomic_store_explicit(&next_trim_ms, now + TRIM_INTERVAL_MS, memory_order_relaxed);
	lz_cache_trim_idle(&lz_core.cache);
}

/* Cached regions count against limits that another process may have lowered (prlimit(1)). */
static bool flush_cache(void)
{
	return lz_cache_flush(&lz_core.cache);
}

static void *trim_then_malloc(size_t size)
{
	void *p;

	trim_periodically();
	p = next_functions.malloc(size);
	return p != NULL || !flush_cache() ? p : next_functions.malloc(size);
}

static void *trim_then_calloc(size_t count, size_t size)
{
	void *p;

	trim_periodically();
	p = next_functions.calloc(count, size);
	return p != NULL || !flush_cache() ? p : next_functions.calloc(count, size);
}

static void *trim_then_realloc(void *p, size_t size)
{
	void *q;

	trim_periodically();
	q = next_functions.realloc(p, size);
	return q != NULL || size == 0 || !flush_cache() ? q : next_functions.realloc(p, size);
}

#define SET_NEXT(name, function) __atomic_store_n(&lz_next.name, function, __ATOMIC_RELAXED)

/* Called with the lock of the books held, so that changes are made in order. */
static void set_trimming(bool kept)
{
	SET_NEXT(malloc, kept ? trim_then_malloc : next_functions.malloc);
	SET_NEXT(calloc, kept ? trim_then_calloc : next_functions.calloc);
	SET_NEXT(realloc, kept ? trim_then_realloc : next_functions.realloc);
}

/* --- configuring the core --- */

/* A set-uid program ignores its caller's environment (secure_getenv(3)). */
static char **trusted_environment(void)
{
	static char *nothing[] = {NULL};

	return getauxval(AT_SECURE) != 0 ? nothing : environ;
}

/*
 * A sanitizer's runtime tracks every block. It would not know lazyzero's regions, and LeakSanitizer would
 * report blocks that are referenced only from regions.
 */
static bool defer_to_sanitizer(void)
{
	const char *sanitizer = lz_loaded_sanitizer();
	char buffer[160];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	if (sanitizer == NULL)
		return false;
	lz_text_string(&text, "the program is built with ");
	lz_text_string(&text, sanitizer);
	lz_text_string(&text, ", which must track all memory; lazyzero is inactive");
	lz_log_note(&lz_core.log, buffer);
	return true;
}

static void report_now(int signal)
{
	(void)signal;
	lz_report_write(&lz_core.reporter);
}

static void set_report_signal(void)
{
	int signal = lz_report_signal(&lz_core.reporter);

	if (signal == 0 && lz_core.options.report_signal != LZ_REPORT_NONE)
		lz_log_note(&lz_core.log,
			"LAZYZERO_REPORT_SIGNAL has no effect, because LAZYZERO_REPORT is not set; the "
			"signal keeps its action");
	if (signal != 0 && lz_core.os->install_signal_handler(signal, report_now) != 0)
		lz_log_note(&lz_core.log, "no report at LAZYZERO_REPORT_SIGNAL: the signal is handled or "
					  "ignored already");
}

static void set_thresholds(const struct lz_options *options, char *const *environment)
{
	if (lz_core.active && defer_to_sanitizer())
		lz_core.active = false;
	if (!lz_core.active)
		return;
	set_report_signal();
	lz_core.cache.on_occupancy_change = set_trimming;
	if (!lz_hugetlb_defers_to_next(&lz_core, lz_next.is_glibc, environment)) {
		if (options->intercept & LZ_INTERCEPT_CALLOC)
			lz_calloc_threshold = options->threshold;
		if ((options->intercept & LZ_INTERCEPT_MALLOC) &&
			!lz_loaded_mixes_new_delete((const void *)lz_next.malloc))
			lz_malloc_threshold = options->malloc_threshold;
	}
	if (options->intercept & LZ_INTERCEPT_MEMSET)
		lz_memset_threshold = options->memset_threshold;
	/* Stored last, with release order: another thread that sees the value must see the whole core. */
	__atomic_store_n(
		&lz_mappings_followed, (options->intercept & LZ_INTERCEPT_MMAP) != 0, __ATOMIC_RELEASE);
}

bool lz_configure(void)
{
	int not_started = NOT_STARTED;

	if (atomic_load_explicit(&core_state, memory_order_acquire) == READY)
		return true;
	/* ld.so allocates before libc has its environment. */
	if (environ == NULL && getauxval(AT_SECURE) == 0)
		return false;
	if (atomic_compare_exchange_strong(&core_state, &not_started, STARTING)) {
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

bool lz_ensure_ready(void)
{
	return atomic_load_explicit(&core_state, memory_order_acquire) == READY ||
	       (lz_resolve_next() && atomic_load(&core_state) == READY);
}

__attribute__((constructor)) static void start_library(void)
{
	lz_resolve_next();
}

__attribute__((destructor)) static void close_library(void)
{
	if (atomic_load(&core_state) == READY)
		lz_core_close(&lz_core);
}
