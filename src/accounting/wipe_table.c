/* Ranges on windows with MADV_WIPEONFORK; see wipe_table.h. */
#include "accounting/wipe_table.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "os/facts.h"
#include "os/mman.h"

static uintptr_t start_of(const struct lz_wipe_range *wipe)
{
	return atomic_load_explicit(&wipe->start, memory_order_relaxed);
}

static uintptr_t end_of(const struct lz_wipe_range *wipe)
{
	return atomic_load_explicit(&wipe->end, memory_order_relaxed);
}

static void release_slot(struct lz_wipe_range *wipe)
{
	atomic_store_explicit(&wipe->start, 0, memory_order_relaxed);
}

/* `start` is stored last: it marks the slot as used. */
static bool fill_slot(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++)
		if (start_of(&table->range[i]) == 0) {
			atomic_store_explicit(&table->range[i].end, end, memory_order_relaxed);
			atomic_store_explicit(&table->range[i].start, start, memory_order_release);
			return true;
		}
	return false;
}

int lz_wipe_table_prepare(struct lz_wipe_table *table, const struct lz_os *os, size_t page)
{
	_Atomic uint32_t *none = NULL, *sentinel;
	intptr_t at;
	int error;

	if (atomic_load_explicit(&table->fork_sentinel, memory_order_acquire) != NULL)
		return 0;
	at = os->mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(at))
		return (int)at;
	sentinel = (_Atomic uint32_t *)at;
	error = lz_fact_madvise_own(os, LZ_FACT_WIPE_ON_FORK, sentinel, page, MADV_WIPEONFORK);
	atomic_store(sentinel, 1);
	if (error != 0 || !atomic_compare_exchange_strong(&table->fork_sentinel, &none, sentinel))
		os->munmap(sentinel, page);
	return error;
}

/*
 * Merges the range with all ranges that it touches, so that memory that is advised page by page needs one
 * slot.
 */
int lz_wipe_table_add(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	struct lz_wipe_range *merged = NULL;

	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++) {
		struct lz_wipe_range *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) > end || end_of(wipe) < start)
			continue;
		start = lz_min_u64(start, start_of(wipe));
		end = lz_max_u64(end, end_of(wipe));
		if (merged == NULL)
			merged = wipe;
		/*
		 * Recorded ranges do not touch one another, so the union touches no others than the new range
		 * does.
		 */
		atomic_store_explicit(&merged->end, lz_max_u64(end, end_of(merged)), memory_order_relaxed);
		atomic_store_explicit(
			&merged->start, lz_min_u64(start, start_of(merged)), memory_order_relaxed);
		if (wipe != merged)
			release_slot(wipe);
	}
	return merged != NULL || fill_slot(table, start, end) ? 0 : -EAGAIN;
}

/* Removes the middle of a range. */
static void remove_middle(
	struct lz_wipe_table *table, struct lz_wipe_range *wipe, uintptr_t start, uintptr_t end)
{
	if (fill_slot(table, end, end_of(wipe)) || start - start_of(wipe) >= end_of(wipe) - end)
		atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
	else
		atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
}

void lz_wipe_table_remove(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	if (atomic_load_explicit(&table->fork_sentinel, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++) {
		struct lz_wipe_range *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) >= end || end_of(wipe) <= start)
			continue;
		if (start_of(wipe) >= start && end_of(wipe) <= end)
			release_slot(wipe);
		else if (start_of(wipe) >= start)
			atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
		else if (end_of(wipe) <= end)
			atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
		else
			remove_middle(table, wipe, start, end);
	}
}

void lz_wipe_table_list(
	const struct lz_wipe_table *table, uintptr_t start, uintptr_t end, struct lz_wipe_list *list)
{
	list->count = 0;
	list->is_complete = true;
	if (atomic_load_explicit(&table->fork_sentinel, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++) {
		const struct lz_wipe_range *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) >= end || end_of(wipe) <= start)
			continue;
		if (list->count == LZ_WIPE_LIST_PARTS) {
			list->is_complete = false;
			return;
		}
		list->part[list->count].start = lz_sub_clamped(start_of(wipe), start);
		list->part[list->count].end = lz_min_u64(end_of(wipe), end) - start;
		list->count++;
	}
}

void lz_wipe_table_restore(struct lz_wipe_table *table, uintptr_t base, const struct lz_wipe_list *list,
	size_t old_length, size_t new_length)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t start = list->part[i].start, end = list->part[i].end;

		if (end >= old_length || end > new_length)
			end = new_length;
		if (start < end)
			lz_wipe_table_add(table, base + start, base + end);
	}
}

bool lz_wipe_table_is_empty(const struct lz_wipe_table *table)
{
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++)
		if (start_of(&table->range[i]) != 0)
			return false;
	return true;
}

/*
 * Guard pages are removed too, as they are when the kernel wipes memory (before Linux 6.13 there are none).
 */
void lz_wipe_table_zero_ranges(
	const struct lz_wipe_table *table, const struct lz_os *os, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPE_TABLE_RANGES; i++) {
		uintptr_t from = lz_max_u64(start, start_of(&table->range[i]));
		uintptr_t to = lz_min_u64(end, end_of(&table->range[i]));

		if (start_of(&table->range[i]) == 0 || from >= to)
			continue;
		lz_fact_madvise(os, LZ_FACT_GUARD_REGIONS, (void *)from, to - from, MADV_GUARD_REMOVE);
		os->madvise((void *)from, to - from, MADV_DONTNEED);
	}
}
