/*
 * Regions that we serve in place of the allocator below: allocate and free.
 *
 * The lock is held only to look at or change the books. A range leaves the ledger before the kernel may hand
 * its addresses to another thread, and enters it after the kernel gave them to this one.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "backing/region_header.h"

static size_t length_of(struct lz_served *region)
{
	return atomic_load_explicit(&region->length, memory_order_relaxed);
}

static void uncount_region(struct lz_core *core, size_t length, bool on_window)
{
	lz_stats_sub(&core->stats, regions, 1);
	lz_stats_sub(&core->stats, region_bytes, length);
	lz_stats_sub(&core->stats, window_regions, on_window);
	lz_stats_sub(&core->stats, window_region_bytes, on_window ? length : 0);
}

/* Removes the record of a claimed region; the ledger is the caller's. With the lock. */
static void drop_record(struct lz_core *core, struct lz_served *region)
{
	uncount_region(core, length_of(region), region->on_window);
	lz_regions_unlink(&core->regions, region);
}

void lz_core_drop_stale_regions(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_range *range = lz_ledger_find(&core->ledger, start);

	for (; range != NULL && range->start < end; range = lz_ledger_next(range)) {
		struct lz_served *region =
			range->traits.tag != 0 ? lz_regions_find(&core->regions, range->traits.tag) : NULL;

		if (region != NULL && lz_regions_claim(region)) {
			drop_record(core, region);
			/* Other parts of it may still be in the ledger. */
			atomic_store_explicit(&core->missed, true, memory_order_relaxed);
		}
	}
}

/* The program has unmapped a region as memory, without freeing it: its record is all that is left. */
static void drop_record_at(struct lz_core *core, uintptr_t base)
{
	struct lz_served *region = lz_regions_find(&core->regions, base);

	if (region != NULL && lz_regions_claim(region))
		drop_record(core, region);
}

struct lz_served *lz_core_find_region(struct lz_core *core, const void *p)
{
	uintptr_t base = (uintptr_t)p;
	struct lz_served *region = lz_regions_find(&core->regions, base);

	if (region == NULL || atomic_load_explicit(&core->passive, memory_order_relaxed) ||
		lz_header_matches(core, base, length_of(region)))
		return region;
	atomic_store_explicit(&core->missed, true, memory_order_relaxed);
	if (!lz_core_enter(core))
		return NULL;
	if (lz_regions_claim(region)) {
		lz_ledger_remove(&core->ledger, base - lz_header_bytes(core), base + length_of(region));
		lz_window_forget(core, base, base + length_of(region));
		drop_record(core, region);
	}
	lz_core_leave(core);
	return NULL;
}

int lz_core_book(struct lz_core *core, const struct lz_place *place, uintptr_t from, size_t from_length)
{
	uintptr_t base = place->base, end = base + place->length, start = base - lz_header_bytes(core);
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = base};
	int error;

	if (!lz_core_enter(core))
		return -EAGAIN;
	lz_core_drop_stale_regions(core, start, end);
	drop_record_at(core, base);
	error = lz_regions_insert(&core->regions, base, place->length,
		(struct lz_served_how){place->huge_pages_refused, place->on_window, place->accounted});
	if (error == 0) {
		if (from != 0)
			lz_ledger_remove(&core->ledger, from - lz_header_bytes(core), from + from_length);
		lz_ledger_set(&core->ledger, start, end, traits);
		if (place->window != 0)
			lz_window_note(core, base, end, place->window);
		if (place->on_window) {
			lz_core_on_window(core, &traits);
			lz_ledger_set(&core->ledger, base, end, traits);
		}
		lz_core_publish(core);
	}
	lz_core_leave(core);
	return error;
}

static void count_region(struct lz_core *core, size_t length, bool on_window)
{
	lz_stats_add(&core->stats, regions, 1);
	lz_stats_add(&core->stats, region_bytes, length);
	lz_stats_add(&core->stats, window_regions, on_window);
	lz_stats_add(&core->stats, window_region_bytes, on_window ? length : 0);
	lz_stats_add(&core->stats, regions_total, 1);
	lz_stats_add(&core->stats, region_bytes_total, length);
}

bool lz_core_page_length(const struct lz_core *core, uint64_t size, size_t *length)
{
	uint64_t rounded;

	if (size == 0 || size > PTRDIFF_MAX || !lz_round_up(size, core->page, &rounded) ||
		rounded > PTRDIFF_MAX)
		return false;
	*length = (size_t)rounded;
	return true;
}

/* Puts a region somewhere and enters it into the books. On failure there is none. */
static int place_region(struct lz_core *core, const struct lz_window_use *use, size_t length,
	size_t alignment, bool accounted, struct lz_place *place)
{
	int error = use->window != NULL ? lz_windowed_map(core, use, length, alignment, accounted, place)
					: lz_zeropage_map(core, length, alignment, accounted, place);

	if (error)
		return error;
	lz_header_write(core, place->base, length);
	error = lz_core_book(core, place, 0, 0);
	if (error)
		core->os->munmap(
			(void *)(place->base - lz_header_bytes(core)), length + lz_header_bytes(core));
	return error;
}

