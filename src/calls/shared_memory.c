/* shmat(2) and shmdt(2) of the program; see calls.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/shm.h>

#include "backing/shared.h"
#include "calls/internal.h"
#include "sites/inspect.h"
#include "os/mman.h"
#include "os/procfs.h"

/*
 * The page size of a segment. shmid_ds does not contain it (SHM_HUGETLB leaves no trace there), so the
 * segment is attached briefly.
 */
static unsigned segment_page_shift(struct lz_calls *calls, int id, size_t bytes)
{
	unsigned page_shift;
	uint64_t forced = 0;
	intptr_t at;

	if (bytes < LZ_HUGE_PAGE_MIN)
		return calls->books->page_shift;
	/* With kernel.shm_rmid_forced, detaching could destroy the segment. */
	if (lz_proc_number(calls->os, "/proc/sys/kernel/shm_rmid_forced", &forced) == 0 && forced != 0)
		return calls->books->page_shift;
	at = calls->os->shmat(id, NULL, SHM_RDONLY);
	if (lz_os_failed(at))
		return calls->books->page_shift;
	page_shift = lz_books_mapped_page_shift(calls->books, (uintptr_t)at);
	calls->os->shmdt((void *)at);
	lz_calls_note_if_hugetlb(calls, page_shift);
	return page_shift;
}

/*
 * The tag of a segment in the ledger. It never equals the tag of a region, even if the segment is attached at
 * the start of one (SHM_REMAP).
 */
static uintptr_t segment_tag(uintptr_t start)
{
	return start | 1;
}

/*
 * Attaches a segment where it can be huge, if the kernel is to choose the address. Another thread may have
 * taken that address meanwhile; then the kernel chooses.
 */
static intptr_t attach(struct lz_calls *calls, int id, const void *address, int flags, size_t bytes)
{
	uintptr_t hint =
		address == NULL && (flags & SHM_REMAP) == 0 ? lz_shared_hint(calls->backings, bytes, 0) : 0;
	intptr_t at = -EINVAL;

	if (hint != 0)
		at = calls->next->shmat(id, (const void *)hint, flags);
	if (at == -EINVAL || (hint != 0 && at == -ENOMEM))
		at = calls->next->shmat(id, address, flags);
	else if (!lz_os_failed(at))
		lz_shared_note_segment(calls->backings, id, bytes);
	return at;
}

intptr_t lz_calls_shmat(struct lz_calls *calls, int id, const void *address, int flags, const void *caller)
{
	struct lz_table_demand need = {.page_shift = calls->books->page_shift};
	struct lz_request request = {.call = "shmat", .caller = caller};
	struct lz_grant grant;
	struct lz_new_mapping mapping = {.touchable = true, .placed_by_kernel = address == NULL};
	size_t bytes = 0;
	intptr_t result;

	lz_grant_init_empty(&grant);
	if (calls->os->shm_size(id, &bytes) == 0) {
		need.bytes = request.size = bytes;
		need.page_shift = segment_page_shift(calls, id, bytes);
		if (lz_calls_request(calls, &request, &need, &grant, NULL) != 0)
			return -ENOMEM;
	}
	if (address != NULL)
		lz_cache_evict_range(calls->cache, (uintptr_t)address, lz_range_end(address, bytes));
	if (flags & SHM_REMAP)
		lz_calls_before_unmap(calls, (uintptr_t)address, lz_range_end(address, bytes), false);
	if (flags & SHM_REMAP)
		lz_report_before_unmap(calls->reporter, (uintptr_t)address, lz_range_end(address, bytes));
	if (flags & SHM_REMAP)
		atomic_store_explicit(&calls->backings->may_map_over_regions, true, memory_order_relaxed);
	result = need.page_shift == calls->books->page_shift ? attach(calls, id, address, flags, bytes)
							     : calls->next->shmat(id, address, flags);
	if (!lz_os_failed(result) && lz_books_page_range(calls->books, (void *)result, bytes, need.page_shift,
					     &mapping.start, &mapping.end)) {
		mapping.traits = (struct lz_range_traits){
			.page_shift = (uint8_t)need.page_shift, .tag = segment_tag(mapping.start)};
		lz_calls_record_mapping(calls, &mapping);
		lz_calls_count_mapping(calls, bytes);
		lz_calls_report_mapping(calls, &request, result, LZ_REGION_SHARED);
	}
	lz_budget_settle(calls->budget, &grant, !lz_os_failed(result));
	return result;
}

int lz_calls_shmdt(struct lz_calls *calls, const void *address)
{
	uintptr_t start = (uintptr_t)address;
	int error;

	lz_calls_before_unmap(calls, start, start + 1, false);
	lz_report_before_detach(calls->reporter, start);
	if (lz_books_lock(calls->books)) {
		struct lz_range *range = lz_ledger_find_at_or_above(&calls->books->ledger, start);

		while (range != NULL && range->traits.tag == segment_tag(start)) {
			lz_ledger_remove(&calls->books->ledger, range->start, range->end);
			range = lz_ledger_find_at_or_above(&calls->books->ledger, start);
		}
		lz_books_publish_statistics(calls->books);
		lz_books_unlock(calls->books);
	}
	error = calls->next->shmdt(address);
	if (error)
		lz_books_reconcile_after_failure(calls->books);
	return error;
}
