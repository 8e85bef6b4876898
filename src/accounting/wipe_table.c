/* The ranges on windows that a forked child must find empty; see wipe_table.h. */
#include "accounting/wipe_table.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "os/facts.h"
#include "os/mman.h"

static uintptr_t start_of(const struct lz_wipe *wipe)
{
	return atomic_load_explicit(&wipe->start, memory_order_relaxed);
}

static uintptr_t end_of(const struct lz_wipe *wipe)
{
	return atomic_load_explicit(&wipe->end, memory_order_relaxed);
}

static void free_slot(struct lz_wipe *wipe)
{
	atomic_store_explicit(&wipe->start, 0, memory_order_relaxed);
}

/* Its start comes last: by that the slot is in use. */
static bool use_slot(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPES; i++)
		if (start_of(&table->range[i]) == 0) {
			atomic_store_explicit(&table->range[i].end, end, memory_order_relaxed);
			atomic_store_explicit(&table->range[i].start, start, memory_order_release);
			return true;
		}
	return false;
}

int lz_wipe_table_prepare(struct lz_wipe_table *table, const struct lz_os *os, size_t page)
{
	_Atomic uint32_t *none = NULL, *alive;
	intptr_t at;
	int error;

	if (atomic_load_explicit(&table->alive, memory_order_acquire) != NULL)
		return 0;
	at = os->mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(at))
		return (int)at;
	alive = (_Atomic uint32_t *)at;
	error = lz_fact_madvise_own(os, LZ_FACT_WIPE_ON_FORK, alive, page, MADV_WIPEONFORK);
	atomic_store(alive, 1);
	if (error != 0 || !atomic_compare_exchange_strong(&table->alive, &none, alive))
		os->munmap(alive, page);
	return error;
}

/* All that it touches becomes one range, so that what is advised page by page needs one slot. */
int lz_wipe_table_add(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	struct lz_wipe *whole = NULL;

	for (unsigned i = 0; i < LZ_WIPES; i++) {
		struct lz_wipe *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) > end || end_of(wipe) < start)
			continue;
		start = lz_min_u64(start, start_of(wipe));
		end = lz_max_u64(end, end_of(wipe));
		if (whole == NULL)
			whole = wipe;
		/* Two ranges do not touch one another, so no other than these touches the sum. */
		atomic_store_explicit(&whole->end, lz_max_u64(end, end_of(whole)), memory_order_relaxed);
		atomic_store_explicit(
			&whole->start, lz_min_u64(start, start_of(whole)), memory_order_relaxed);
		if (wipe != whole)
			free_slot(wipe);
	}
	return whole != NULL || use_slot(table, start, end) ? 0 : -EAGAIN;
}

/* The middle of a range goes. */
static void cut(struct lz_wipe_table *table, struct lz_wipe *wipe, uintptr_t start, uintptr_t end)
{
	if (use_slot(table, end, end_of(wipe)) || start - start_of(wipe) >= end_of(wipe) - end)
		atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
	else
		atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
}

void lz_wipe_table_remove(struct lz_wipe_table *table, uintptr_t start, uintptr_t end)
{
	if (atomic_load_explicit(&table->alive, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		struct lz_wipe *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) >= end || end_of(wipe) <= start)
			continue;
		if (start_of(wipe) >= start && end_of(wipe) <= end)
			free_slot(wipe);
		else if (start_of(wipe) >= start)
			atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
		else if (end_of(wipe) <= end)
			atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
		else
			cut(table, wipe, start, end);
	}
}

void lz_wipe_table_list(
	const struct lz_wipe_table *table, uintptr_t start, uintptr_t end, struct lz_wiped *wiped)
{
	wiped->count = 0;
	wiped->all = true;
	if (atomic_load_explicit(&table->alive, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		const struct lz_wipe *wipe = &table->range[i];

		if (start_of(wipe) == 0 || start_of(wipe) >= end || end_of(wipe) <= start)
			continue;
		if (wiped->count == LZ_WIPED_PARTS) {
			wiped->all = false;
			return;
		}
		wiped->part[wiped->count].start = lz_sub_clamped(start_of(wipe), start);
		wiped->part[wiped->count].end = lz_min_u64(end_of(wipe), end) - start;
		wiped->count++;
	}
}

void lz_wipe_table_restore(struct lz_wipe_table *table, uintptr_t base, const struct lz_wiped *wiped,
	size_t old_length, size_t new_length)
{
	for (size_t i = 0; i < wiped->count; i++) {
		size_t start = wiped->part[i].start, end = wiped->part[i].end;

		if (end >= old_length || end > new_length)
			end = new_length;
		if (start < end)
			lz_wipe_table_add(table, base + start, base + end);
	}
}

bool lz_wipe_table_is_empty(const struct lz_wipe_table *table)
{
	for (unsigned i = 0; i < LZ_WIPES; i++)
		if (start_of(&table->range[i]) != 0)
			return false;
	return true;
}

/* Guard pages go as well, as they do when the kernel wipes (before Linux 6.13 there are none). */
void lz_wipe_table_drop(
	const struct lz_wipe_table *table, const struct lz_os *os, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		uintptr_t from = lz_max_u64(start, start_of(&table->range[i]));
		uintptr_t to = lz_min_u64(end, end_of(&table->range[i]));

		if (start_of(&table->range[i]) == 0 || from >= to)
			continue;
		lz_fact_madvise(os, LZ_FACT_GUARD_REGIONS, (void *)from, to - from, MADV_GUARD_REMOVE);
		os->madvise((void *)from, to - from, MADV_DONTNEED);
	}
}
