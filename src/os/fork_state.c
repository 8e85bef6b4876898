/* State that a fork invalidates; see fork_state.h. */
#include "os/facts.h"
#include "os/fork_state.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "os/mman.h"

#define PAGE_BYTES 4096u

enum { WIPED, CURRENT, RESETTING };

static _Atomic uint32_t *_Atomic words;

int lz_fork_state_init(const struct lz_os *os)
{
	_Atomic uint32_t *none = NULL, *mapped;
	intptr_t page;
	int error;

	if (atomic_load_explicit(&words, memory_order_acquire) != NULL)
		return 0;
	page = os->mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(page))
		return (int)page;
	mapped = (_Atomic uint32_t *)page;
	error = lz_fact_madvise_own(os, LZ_FACT_WIPE_ON_FORK, mapped, PAGE_BYTES, MADV_WIPEONFORK);
	for (int i = 0; i < LZ_FORK_STATES; i++)
		atomic_store_explicit(&mapped[i], CURRENT, memory_order_relaxed);
	if (error != 0 || !atomic_compare_exchange_strong_explicit(
				  &words, &none, mapped, memory_order_acq_rel, memory_order_acquire))
		os->munmap(mapped, PAGE_BYTES);
	return error;
}

bool lz_fork_state_refresh(
	enum lz_fork_state which, void (*reset)(const struct lz_os *os), const struct lz_os *os)
{
	_Atomic uint32_t *page = atomic_load_explicit(&words, memory_order_acquire);
	uint32_t seen;

	if (page == NULL)
		return true;
	seen = atomic_load_explicit(&page[which], memory_order_acquire);
	if (__builtin_expect(seen == CURRENT, 1))
		return true;
	if (seen == RESETTING || !atomic_compare_exchange_strong_explicit(&page[which], &seen, RESETTING,
					 memory_order_acquire, memory_order_acquire))
		return seen == CURRENT;
	reset(os);
	atomic_store_explicit(&page[which], CURRENT, memory_order_release);
	return true;
}
