/*
 * Core and shim inside a program built with ThreadSanitizer. Threads pass regions to each other to grow, read
 * and free; map, advise and unmap; clear neighbouring parts of pages; and query statistics. This shows that
 * shared data is written under the lock or atomically; the effects of a race are for the stress test to find.
 *
 *   races SECONDS
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lazyzero.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define THREADS 4u
#define SLOTS 32u

static _Atomic(char *) slots[SLOTS];
static atomic_bool stop;
static _Atomic uint64_t failures, operations;

static void expect(int holds, const char *what)
{
	if (holds)
		return;
	if (atomic_fetch_add(&failures, 1) < 10)
		fprintf(stderr, "wrong: %s (errno %d)\n", what, errno);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/*
 * Reads memory that was another thread's a moment ago. Relaxed, because the sanitizer does not know that the
 * kernel orders a munmap before an mmap that gets the same addresses; the accesses themselves order nothing.
 */
static char get(const char *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void put(char *at, char value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Exchanges a region; the thread that takes it out of a slot owns it. */
static char *exchange_regions(uint64_t *state, char *mine)
{
	return atomic_exchange(&slots[next_random(state) % SLOTS], mine);
}

static size_t some_size(uint64_t *state)
{
	return 64 * KB + next_random(state) % (6 * MB);
}

static void make_region(uint64_t *state)
{
	size_t size = some_size(state);
	char *p = calloc(1, size);

	if (p == NULL) /* refused */
		return;
	expect(get(p) == 0 && get(p + size - 1) == 0, "a fresh region is not zero");
	put(p, 42);
	put(p + size - 1, 42);
	free(exchange_regions(state, p));
}

static void resize_region(uint64_t *state)
{
	char *p = exchange_regions(state, NULL), *moved;

	if (p == NULL)
		return;
	expect(get(p) == 42, "a region changed hands and contents");
	expect(malloc_usable_size(p) >= 64 * KB, "a live region has no size");
	moved = realloc(p, some_size(state));
	if (moved != NULL)
		p = moved;
	expect(get(p) == 42, "realloc lost contents");
	free(exchange_regions(state, p));
}

static void query_region(uint64_t *state)
{
	char *p = exchange_regions(state, NULL);
	struct lz_region region;

	if (p == NULL)
		return;
	lz_region_info(p, &region);
	lz_zero(p + 64, 32 * KB);
	expect(get(p) == 42 && get(p + 64) == 0, "lz_zero cleared something else");
	free(exchange_regions(state, p));
}

static void use_mapping(uint64_t *state)
{
	size_t size = (some_size(state) + 4095) & ~(size_t)4095;
	char *p = mmap(NULL, size, next_random(state) % 2 ? RW : PROT_NONE, ANON, -1, 0);
	char *moved;

	if (p == MAP_FAILED)
		return;
	if (mprotect(p, size, RW) == 0) {
		put(p, 1);
		put(p + size / 2, 1);
		madvise(p, size, next_random(state) % 2 ? MADV_DONTNEED : MADV_FREE);
		moved = mremap(p, size, size + MB, MREMAP_MAYMOVE);
		if (moved != MAP_FAILED) {
			p = moved;
			size += MB;
		}
	}
	munmap(p + 4096, size - 4096);
	munmap(p, 4096);
}

/* Reserves address space and makes a part of it usable in place. */
static void use_fixed(uint64_t *state)
{
	size_t size = 8 * MB + next_random(state) % MB;
	char *p = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return;
	if (mmap(p + 2 * MB, 4 * MB, RW, ANON | MAP_FIXED, -1, 0) != MAP_FAILED)
		put(p + 2 * MB, 1);
	munmap(p, size);
}

/*
 * Maps over a freed region. MAP_FIXED only while it is cached, because another thread or the sanitizer may
 * otherwise have the address; and with no other thread inside, for the same reason.
 */
static pthread_rwlock_t inside;

static void map_over_freed(uint64_t *state, bool alone)
{
	size_t size = MB + next_random(state) % 4 * MB, from = next_random(state) % 64 * 4 * KB;
	char *p = calloc(1, size), *at;
	bool fixed;

	if (p == NULL || ((uintptr_t)p & 4095) != 0) {
		free(p);
		return;
	}
	put(p, 42);
	put(p + size - 1, 42);
	free(p);
	/* If the cache is off there is none. */
	fixed = alone && msync(p, size, MS_ASYNC) == 0;
	at = mmap(p + from, size / 2, RW, ANON | (fixed ? MAP_FIXED : MAP_FIXED_NOREPLACE), -1, 0);
	if (at == MAP_FAILED) /* refused, or in use */
		return;
	expect(at == p + from && get(at) == 0 && get(at + size / 2 - 1) == 0,
		"what lies over a freed region is not zero");
	put(at, 1);
	put(at + size / 2 - 1, 1);
	munmap(at, size / 2);
}

static void use_freed(uint64_t *state)
{
	map_over_freed(state, false);
}

/* Turns memory on a window into plain memory, with its contents. */
static void replace_window_memory(uint64_t *state)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register registration = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	size_t size = 4 * MB;
	char *p;
	int fd;

	/* Takes a hundred times as long as the others. */
	p = getenv("RACES_NO_USERFAULTFD") == NULL && next_random(state) % 16 == 0 ? lz_alloc(size, LZ_WINDOW)
										   : NULL;
	if (p == NULL)
		return;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	put(p + 4096, 42);
	put(p + size - 1, 42);
	registration.range.start = (uintptr_t)p + next_random(state) % 2 * (2 * MB);
	registration.range.len = 2 * MB;
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &registration) == 0)
		ioctl(fd, UFFDIO_UNREGISTER, &registration.range);
	if (fd >= 0)
		close(fd);
	expect(get(p + 4096) == 42 && get(p + size - 1) == 42, "what left a window lost contents");
	expect(get(p) == 0, "what left a window is not zero");
	lz_free(p);
}

