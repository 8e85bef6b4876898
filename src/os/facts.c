/* What the running kernel can do; see facts.h. */
#include "os/facts.h"

#include <stdatomic.h>
#include <stdint.h>

#include "os/mman.h"

enum { UNKNOWN, NO, YES };

/* Where the kernel does not, trying it on memory of the program would blur what is known of the mappings. */
bool lz_fact_mremap_many(const struct lz_os *os)
{
	static _Atomic int known;
	int answer = atomic_load_explicit(&known, memory_order_relaxed);
	size_t page = os->page_size();
	intptr_t at;

	if (answer != UNKNOWN)
		return answer == YES;
	at = os->mmap(NULL, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return false;
	answer = os->mprotect((void *)at, page, PROT_NONE) == 0 &&
				 !lz_os_failed(os->mremap((void *)at, 2 * page, 2 * page,
					 MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(at + 2 * (intptr_t)page)))
			 ? YES
			 : NO;
	os->munmap((void *)at, 4 * page);
	atomic_store_explicit(&known, answer, memory_order_relaxed);
	return answer == YES;
}
