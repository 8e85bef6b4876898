/*
 * Regions that we serve, made smaller or larger. Growth moves page tables, not bytes: in place, or to a place
 * that lies alike in its tables; only a region in several mappings is copied.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "os/pagemap.h"

/* Gives the tail back. Where the kernel cannot cut it off (vm.max_map_count), only its pages go. */
static void shrink(
	struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	void *tail = (void *)(base + new_length);

	if (lz_core_enter(core)) {
		lz_ledger_remove(&core->ledger, base + new_length, base + length);
		lz_core_publish(core);
		lz_core_leave(core);
	}
	if (core->os->munmap(tail, length - new_length) != 0) {
		core->os->madvise(tail, length - new_length, MADV_DONTNEED);
		return;
	}
	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	lz_stats_sub(&core->stats, region_bytes, length - new_length);
}

/* The region grew where it is. */
static void extend(
	struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = base};

	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	if (!lz_core_enter(core))
		return;
	lz_ledger_set(&core->ledger, base + length, base + new_length, traits);
	lz_core_publish(core);
	lz_core_leave(core);
}

/* Takes only the record of a claimed region out of the table. */
static void forget(struct lz_core *core, struct lz_served *region)
{
	if (!lz_core_enter(core)) {
		lz_regions_abandon(&core->regions, region);
		return;
	}
	lz_regions_unlink(&core->regions, region);
	lz_core_leave(core);
}

/* Moves a claimed region to a new place. On failure it is where it was, and has a record of its own again. */
static int move(struct lz_core *core, uintptr_t base, size_t length, size_t new_length,
	bool huge_pages_refused, uintptr_t *moved)
{
	intptr_t target = lz_zeropage_reserve(core, base, new_length);
	intptr_t at;
	int error;

	if (lz_os_failed(target))
		return (int)target;
	error = lz_core_book(core, (uintptr_t)target, new_length, huge_pages_refused, base, length);
	if (error) {
		core->os->munmap((void *)target, new_length);
		return error;
	}
	at = core->os->mremap(
		(void *)base, length, new_length, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)target);
	if (!lz_os_failed(at)) {
		*moved = (uintptr_t)target;
		return 0;
	}
	struct lz_served *record = lz_regions_find(&core->regions, (uintptr_t)target);
	if (record != NULL && lz_regions_claim(record))
		lz_core_unbook(core, record, (uintptr_t)target, new_length);
	core->os->munmap((void *)target, new_length);
	return (int)at;
}

/*
 * The last resort, where there is no address space for both places at once (RLIMIT_AS): the kernel moves a
 * claimed region to wherever it fits. The one system call made with the lock, since the books must follow
 * without fail.
 */
static int move_anywhere(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length,
	size_t new_length, uintptr_t *moved)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift};
	intptr_t at;

	if (!lz_core_enter(core))
		return -EAGAIN;
	at = core->os->mremap((void *)base, length, new_length, MREMAP_MAYMOVE, NULL);
	if (!lz_os_failed(at)) {
		traits.tag = *moved = (uintptr_t)at;
		lz_ledger_remove(&core->ledger, base, base + length);
		lz_ledger_set(&core->ledger, *moved, *moved + new_length, traits);
		lz_regions_rebase(&core->regions, region, *moved, new_length);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	return lz_os_failed(at) ? (int)at : 0;
}

/* Where pages are copied from and to, and how large they are. */
struct copy {
	uintptr_t from, to;
	size_t page;
};

/* Copies the pages of [start, end) of the old place that are not zero: what stays unwritten stays sparse. */
static void copy_pages(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page) {
		const char *page = (const char *)at;

		if (page[0] != 0 || memcmp(page, page + 1, copy->page - 1) != 0)
			memcpy((void *)(copy->to + (at - copy->from)), page, copy->page);
	}
}

/*
 * The kernel does not mark its huge zero page as one (6.7 and later), so what it does not mark is looked at.
 */
static void copy_run(void *context, const struct lz_page_run *run)
{
	if (!run->zero)
		copy_pages(context, run->start, run->end);
}

/*
 * For a claimed region that the program has split into several mappings by advising, protecting or locking a
 * part of it (numpy advises MADV_HUGEPAGE from the second page on): mremap answers EFAULT, and the bytes have
 * to move.
 */
static int copy_to_fresh(
	struct lz_core *core, uintptr_t base, size_t length, size_t new_length, uintptr_t *moved)
{
	bool huge_pages_refused;
	struct copy copy = {.from = base, .page = core->page};
	int error = lz_zeropage_map(core, new_length, core->page, moved, &huge_pages_refused);

	if (error)
		return error;
	error = lz_core_book(core, *moved, new_length, huge_pages_refused, base, length);
	if (error) {
		core->os->munmap((void *)*moved, new_length);
		return error;
	}
	copy.to = *moved;
	if (lz_pagemap_walk(core->os, base, base + length, copy_run, &copy) != 0)
		copy_pages(&copy, base, base + length);
	core->os->munmap((void *)base, length);
	return 0;
}

static int grow(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length,
	size_t new_length, uintptr_t *moved)
{
	intptr_t at = core->os->mremap((void *)base, length, new_length, 0, NULL);
	int error;

	*moved = base;
	if (!lz_os_failed(at)) {
		extend(core, region, base, length, new_length);
		return 0;
	}
	if (!lz_regions_claim(region))
		return -ENOENT;
	/* Each way is tried where the one before failed; a region in several mappings (EFAULT) can only be
	 * copied. */
	if (at != -EFAULT && move(core, base, length, new_length, region->huge_pages_refused, moved) == 0) {
		forget(core, region);
		return 0;
	}
	if (at != -EFAULT && move_anywhere(core, region, base, length, new_length, moved) == 0)
		return 0;
	error = copy_to_fresh(core, base, length, new_length, moved);
	if (error == 0) {
		forget(core, region);
		return 0;
	}
	/* Still here: the record lives again, and the range is back in the ledger. */
	*moved = base;
	lz_regions_revive(region);
	extend(core, region, base, 0, length);
	return error;
}

int lz_core_resize(struct lz_core *core, const struct lz_request *request, void *p, void **out)
{
	struct lz_served *region = lz_regions_find(&core->regions, (uintptr_t)p);
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_grant grant;
	uintptr_t base = (uintptr_t)p;
	size_t length, new_length;
	int error;

	if (region == NULL)
		return -ENOENT;
	if (!lz_core_page_length(core, request->size, &new_length))
		return -ENOMEM;
	length = atomic_load_explicit(&region->length, memory_order_relaxed);
	if (new_length < length) {
		shrink(core, region, base, length, new_length);
	} else if (new_length > length) {
		need.bytes = new_length;
		need.old_bytes = length;
		error = lz_core_charge(core, request, &need, &grant);
		if (error)
			return error;
		error = grow(core, region, base, length, new_length, &base);
		lz_core_settle(core, &grant, error == 0);
		if (error)
			return -EAGAIN;
		if (!grant.over)
			lz_zeropage_populate(core, base + length, new_length - length);
		lz_stats_add(&core->stats, region_bytes, new_length - length);
	}
	*out = (void *)base;
	return 0;
}
