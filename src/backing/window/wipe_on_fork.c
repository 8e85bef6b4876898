/* Ranges on a window that a forked child finds empty; see wipe.h. */
#include "backing/window/wipe_on_fork.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "core/inside.h"
#include "os/mman.h"
#include "os/procfs.h"

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
static bool use_slot(struct lz_wipes *wipes, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPES; i++)
		if (start_of(&wipes->range[i]) == 0) {
			atomic_store_explicit(&wipes->range[i].end, end, memory_order_relaxed);
			atomic_store_explicit(&wipes->range[i].start, start, memory_order_release);
			return true;
		}
	return false;
}

int lz_wipe_prepare(struct lz_core *core)
{
	_Atomic uint32_t *none = NULL, *alive;
	intptr_t page;
	int error;

	if (atomic_load_explicit(&core->wipes.alive, memory_order_acquire) != NULL)
		return 0;
	page = core->os->mmap(NULL, core->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lz_os_failed(page))
		return (int)page;
	alive = (_Atomic uint32_t *)page;
	error = core->os->madvise(alive, core->page, MADV_WIPEONFORK);
	atomic_store(alive, 1);
	if (error != 0 || !atomic_compare_exchange_strong(&core->wipes.alive, &none, alive))
		core->os->munmap(alive, core->page);
	return error;
}

/* All that it touches becomes one range, so that what is advised page by page needs one slot. */
int lz_wipe_add(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_wipe *whole = NULL;

	for (unsigned i = 0; i < LZ_WIPES; i++) {
		struct lz_wipe *wipe = &core->wipes.range[i];

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
	return whole != NULL || use_slot(&core->wipes, start, end) ? 0 : -EAGAIN;
}

/* The middle of a range goes. */
static void cut(struct lz_wipes *wipes, struct lz_wipe *wipe, uintptr_t start, uintptr_t end)
{
	if (use_slot(wipes, end, end_of(wipe)) || start - start_of(wipe) >= end_of(wipe) - end)
		atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
	else
		atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
}

void lz_wipe_remove(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	if (atomic_load_explicit(&core->wipes.alive, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		struct lz_wipe *wipe = &core->wipes.range[i];

		if (start_of(wipe) == 0 || start_of(wipe) >= end || end_of(wipe) <= start)
			continue;
		if (start_of(wipe) >= start && end_of(wipe) <= end)
			free_slot(wipe);
		else if (start_of(wipe) >= start)
			atomic_store_explicit(&wipe->start, end, memory_order_relaxed);
		else if (end_of(wipe) <= end)
			atomic_store_explicit(&wipe->end, start, memory_order_relaxed);
		else
			cut(&core->wipes, wipe, start, end);
	}
}

void lz_wipe_list(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_wiped *wiped)
{
	wiped->count = 0;
	wiped->all = true;
	if (atomic_load_explicit(&core->wipes.alive, memory_order_relaxed) == NULL)
		return;
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		const struct lz_wipe *wipe = &core->wipes.range[i];

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

void lz_wipe_put(
	struct lz_core *core, uintptr_t base, const struct lz_wiped *wiped, size_t old_length, size_t new_length)
{
	for (size_t i = 0; i < wiped->count; i++) {
		size_t start = wiped->part[i].start, end = wiped->part[i].end;

		if (end >= old_length || end > new_length)
			end = new_length;
		if (start < end)
			lz_wipe_add(core, base + start, base + end);
	}
}

/* --- in the child --- */

/* Guards go as well, as they do when the kernel wipes (before Linux 6.13 there are none). */
static void drop(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WIPES; i++) {
		uintptr_t from = lz_max_u64(start, start_of(&core->wipes.range[i]));
		uintptr_t to = lz_min_u64(end, end_of(&core->wipes.range[i]));

		if (start_of(&core->wipes.range[i]) == 0 || from >= to)
			continue;
		core->os->madvise((void *)from, to - from, MADV_GUARD_REMOVE);
		core->os->madvise((void *)from, to - from, MADV_DONTNEED);
	}
}

static bool is_empty(struct lz_core *core)
{
	for (unsigned i = 0; i < LZ_WIPES; i++)
		if (start_of(&core->wipes.range[i]) != 0)
			return false;
	return true;
}

/* Silently, by our own system calls: the kernel, too, tells nobody that it wipes. */
void lz_wipe_forked(struct lz_core *core)
{
	_Atomic uint32_t *alive = atomic_load_explicit(&core->wipes.alive, memory_order_acquire);
	struct lz_lines lines;
	const char *line;
	bool all;

	if (alive == NULL || atomic_exchange_explicit(alive, 1, memory_order_acq_rel) != 0 || is_empty(core))
		return;
	all = lz_lines_open(&lines, core->os, "/proc/thread-self/maps") == 0;
	while (all && (line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) == 0 && lz_window_is_named(&mapping))
			drop(core, mapping.start, mapping.end);
	}
	if (all) {
		all = lines.error == 0;
		lz_lines_close(&lines);
	}
	/* Where maps cannot be read, what was recorded is believed. */
	if (!all)
		drop(core, 0, UINTPTR_MAX);
}

void lz_core_forked(struct lz_core *core)
{
	lz_wipe_forked(core);
}
