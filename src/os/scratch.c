/* Scratch buffers; see scratch.h. */
#include "os/scratch.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "os/fork_state.h"
#include "os/mman.h"

#define BUFFERS 8u

/*
 * Another thread may map a page again at the address where one thread unmapped it. The kernel orders the two,
 * but ThreadSanitizer does not see raw system calls and must be told.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define TSAN_ACQUIRE_PAGE(page) __tsan_acquire(page)
#define TSAN_RELEASE_PAGE(page) __tsan_release(page)
#else
#define TSAN_ACQUIRE_PAGE(page)
#define TSAN_RELEASE_PAGE(page)
#endif

static alignas(64) char pool[BUFFERS][LZ_SCRATCH_BYTES];

/*
 * The thread that uses each buffer, by the address of its `self`, which is the same in a forked child; 0:
 * free.
 */
static _Atomic uintptr_t owner[BUFFERS];
static __thread char self __attribute__((tls_model("initial-exec")));

/* In a forked child, only the thread that forked exists. It may be using a buffer. */
static void reset_in_child(const struct lz_os *os)
{
	(void)os;
	for (unsigned i = 0; i < BUFFERS; i++)
		if (atomic_load_explicit(&owner[i], memory_order_relaxed) != (uintptr_t)&self)
			atomic_store_explicit(&owner[i], 0, memory_order_relaxed);
}

void *lz_scratch_take(const struct lz_os *os)
{
	intptr_t page;

	if (lz_fork_state_refresh(LZ_FORK_STATE_SCRATCH, reset_in_child, os))
		for (unsigned i = 0; i < BUFFERS; i++) {
			uintptr_t none = 0;

			if (atomic_load_explicit(&owner[i], memory_order_relaxed) == 0 &&
				atomic_compare_exchange_strong_explicit(&owner[i], &none, (uintptr_t)&self,
					memory_order_acquire, memory_order_relaxed))
				return pool[i];
		}
	page = os->mmap(NULL, LZ_SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(page))
		return NULL;
	TSAN_ACQUIRE_PAGE((void *)page);
	return (void *)page;
}

void lz_scratch_release(const struct lz_os *os, void *buffer)
{
	uintptr_t at = (uintptr_t)buffer, first = (uintptr_t)pool;

	if (buffer == NULL)
		return;
	if (at - first < sizeof pool) {
		atomic_store_explicit(&owner[(at - first) / LZ_SCRATCH_BYTES], 0, memory_order_release);
		return;
	}
	TSAN_RELEASE_PAGE(buffer);
	os->munmap(buffer, LZ_SCRATCH_BYTES);
}
