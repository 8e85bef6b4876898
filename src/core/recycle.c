/* Freed regions kept for reuse; see recycle.h. */
#include "core/recycle.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/checked.h"
#include "core/inside.h"
#include "os/mman.h"

/*
 * Another size is made of a kept region that holds at least this share of it: what is in memory already needs
 * no page fault. Less, and moving page tables costs more than that saves.
 */
#define WORTH_RESIZING 8u

/* Longer idle, and it goes back. */
#define IDLE_MS 1000u

/* Resource limits are looked at this often: two system calls. */
#define LIMITS_MS 100u

/* Of the memory that this process may use. */
#define MEMORY_SHARE 8u

/*
 * Up to this share of the cap a region is taken to be full without a look: looking at 16 MiB takes 10 us when
 * they are sparse, but 70 us when they are full, where clearing takes 330.
 */
#define UNSEEN_SHARE 4u

/* --- giving back --- */

/* Regions on their way out: taken from the books with the lock, unmapped without. */
struct outgoing {
	unsigned count;
	struct lz_kept kept[LZ_RECYCLED + 1];
};

static void take_out(struct lz_core *core, struct lz_kept *kept)
{
	struct lz_recycle *recycle = &core->recycle;

	kept->base = 0;
	recycle->weight -= kept->weight;
	atomic_fetch_sub_explicit(&recycle->count, 1, memory_order_relaxed);
	lz_stats_set(&core->stats, cache_bytes, recycle->weight);
}

/* Into a free slot, which is in use by its base. */
static void put_in(struct lz_core *core, struct lz_kept *slot, struct lz_kept kept)
{
	struct lz_recycle *recycle = &core->recycle;
	uintptr_t base = kept.base;

	kept.base = 0;
	*slot = kept;
	atomic_store(&slot->base, base);
	recycle->weight += kept.weight;
	atomic_fetch_add_explicit(&recycle->count, 1, memory_order_relaxed);
	lz_stats_set(&core->stats, cache_bytes, recycle->weight);
}

static void send_out(struct lz_core *core, struct lz_kept *kept, struct outgoing *outgoing)
{
	outgoing->kept[outgoing->count++] = *kept;
	lz_ledger_remove(&core->ledger, kept->base, kept->base + kept->length);
	lz_window_forget(core, kept->base, kept->base + kept->length);
	take_out(core, kept);
}

static void unmap(struct lz_core *core, const struct outgoing *outgoing)
{
	for (unsigned i = 0; i < outgoing->count; i++) {
		void *base = (void *)outgoing->kept[i].base;
		size_t length = outgoing->kept[i].length;

		if (core->os->munmap(base, length) != 0)
			core->os->madvise(base, length, MADV_DONTNEED);
	}
	lz_windows_release_unused(core);
}

static struct lz_kept *oldest(struct lz_recycle *recycle)
{
	struct lz_kept *found = NULL;

	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept *kept = &recycle->kept[i];

		if (kept->base != 0 && (found == NULL || kept->freed_ms < found->freed_ms))
			found = kept;
	}
	return found;
}

/* Sends out what was freed before `since`; with the lock. */
static void send_out_before(struct lz_core *core, uint64_t since, struct outgoing *outgoing)
{
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept *kept = &core->recycle.kept[i];

		if (kept->base != 0 && kept->freed_ms < since)
			send_out(core, kept, outgoing);
	}
}

static bool give_back_before(struct lz_core *core, uint64_t since)
{
	struct outgoing outgoing;

	outgoing.count = 0;
	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0 || !lz_core_enter(core))
		return false;
	send_out_before(core, since, &outgoing);
	if (outgoing.count != 0)
		lz_core_publish(core);
	lz_core_leave(core);
	unmap(core, &outgoing);
	return outgoing.count != 0;
}

void lz_recycle_tend(struct lz_core *core)
{
	struct lz_kept *last;
	uint64_t now;
	bool idle = false;

	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0)
		return;
	now = core->os->now_ms();
	if (!lz_core_enter(core))
		return;
	last = oldest(&core->recycle);
	idle = last != NULL && now - last->freed_ms > IDLE_MS;
	lz_core_leave(core);
	if (idle)
		give_back_before(core, now - IDLE_MS);
}

bool lz_recycle_flush(struct lz_core *core)
{
	return give_back_before(core, UINT64_MAX);
}

void lz_recycle_limited(struct lz_core *core)
{
	if (!lz_core_enter(core))
		return;
	core->recycle.limited_ms = 0;
	lz_core_leave(core);
	lz_recycle_flush(core);
}

/* --- keeping --- */

