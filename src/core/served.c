/*
 * Regions that we serve in place of the allocator below: allocate, free, resize.
 *
 * The lock is held only to look at or change the books. A range leaves the ledger before the kernel may hand its
 * addresses to another thread, and enters it after the kernel gave them to this one.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/checked.h"

static size_t length_of(struct lz_served *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

/* Enters a fresh region into the books and settles its charge. Returns 0, -ENOMEM or -EAGAIN. */
static int book(struct lz_core *core, uintptr_t base, size_t length, bool huge_pages_refused)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = base};
	int error;

	if (!lz_core_enter(core))
		return -EAGAIN;
	error = lz_regions_insert(&core->regions, base, length, huge_pages_refused);
	if (error == 0) {
		lz_ledger_set(&core->ledger, base, base + length, traits);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	return error;
}

static void count_region(struct lz_core *core, size_t length)
{
	lz_stats_add(&core->stats, regions, 1);
	lz_stats_add(&core->stats, region_bytes, length);
	lz_stats_add(&core->stats, regions_total, 1);
	lz_stats_add(&core->stats, region_bytes_total, length);
}

/* Rounds up to pages what a request may ask for. */
static bool page_length(const struct lz_core *core, uint64_t size, size_t *length)
{
	uint64_t rounded;

	if (size == 0 || size > PTRDIFF_MAX || !lz_round_up(size, core->page, &rounded) || rounded > PTRDIFF_MAX)
		return false;
	*length = (size_t)rounded;
	return true;
}

int lz_core_allocate(struct lz_core *core, const struct lz_request *request, size_t alignment, void **out)
{
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_grant grant;
	bool huge_pages_refused;
	uintptr_t base;
	size_t length;
	int error;

	if (!page_length(core, request->size, &length))
		return -ENOMEM;
	need.bytes = length;
	error = lz_core_charge(core, request, &need, &grant);
	if (error)
		return error;
	error = lz_zeropage_map(core, length, alignment, &base, &huge_pages_refused);
	if (error == 0) {
		error = book(core, base, length, huge_pages_refused);
		if (error)
			core->os->munmap((void *)base, length);
	}
	lz_core_settle(core, &grant, error == 0);
	if (error)
		return error;
	count_region(core, length);
	if (!grant.over)
		lz_zeropage_populate(core, base, length);
	*out = (void *)base;
	return 0;
}

/* Takes a claimed region out of the books. */
static void unbook(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length)
{
	if (!lz_core_enter(core)) {
		lz_regions_abandon(&core->regions, region);
		return;
	}
	lz_core_sample_peak(core, length);
	lz_regions_unlink(&core->regions, region);
	lz_ledger_remove(&core->ledger, base, base + length);
	lz_core_publish(core);
	lz_core_leave(core);
}

int lz_core_free(struct lz_core *core, void *p)
{
	uintptr_t base = (uintptr_t)p;
	struct lz_served *region = lz_regions_find(&core->regions, base);
	size_t length;

	if (region == NULL || !lz_regions_claim(region))
		return -ENOENT;
	length = length_of(region);
	unbook(core, region, base, length);
	/* At vm.max_map_count the kernel cannot cut a mapping in two: give the pages back all the same. */
	if (core->os->munmap(p, length) != 0)
		core->os->madvise(p, length, MADV_DONTNEED);
	lz_stats_sub(&core->stats, regions, 1);
	lz_stats_sub(&core->stats, region_bytes, length);
	return 0;
}

int lz_core_size(struct lz_core *core, const void *p, size_t *bytes)
{
	struct lz_served *region = lz_regions_find(&core->regions, (uintptr_t)p);

	if (region == NULL)
		return -ENOENT;
	*bytes = length_of(region);
	return 0;
}

static void shrink(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	if (lz_core_enter(core)) {
		lz_ledger_remove(&core->ledger, base + new_length, base + length);
		lz_core_publish(core);
		lz_core_leave(core);
	}
	if (core->os->munmap((void *)(base + new_length), length - new_length) == 0)
		atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
}

/* The region grew where it is. */
static void extend(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = base};

	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	if (!lz_core_enter(core))
		return;
	lz_ledger_set(&core->ledger, base + length, base + new_length, traits);
	lz_core_publish(core);
	lz_core_leave(core);
}

/*
 * The books follow a region from one place to another: its ranges in the ledger, and a record for the new
 * place. The old place leaves the ledger while it still is this region's, before another thread can be given it.
 */
static int rebook(struct lz_core *core, uintptr_t from, size_t from_length, uintptr_t to, size_t to_length,
	bool huge_pages_refused)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = to};
	int error;

	if (!lz_core_enter(core))
		return -EAGAIN;
	error = lz_regions_insert(&core->regions, to, to_length, huge_pages_refused);
	if (error == 0) {
		lz_ledger_remove(&core->ledger, from, from + from_length);
		lz_ledger_set(&core->ledger, to, to + to_length, traits);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	return error;
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
static int move(struct lz_core *core, uintptr_t base, size_t length, size_t new_length, bool huge_pages_refused,
	uintptr_t *moved)
{
	intptr_t target = lz_zeropage_reserve(core, base, new_length);
	intptr_t at;
	int error;

	if (lz_os_failed(target))
		return (int)target;
	error = rebook(core, base, length, (uintptr_t)target, new_length, huge_pages_refused);
	if (error) {
		core->os->munmap((void *)target, new_length);
		return error;
	}
	at = core->os->mremap((void *)base, length, new_length, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)target);
	if (!lz_os_failed(at)) {
		*moved = (uintptr_t)target;
		return 0;
	}
	struct lz_served *record = lz_regions_find(&core->regions, (uintptr_t)target);
	if (record != NULL && lz_regions_claim(record))
		unbook(core, record, (uintptr_t)target, new_length);
	core->os->munmap((void *)target, new_length);
	return (int)at;
}

/*
 * The last resort, where there is no address space for both places at once (RLIMIT_AS): the kernel moves a claimed
 * region to wherever it fits. The one system call made with the lock, since the books must follow without fail.
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

static int grow(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length,
	uintptr_t *moved)
{
	intptr_t at = core->os->mremap((void *)base, length, new_length, 0, NULL);

	*moved = base;
	if (!lz_os_failed(at)) {
		extend(core, region, base, length, new_length);
		return 0;
	}
	if (!lz_regions_claim(region))
		return -ENOENT;
	if (move(core, base, length, new_length, region->huge_pages_refused, moved) == 0) {
		forget(core, region);
		return 0;
	}
	int error = move_anywhere(core, region, base, length, new_length, moved);
	if (error) {
		/* Still here: the record lives again, and the range is back in the ledger. */
		lz_regions_revive(region);
		extend(core, region, base, 0, length);
	}
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
	if (!page_length(core, request->size, &new_length))
		return -ENOMEM;
	length = length_of(region);
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
			return error;
		if (!grant.over)
			lz_zeropage_populate(core, base + length, new_length - length);
	}
	lz_stats_add(&core->stats, region_bytes, (uint64_t)new_length - length);
	*out = (void *)base;
	return 0;
}