/* --- clearing --- */

/* Each thread clears its own part of this block; the parts meet inside pages, 8 bytes apart. */
#define PART (200 * KB + 200)

static char *parts;
static _Thread_local unsigned number; /* of the thread */

static void clear_part(uint64_t *state)
{
	char *p = parts + number * (PART + 8);

	for (int i = 0; i < 20; i++)
		p[next_random(state) % PART] = 1;
	/* Beside the parts of the others. */
	put(parts + next_random(state) % THREADS * (PART + 8) + PART, 42);
	memset(p, 0, PART);
	expect(p[0] == 0 && p[PART / 2] == 0 && p[PART - 1] == 0, "a part is not cleared");
	for (int i = 0; i < 20; i++)
		expect(p[next_random(state) % PART] == 0, "a part is not cleared");
	if (next_random(state) % 16 == 0)
		madvise((char *)(((uintptr_t)p + 4095) & ~(uintptr_t)4095), 100 * KB, MADV_DONTNEED);
}

static void clear_region(uint64_t *state)
{
	char *p = exchange_regions(state, NULL);
	size_t size;

	if (p == NULL)
		return;
	size = malloc_usable_size(p);
	/* Not a region of use_window: where all calls are plain, it would fill 20 to 60 GiB. */
	if (size > 64 * MB)
		size = 64 * MB;
	memset(p + 64, 0, size - 64);
	expect(get(p) == 42 && get(p + 64) == 0 && get(p + size - 1) == 0, "a region is not cleared");
	free(exchange_regions(state, p));
}

static void clear_mapping(uint64_t *state)
{
	size_t size = (some_size(state) + 4095) & ~(size_t)4095;
	char *p = mmap(NULL, size, RW, ANON, -1, 0);

	if (p == MAP_FAILED)
		return;
	put(p + next_random(state) % size, 1);
	memset(p, 0, size);
	for (int i = 0; i < 20; i++)
		expect(get(p + next_random(state) % size) == 0, "a mapping is not cleared");
	munmap(p, size);
}

static void query_statistics(uint64_t *state)
{
	struct lz_statistics statistics;

	lz_stats(&statistics, sizeof statistics);
	lz_cost(NULL, some_size(state));
	if (next_random(state) % 4 == 0)
		lz_set_budget(statistics.budget);
	if (next_random(state) % 4 == 0)
		malloc_trim(0);
}

/* Requested explicitly, so that windows of several sizes replace each other. */
static void use_window(uint64_t *state)
{
	static _Atomic unsigned large;
	size_t size = some_size(state) * 4;
	char *p;

	/* Beyond 16 GiB a larger window replaces the current one. */
	if (next_random(state) % 64 == 0 && atomic_fetch_add(&large, 1) < 3)
		size = (size_t)20 * large << 30;
	p = lz_alloc(size, LZ_WINDOW);
	if (p == NULL)
		return;
	expect(get(p + 4096) == 0, "a window is not zero");
	put(p, 42);
	put(p + 64 * KB - 1, 42);
	free(exchange_regions(state, p));
}

static void *run(void *seed)
{
	static void (*const act[])(uint64_t *) = {make_region, make_region, resize_region, query_region,
		use_mapping, use_mapping, use_fixed, use_window, use_freed, replace_window_memory, clear_part,
		clear_part, clear_region, clear_mapping, query_statistics};
	uint64_t state = (uintptr_t)seed;

	number = (unsigned)(uintptr_t)seed - 1;
	while (!stop) {
		if (next_random(&state) % 32 == 0) {
			pthread_rwlock_wrlock(&inside);
			map_over_freed(&state, true);
		} else {
			pthread_rwlock_rdlock(&inside);
			act[next_random(&state) % (sizeof act / sizeof *act)](&state);
		}
		pthread_rwlock_unlock(&inside);
		atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec time = {.tv_sec = argc > 1 ? atoi(argv[1]) : 1};
	struct lz_statistics statistics;
	pthread_rwlockattr_t attributes;
	pthread_t threads[THREADS];

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&inside, &attributes);
	parts = calloc(THREADS, PART + 8);
	expect(parts != NULL, "no memory");
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, (void *)(i + 1));
	nanosleep(&time, NULL);
	stop = 1;
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < SLOTS; i++)
		free(atomic_exchange(&slots[i], NULL));
	free(parts);
	lz_stats(&statistics, sizeof statistics);
	printf("%llu operations, %llu of them without the lock, %llu regions, windows of up to %llu MiB\n",
		(unsigned long long)operations, (unsigned long long)statistics.untracked,
		(unsigned long long)statistics.regions_total,
		(unsigned long long)statistics.window_size >> 20);
	expect(statistics.regions_total != 0, "the library served nothing, so nothing was tested");
	return failures != 0;
}