/* Where address space or data is limited, what is kept could be what the next small request lacks. */
static uint64_t cap(struct lz_core *core, uint64_t now)
{
	struct lz_recycle *recycle = &core->recycle;
	uint64_t space = RLIM_INFINITY, data = RLIM_INFINITY;

	if (recycle->limited_ms != 0 && now - recycle->limited_ms < LIMITS_MS)
		return recycle->cap;
	recycle->limited_ms = lz_not_never(now);
	core->os->limit(RLIMIT_AS, &space);
	core->os->limit(RLIMIT_DATA, &data);
	lz_core_resolve_budget(core);
	recycle->cap = space != RLIM_INFINITY || data != RLIM_INFINITY
			       ? 0
			       : lz_min_u64(core->options.cache, core->budget.memory / MEMORY_SHARE);
	return recycle->cap;
}

/* Whether the ledger knows the region as it was made: nothing unmapped, replaced or made inaccessible. */
static bool is_unaltered(struct lz_core *core, const struct lz_served *region, uintptr_t base, size_t length)
{
	uintptr_t at = base;

	if (lz_regions_spoiled(&core->regions, region) || core->ledger.inexact ||
		atomic_load_explicit(&core->missed, memory_order_relaxed))
		return false;
	for (struct lz_range *range = lz_ledger_find(&core->ledger, base); at < base + length;
		range = lz_ledger_next(range)) {
		if (range == NULL || range->start > at || range->traits.tag != base)
			return false;
		at = range->end;
	}
	return true;
}

/* Makes room for one more of that weight; false where it cannot be. With the lock. */
static struct lz_kept *make_room(struct lz_core *core, uint64_t weight, struct outgoing *outgoing)
{
	struct lz_recycle *recycle = &core->recycle;

	if (weight > recycle->cap)
		return NULL;
	while (recycle->weight + weight > recycle->cap ||
		atomic_load_explicit(&recycle->count, memory_order_relaxed) == LZ_RECYCLED) {
		struct lz_kept *last = oldest(recycle);

		if (last == NULL)
			return NULL;
		send_out(core, last, outgoing);
	}
	for (unsigned i = 0; i < LZ_RECYCLED; i++)
		if (recycle->kept[i].base == 0)
			return &recycle->kept[i];
	return NULL;
}

/* A region on a window holds many mappings; too many kept would be lacking elsewhere. */
static bool is_in_too_many_mappings(struct lz_core *core, const struct lz_served *region, size_t length)
{
	return region->on_window && length / lz_window_unit(core) > 4096;
}

bool lz_recycle_keep(struct lz_core *core, struct lz_served *region)
{
	uintptr_t base = atomic_load_explicit(&region->base, memory_order_relaxed);
	size_t length = atomic_load_explicit(&region->length, memory_order_relaxed);
	uint64_t now, limit, weight = length;
	struct lz_kept *kept = NULL;
	struct outgoing outgoing;
	bool is_zero = false;

	/* Without the mmap family, what the program does to a region is not seen. */
	if (core->options.cache == 0 || !(core->options.intercept & LZ_INTERCEPT_MMAP))
		return false;
	now = core->os->now_ms();
	if (!lz_core_enter(core))
		return false;
	limit = cap(core, now);
	if (limit == 0 || is_in_too_many_mappings(core, region, length) ||
		!is_unaltered(core, region, base, length)) {
		lz_core_leave(core);
		return false;
	}
	lz_core_leave(core);
	/* What was full when it was last made zero holds its length. */
	if (length > limit / UNSEEN_SHARE && !(region->full && length <= limit))
		weight = lz_recycle_weigh(core, base, length, limit + 1, &is_zero);
	outgoing.count = 0;
	if (weight > limit || !lz_core_enter(core))
		return false;
	send_out_before(core, lz_sub_clamped(now, IDLE_MS), &outgoing);
	kept = make_room(core, weight, &outgoing);
	if (kept != NULL) {
		put_in(core, kept,
			(struct lz_kept){.base = base,
				.length = length,
				.weight = weight,
				.freed_ms = now,
				.huge_pages_refused = region->huge_pages_refused,
				.on_window = region->on_window,
				.full = region->full,
				.is_zero = is_zero});
		lz_regions_unlink(&core->regions, region);
	}
	if (outgoing.count != 0)
		lz_core_publish(core);
	lz_core_leave(core);
	unmap(core, &outgoing);
	return kept != NULL;
}

void lz_recycle_mend(struct lz_recycle *recycle)
{
	uint32_t count = 0;

	recycle->weight = 0;
	for (unsigned i = 0; i < LZ_RECYCLED; i++)
		if (recycle->kept[i].base != 0) {
			recycle->weight += recycle->kept[i].weight;
			count++;
		}
	atomic_store_explicit(&recycle->count, count, memory_order_relaxed);
}