/* Initial-exec: see support/lock.c. */
static __thread bool in_heard_call __attribute__((tls_model("initial-exec")));

int lz_core_munmap_heard(struct lz_core *core, uintptr_t start, size_t length)
{
	int error;

	if (in_heard_call)
		return core->os->munmap((void *)start, length);
	in_heard_call = true;
	error = core->calls->munmap((void *)start, length);
	in_heard_call = false;
	return error;
}

int lz_core_madvise_heard(struct lz_core *core, uintptr_t start, size_t length, int advice)
{
	int error;

	if (in_heard_call)
		return core->os->madvise((void *)start, length, advice);
	in_heard_call = true;
	error = core->calls->madvise((void *)start, length, advice);
	in_heard_call = false;
	return error;
}

void lz_core_unmap_region(struct lz_core *core, uintptr_t base, size_t length)
{
	uintptr_t start = base - lz_header_bytes(core);

	length += lz_header_bytes(core);
	if (lz_core_munmap_heard(core, start, length) != 0)
		lz_core_madvise_heard(core, start, length, MADV_DONTNEED);
}

/* Serves from what is kept. -ENOENT: there is nothing of use. */
static int recycle(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment, void **out)
{
	uintptr_t base;
	size_t got;
	int error = lz_recycle_take(core, request, length, alignment, &base, &got);

	if (error)
		return error;
	count_region(core, got, lz_regions_find(&core->regions, base)->on_window);
	*out = (void *)base;
	if (lz_recycle_fits(got, length) || lz_core_resize(core, request, (void *)base, out) == 0)
		return 0;
	lz_core_free(core, (void *)base);
	return -ENOENT;
}

int lz_core_allocate(struct lz_core *core, const struct lz_request *request, size_t alignment, void **out)
{
	struct lz_need need = {
		.page_shift = core->page_shift, .windowable = lz_core_may_use_window(core, request->backing)};
	struct lz_window_use use;
	struct lz_grant grant;
	struct lz_place place;
	size_t length;
	int error;

	if (!lz_core_page_length(core, request->size, &length))
		return -ENOMEM;
	/* Nothing is kept where a report is wanted. */
	if (recycle(core, request, length, alignment, out) == 0)
		return 0;
	need.bytes = length + lz_header_bytes(core);
	for (;;) {
		error = lz_core_charge(core, request, &need, &grant, &use);
		if (error)
			return error;
		error = place_region(core, &use, length, alignment, request->accounted, &place);
		if (error != 0 && lz_recycle_flush(core))
			error = place_region(core, &use, length, alignment, request->accounted, &place);
		lz_core_settle(core, &grant, error == 0);
		lz_window_release(core, &use);
		if (error == 0 || grant.window == 0)
			break;
		/* Some of its many mappings could not be had: the zero page needs one. */
		need.windowable = false;
	}
	if (error)
		return -EAGAIN; /* the allocator below may still find room: it has some mapped already */
	count_region(core, length, place.on_window);
	if (place.on_window)
		lz_core_count_window(core, length);
	if (!grant.over)
		lz_zeropage_populate(core, place.base, length);
	*out = (void *)place.base;
	if (core->report != NULL)
		lz_report_made(core, request, *out);
	return 0;
}

void lz_core_unbook(struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length)
{
	if (!lz_core_enter(core)) {
		lz_regions_abandon(&core->regions, region);
		return;
	}
	lz_core_sample_peak(core, length);
	lz_regions_unlink(&core->regions, region);
	lz_ledger_remove(&core->ledger, base - lz_header_bytes(core), base + length);
	lz_window_forget(core, base, base + length);
	lz_core_publish(core);
	lz_core_leave(core);
}

int lz_core_free(struct lz_core *core, void *p)
{
	uintptr_t base = (uintptr_t)p;
	struct lz_served *region = lz_core_find_region(core, p);
	size_t length;
	bool on_window;

	if (region == NULL || !lz_regions_claim(region))
		return -ENOENT;
	length = length_of(region);
	on_window = region->on_window;
	if (core->report != NULL)
		lz_report_going(core, region, base, base + length);
	if (on_window)
		lz_core_sample_window(core);
	if (!lz_recycle_keep(core, region)) {
		lz_core_unbook(core, region, base, length);
		lz_core_unmap_region(core, base, length);
		lz_windows_release_unused(core);
	}
	uncount_region(core, length, on_window);
	return 0;
}

int lz_core_size(struct lz_core *core, const void *p, size_t *bytes)
{
	struct lz_served *region = lz_core_find_region(core, p);

	if (region == NULL)
		return -ENOENT;
	*bytes = length_of(region);
	return 0;
}
