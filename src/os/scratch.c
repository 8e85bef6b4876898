/* Buffers that need no stack; see scratch.h. */
#include "os/scratch.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "os/forked.h"
#include "os/mman.h"

#define BUFFERS 8u

/*
 * A page that one thread unmapped may be mapped again by another at the same address. The kernel orders the
 * two; ThreadSanitizer does not see raw system calls, and has to be told.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define PAGE_IS_MAPPED(page) __tsan_acquire(page)
#define PAGE_GOES(page) __tsan_release(page)
#else
#define PAGE_IS_MAPPED(page)
#define PAGE_GOES(page)
#endif

static alignas(64) char pool[BUFFERS][LZ_SCRATCH_BYTES];

/* Whose each one is: the address of `self` in the thread, which is the same in a forked child; 0: free. */
static _Atomic uintptr_t taken[BUFFERS];
static __thread char self __attribute__((tls_model("initial-exec")));

/* In a forked child only the thread that forked is there, perhaps in the middle of a use. */
static void put_right(const struct lz_os *os)
{
	(void)os;
	for (unsigned i = 0; i < BUFFERS; i++)
		if (atomic_load_explicit(&taken[i], memory_order_relaxed) != (uintptr_t)&self)
			atomic_store_explicit(&taken[i], 0, memory_order_relaxed);
}

void *lz_scratch_take(const struct lz_os *os)
{
	intptr_t page;

	if (lz_forked_settled(LZ_FORKED_SCRATCH, put_right, os))
		for (unsigned i = 0; i < BUFFERS; i++) {
			uintptr_t nobody = 0;

			if (atomic_load_explicit(&taken[i], memory_order_relaxed) == 0 &&
				atomic_compare_exchange_strong_explicit(&taken[i], &nobody, (uintptr_t)&self,
					memory_order_acquire, memory_order_relaxed))
				return pool[i];
		}
	page = os->mmap(NULL, LZ_SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(page))
		return NULL;
	PAGE_IS_MAPPED((void *)page);
	return (void *)page;
}

void lz_scratch_release(const struct lz_os *os, void *buffer)
{
	uintptr_t at = (uintptr_t)buffer, first = (uintptr_t)pool;

	if (buffer == NULL)
		return;
	if (at - first < sizeof pool) {
		atomic_store_explicit(&taken[(at - first) / LZ_SCRATCH_BYTES], 0, memory_order_release);
		return;
	}
	PAGE_GOES(buffer);
	os->munmap(buffer, LZ_SCRATCH_BYTES);
}