void lz_recycle_spoil(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	if (!lz_core_enter(core)) {
		atomic_fetch_add_explicit(&core->regions.changes, 1, memory_order_relaxed);
		return;
	}
	for (struct lz_range *range = lz_ledger_find(&core->ledger, start);
		range != NULL && range->start < end; range = lz_ledger_next(range)) {
		struct lz_served *region =
			range->traits.tag != 0 ? lz_regions_find(&core->regions, range->traits.tag) : NULL;

		if (region != NULL)
			region->spoiled = true;
	}
	lz_core_leave(core);
}

/* --- serving --- */

/* Whether it stands where the request wants to. Below its unit, who asks for a window gets the zero page. */
static bool stands_right(const struct lz_core *core, const struct lz_kept *kept,
	const struct lz_request *request, size_t length)
{
	enum lz_backing backing = request->backing != LZ_BACKING_AUTO
					  ? request->backing
					  : (enum lz_backing)core->options.backing;

	return backing == LZ_BACKING_AUTO || kept->on_window == (backing == LZ_BACKING_WINDOW) ||
	       (backing == LZ_BACKING_WINDOW && length < lz_window_unit(core));
}

bool lz_recycle_fits(size_t kept, size_t length)
{
	return kept >= length && kept - length <= length / 4;
}

static bool fits(const struct lz_core *core, const struct lz_kept *kept, const struct lz_request *request,
	size_t length, size_t alignment)
{
	return kept->base != 0 && lz_recycle_fits(kept->length, length) &&
	       (alignment <= 1 || kept->base % alignment == 0) && stands_right(core, kept, request, length);
}

/* The smallest that fits; of equals, the one freed last, which is warmest. */
static struct lz_kept *best(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment)
{
	struct lz_kept *found = NULL;

	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept *kept = &core->recycle.kept[i];

		if (fits(core, kept, request, length, alignment) &&
			(found == NULL || kept->length < found->length ||
				(kept->length == found->length && kept->freed_ms > found->freed_ms)))
			found = kept;
	}
	return found;
}

/* Better than which of two to make another size of: the one that holds more, of what is no more than wanted.
 */
static bool is_nearer(const struct lz_kept *kept, const struct lz_kept *found, size_t length)
{
	return found == NULL || lz_min_u64(kept->weight, length) > lz_min_u64(found->weight, length);
}

/*
 * Where none fits, one that can be made to: grown, or cut where not much more is lost than is used. Random
 * sizes that are mostly written then take a quarter less page faults. Only what could be kept again, so that
 * a huge request, which will be sparse, does not wait for pages to be cleared that it may never use.
 */
static struct lz_kept *nearest(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment)
{
	uint64_t tables = length / (lz_window_unit(core) / lz_table_bytes(core->geometry, 0));
	struct lz_kept *found = NULL;

	if (alignment > core->page || length > core->recycle.cap ||
		(core->budget.resolved && lz_core_exceeds(core, tables + LZ_LEVELS_MAX * core->page)))
		return NULL;
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept *kept = &core->recycle.kept[i];

		if (kept->base != 0 && !kept->on_window && stands_right(core, kept, request, length) &&
			kept->huge_pages_refused == (core->options.thp == LZ_THP_NEVER) &&
			kept->weight >= length / WORTH_RESIZING && kept->weight / 2 <= length &&
			is_nearer(kept, found, length))
			found = kept;
	}
	return found;
}

int lz_recycle_take(struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *got)
{
	struct lz_served *region = NULL;
	struct lz_kept *kept, taken = {.base = 0};
	bool full;

	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0 || !lz_core_enter(core))
		return -ENOENT;
	/* Beyond the budget, which may have shrunk since, what is kept goes back instead, and the policy
	 * decides. */
	kept = core->budget.resolved && lz_core_exceeds(core, 0) ? NULL
								 : best(core, request, length, alignment);
	if (kept == NULL)
		kept = nearest(core, request, length, alignment);
	if (kept != NULL) {
		taken = *kept;
		/* First: it must never be in both places, should this be left half done. */
		take_out(core, kept);
		if (lz_regions_insert(&core->regions, taken.base, taken.length, taken.huge_pages_refused,
			    taken.on_window) == 0)
			region = lz_regions_find(&core->regions, taken.base);
		else
			put_in(core, kept, taken);
	}
	lz_core_leave(core);
	if (region == NULL)
		return -ENOENT;
	*base = taken.base;
	*got = taken.length;
	full = taken.full;
	if (request->zeroed && !taken.is_zero)
		full = lz_recycle_clear(core, *base,
			lz_recycle_fits(*got, length) ? *got : lz_min_u64(*got, length), full,
			region->on_window);
	region->full = full;
	lz_stats_add(&core->stats, recycled, 1);
	lz_stats_add(&core->stats, recycled_bytes, *got);
	return 0;
}
