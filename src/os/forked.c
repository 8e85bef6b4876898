/* Words that a fork sets to 0; see forked.h. */
#include "os/forked.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "os/facts.h"
#include "os/mman.h"

#define PAGE_BYTES 4096u

enum { WIPED, SETTLED, BUSY };

static _Atomic uint32_t *_Atomic words;

int lz_forked_init(const struct lz_os *os)
{
	_Atomic uint32_t *none = NULL, *fresh;
	intptr_t page;
	int error;

	if (atomic_load_explicit(&words, memory_order_acquire) != NULL)
		return 0;
	page = os->mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(page))
		return (int)page;
	fresh = (_Atomic uint32_t *)page;
	error = lz_fact_madvise_own(os, LZ_FACT_WIPE_ON_FORK, fresh, PAGE_BYTES, MADV_WIPEONFORK);
	for (int i = 0; i < LZ_FORKED_WORDS; i++)
		atomic_store_explicit(&fresh[i], SETTLED, memory_order_relaxed);
	if (error != 0 || !atomic_compare_exchange_strong_explicit(
				  &words, &none, fresh, memory_order_acq_rel, memory_order_acquire))
		os->munmap(fresh, PAGE_BYTES);
	return error;
}

bool lz_forked_settled(
	enum lz_forked which, void (*put_right)(const struct lz_os *os), const struct lz_os *os)
{
	_Atomic uint32_t *page = atomic_load_explicit(&words, memory_order_acquire);
	uint32_t seen;

	if (page == NULL)
		return true;
	seen = atomic_load_explicit(&page[which], memory_order_acquire);
	if (__builtin_expect(seen == SETTLED, 1))
		return true;
	if (seen == BUSY || !atomic_compare_exchange_strong_explicit(
				    &page[which], &seen, BUSY, memory_order_acquire, memory_order_acquire))
		return seen == SETTLED;
	put_right(os);
	atomic_store_explicit(&page[which], SETTLED, memory_order_release);
	return true;
}
