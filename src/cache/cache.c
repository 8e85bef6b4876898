/* Freed regions kept for reuse; see recycle.h. */
#include "cache/cache.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "base/checked.h"
#include "backing/region_header.h"
#include "core/inside.h"
#include "os/cgroup.h"
#include "os/descriptors.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "os/vma.h"

/*
 * Another size is made of a kept region that holds at least this share of it: what is in memory already needs
 * no page fault. Less, and moving page tables costs more than that saves.
 */
#define WORTH_RESIZING 8u

/* Regions that were not used for longer are unmapped. */
#define IDLE_MS 1000u

/* Resource limits and free memory are looked at this often: four system calls. */
#define LIMITS_MS 100u

/* Of the memory that this process may use. */
#define MEMORY_SHARE 8u

/* What is kept out of the kernel's reach, at most: so many bytes, and this share of the free memory. */
#define UNRECLAIMABLE_BYTES (UINT64_C(8) << 20)
#define UNRECLAIMABLE_SHARE 100u

/* One PROCMAP_QUERY for each piece of a window: 1 to 3 us. */
#define PIECES_LOOKED_AT 8u

/* Regions that one region replaces, at most. */
#define REPLACED 4u

/*
 * Up to this share of the cap a region is taken to be full without a look: looking at 16 MiB takes 10 us when
 * they are sparse, but 70 us when they are full, where clearing takes 330.
 */
#define UNSEEN_SHARE 4u

/* --- the slots --- */

static void note_filled(struct lz_recycle *recycle, bool filled)
{
	if (recycle->on_filled != NULL)
		recycle->on_filled(filled);
}

static void set_resident(struct lz_core *core, uint64_t resident)
{
	core->recycle.resident = resident;
	lz_stats_set(&core->stats, cache_bytes, resident);
}

/* With the lock. */
static void slot_clear(struct lz_core *core, struct lz_kept_slot *slot)
{
	struct lz_recycle *recycle = &core->recycle;

	atomic_store_explicit(&slot->base, 0, memory_order_release);
	set_resident(core, recycle->resident - slot->kept.resident);
	atomic_fetch_sub(&recycle->unreclaimable, slot->kept.unreclaimable);
	if (atomic_fetch_sub_explicit(&recycle->count, 1, memory_order_relaxed) == 1)
		note_filled(recycle, false);
}

/* Into a free slot; what is not reclaimable is in the sum of that already. With the lock. */
static void slot_fill(struct lz_core *core, struct lz_kept_slot *slot, const struct lz_kept *kept)
{
	struct lz_recycle *recycle = &core->recycle;

	slot->kept = *kept;
	atomic_store_explicit(&slot->length, kept->length, memory_order_relaxed);
	atomic_store_explicit(&slot->base, kept->base, memory_order_release);
	set_resident(core, recycle->resident + kept->resident);
	if (atomic_fetch_add_explicit(&recycle->count, 1, memory_order_relaxed) == 0)
		note_filled(recycle, true);
}

static struct lz_kept_slot *oldest(struct lz_recycle *recycle)
{
	struct lz_kept_slot *found = NULL;

	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept_slot *slot = &recycle->slot[i];

		if (slot->base != 0 && (found == NULL || slot->kept.freed_ms < found->kept.freed_ms))
			found = slot;
	}
	return found;
}

void lz_recycle_mend(struct lz_recycle *recycle)
{
	uint64_t unreclaimable = 0;
	uint32_t count = 0;

	recycle->resident = 0;
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		const struct lz_kept_slot *slot = &recycle->slot[i];

		if (slot->base == 0)
			continue;
		recycle->resident += slot->kept.resident;
		unreclaimable += slot->kept.unreclaimable;
		count++;
	}
	atomic_store(&recycle->unreclaimable, unreclaimable);
	atomic_store_explicit(&recycle->count, count, memory_order_relaxed);
	note_filled(recycle, count != 0);
}

/* --- whether a kept region is still ours --- */

/* Something happened that may have changed memory without our knowledge since the region was freed. */
static bool is_suspicious(const struct lz_core *core, const struct lz_kept *kept)
{
	return kept->changes != atomic_load_explicit(&core->regions.changes, memory_order_relaxed) ||
	       atomic_load_explicit(&core->missed, memory_order_relaxed) || core->ledger.inexact;
}

/*
 * Where MADV_DONTFORK begins: at the header, so that what a program maps exactly over the region, or over its first
 * page, is not at one of its bounds. On a window, pieces are mappings of a file, which tells.
 */
static uintptr_t mark_start(const struct lz_core *core, const struct lz_kept *kept)
{
	return kept->on_window ? kept->base : kept->base - lz_header_bytes(core);
}

static int mark(struct lz_core *core, const struct lz_kept *kept, int advice)
{
	uintptr_t start = mark_start(core, kept);

	return core->os->madvise((void *)start, kept->base + kept->length - start, advice);
}

static bool is_private_memory(const struct lz_vma *vma, bool of_file)
{
	return vma->readable && vma->writable && !vma->executable && !vma->shared &&
	       (vma->inode != 0) == of_file;
}

/*
 * A kept region without a window lies within one mapping with its header, perhaps with other kept regions beside:
 * what is not under MADV_DONTFORK never joins it. -errno of the query when it cannot be made.
 */
static int query_plain(struct lz_core *core, const struct lz_kept *kept, bool *ours)
{
	struct lz_vma vma;
	int error = lz_vma_query(core->os, kept->base, &vma);

	*ours = error == 0 && vma.start <= mark_start(core, kept) && vma.end >= kept->base + kept->length &&
		is_private_memory(&vma, false);
	return error == -ENOENT ? 0 : error;
}

/* Follows the pieces from one to the next: all where something is suspicious, else some, for there may be thousands. */
static int query_pieces(struct lz_core *core, const struct lz_kept *kept, bool *ours)
{
	uintptr_t at = kept->base, end = kept->base + kept->length;
	unsigned most = is_suspicious(core, kept) ? UINT_MAX : PIECES_LOOKED_AT;
	char name[sizeof LZ_WINDOW_PATH " (deleted)"] = "";
	uint64_t inode = 0;
	struct lz_vma vma;
	int error;

	*ours = false;
	do {
		/* The first one by its name, for it may be another file's: a window is not known for as long as what
		 * stands on it. */
		error = lz_vma_query_named(core->os, at, &vma, name, inode == 0 ? sizeof name : 0);
		if (error != 0)
			return error == -ENOENT || error == -ENAMETOOLONG ? 0 : error;
		if (vma.start != at || !is_private_memory(&vma, true) || (inode != 0 && vma.inode != inode) ||
			strncmp(name, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) != 0)
			return 0;
		at = vma.end;
		inode = vma.inode;
	} while (at < end && --most != 0);
	*ours = at <= end;
	return 0;
}

/* The same by /proc/self/maps, which takes 0.3 us for each mapping of the process: before Linux 6.11. */
static bool is_ours_by_maps(struct lz_core *core, const struct lz_kept *kept)
{
	uintptr_t at = mark_start(core, kept), end = kept->base + kept->length;
	struct lz_mapping mapping;
	struct lz_lines lines;
	char *line;

	if (lz_lines_open(&lines, core->os, LZ_MAPS) != 0)
		return false;
	while (at < end && (line = lz_lines_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= at)
			continue;
		if (!mapping.readable || !mapping.writable || mapping.shared ||
			(kept->on_window ? mapping.start != at || !lz_window_is_named(&mapping)
					 : mapping.start > at || mapping.inode != 0 || mapping.end < end))
			break;
		at = mapping.end;
	}
	lz_lines_close(&lines);
	return at >= end;
}

/*
 * Whether all of [base, base + length) is still the mapping that was kept. A program may map over memory that it
 * freed: what passes us has made it give way, what does not (raw system calls, glibc's free by a plugin) shows here.
 */
static bool is_still_ours(struct lz_core *core, const struct lz_kept *kept)
{
	bool ours;
	int error = kept->on_window ? query_pieces(core, kept, &ours) : query_plain(core, kept, &ours);

	if (error == 0)
		return ours;
	return !is_suspicious(core, kept) || is_ours_by_maps(core, kept);
}

bool lz_recycle_has(struct lz_core *core, uintptr_t p)
{
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		const struct lz_kept_slot *slot = &core->recycle.slot[i];

		if (slot->base != 0 && p - slot->kept.base < slot->kept.length)
			return is_still_ours(core, &slot->kept);
	}
	return false;
}

/* --- unmapping --- */

static void remove_from_books(struct lz_core *core, struct lz_kept_slot *slot)
{
	uintptr_t base = slot->kept.base, end = base + slot->kept.length;

	lz_ledger_remove(&core->ledger, base - lz_header_bytes(core), end);
	lz_window_forget(core, base, end);
	slot_clear(core, slot);
}

/* Takes a region out of the books; the caller unmaps it without the lock. */
static struct lz_kept take_out(struct lz_core *core, struct lz_kept_slot *slot)
{
	struct lz_kept kept = slot->kept;

	remove_from_books(core, slot);
	return kept;
}

static void unmap(struct lz_core *core, const struct lz_kept *kept)
{
	if (!is_still_ours(core, kept)) {
		/* The books know nothing of what is there now. */
		atomic_store_explicit(&core->missed, true, memory_order_relaxed);
		return;
	}
	if (lz_header_matches(core, kept->base, kept->length))
		lz_core_unmap_region(core, kept->base, kept->length);
	else
		lz_core_munmap_heard(core, kept->base, kept->length);
	lz_windows_release_unused(core);
}

/* Unmaps the region freed first of those that `goes` is true of; false where there is none. */
static bool unmap_one(struct lz_core *core, bool (*goes)(const struct lz_kept *kept, uint64_t a, uint64_t b),
	uint64_t a, uint64_t b)
{
	struct lz_kept_slot *found = NULL;
	struct lz_kept kept;

	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0 || !lz_core_enter(core))
		return false;
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept_slot *slot = &core->recycle.slot[i];

		if (slot->base != 0 && goes(&slot->kept, a, b) &&
			(found == NULL || slot->kept.freed_ms < found->kept.freed_ms))
			found = slot;
	}
	if (found != NULL) {
		kept = take_out(core, found);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	if (found != NULL)
		unmap(core, &kept);
	return found != NULL;
}

static bool was_freed_before(const struct lz_kept *kept, uint64_t since, uint64_t unused)
{
	(void)unused;
	return kept->freed_ms < since;
}

static bool overlaps(const struct lz_kept *kept, uint64_t start, uint64_t end)
{
	return kept->base < end && start < kept->base + kept->length;
}

static bool stands_on_window(const struct lz_kept *kept, uint64_t unused, uint64_t unused_too)
{
	(void)unused;
	(void)unused_too;
	return kept->on_window;
}

void lz_recycle_tend(struct lz_core *core)
{
	uint64_t now;

	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0)
		return;
	now = core->os->now_ms();
	while (unmap_one(core, was_freed_before, lz_sub_clamped(now, IDLE_MS), 0))
		continue;
}

bool lz_recycle_flush(struct lz_core *core)
{
	bool any = false;

	while (unmap_one(core, was_freed_before, UINT64_MAX, 0))
		any = true;
	return any;
}

void lz_recycle_give_way(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	size_t lead = lz_header_bytes(core);

	if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0)
		return;
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		const struct lz_kept_slot *slot = &core->recycle.slot[i];
		uintptr_t base = atomic_load_explicit(&slot->base, memory_order_acquire);
		size_t length = atomic_load_explicit(&slot->length, memory_order_relaxed);

		/* A slot that changes meanwhile holds another thread's region, on which this call cannot be. */
		if (base != 0 && base - lead < end && start < base + length) {
			while (unmap_one(core, overlaps, start, end + lead))
				continue;
			return;
		}
	}
}

void lz_recycle_limited(struct lz_core *core)
{
	atomic_store(&core->recycle.limits_ms, 0);
	lz_recycle_flush(core);
}

void lz_recycle_after_fork(struct lz_core *core)
{
	size_t lead = lz_header_bytes(core);

	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept_slot *slot = &core->recycle.slot[i];

		if (slot->base == 0)
			continue;
		/* Of one on a window the header is inherited. */
		if (slot->kept.on_window && lz_header_matches(core, slot->kept.base, slot->kept.length))
			core->os->munmap((void *)(slot->kept.base - lead), lead);
		remove_from_books(core, slot);
	}
	atomic_store(&core->recycle.unreclaimable, 0);
}

/* --- keeping --- */

/*
 * Memory that is free for this process, as far as one system call each tells of the machine and of the control group
 * whose limit is the smallest. Files that could be dropped count as used.
 */
static uint64_t free_memory(struct lz_core *core)
{
	struct sysinfo info;
	uint64_t bytes, used = UINT64_MAX;

	if (core->os->pass(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return 0;
	bytes = ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
	if (!core->budget.from_cgroup)
		return bytes;
	lz_memory_group_usage(core->os, &used);
	return lz_min_u64(bytes, lz_sub_clamped(core->budget.memory, used));
}

/*
 * Where address space or data is limited, what is kept could be what the next small request lacks; where the kernel
 * never overcommits (vm.overcommit_memory 2), what another program's does.
 */
static bool is_limited(struct lz_core *core)
{
	uint64_t space = RLIM_INFINITY, data = RLIM_INFINITY;

	core->os->limit(RLIMIT_AS, &space);
	core->os->limit(RLIMIT_DATA, &data);
	return space != RLIM_INFINITY || data != RLIM_INFINITY || core->budget.never_overcommits;
}

/* With the lock. */
static void find_limits(struct lz_core *core, uint64_t now)
{
	struct lz_recycle *recycle = &core->recycle;
	bool limited;

	lz_core_resolve_budget(core);
	limited = is_limited(core);
	atomic_store(&recycle->cap,
		limited ? 0 : lz_min_u64(core->options.cache, core->budget.memory / MEMORY_SHARE));
	atomic_store(&recycle->allowance,
		limited ? 0 : lz_min_u64(UNRECLAIMABLE_BYTES, free_memory(core) / UNRECLAIMABLE_SHARE));
	atomic_store(&recycle->limits_ms, lz_not_never(now));
}

/* The cap, as it was at most LIMITS_MS ago; 0 where nothing can be kept. */
static uint64_t current_cap(struct lz_core *core, uint64_t now)
{
	uint64_t found_ms = atomic_load(&core->recycle.limits_ms);

	if (found_ms == 0 || now - found_ms >= LIMITS_MS) {
		if (!lz_core_enter(core))
			return 0;
		find_limits(core, now);
		lz_core_leave(core);
	}
	return atomic_load(&core->recycle.cap);
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

/*
 * Makes room for one more that holds `resident` bytes: returns a free slot, or NULL, and what the caller has to unmap
 * without the lock. With the lock.
 */
static struct lz_kept_slot *make_room(
	struct lz_core *core, uint64_t resident, struct lz_kept out[REPLACED], unsigned *count)
{
	struct lz_recycle *recycle = &core->recycle;

	while (recycle->resident + resident > atomic_load(&recycle->cap) ||
		atomic_load_explicit(&recycle->count, memory_order_relaxed) == LZ_RECYCLED) {
		struct lz_kept_slot *last = oldest(recycle);

		if (last == NULL || *count == REPLACED)
			return NULL;
		out[(*count)++] = take_out(core, last);
	}
	for (unsigned i = 0; i < LZ_RECYCLED; i++)
		if (recycle->slot[i].base == 0)
			return &recycle->slot[i];
	return NULL;
}

/*
 * A region on a window holds many mappings; too many kept would be lacking elsewhere. And it holds the window, whose
 * memory the kernel cannot take: without other regions on it that is more than may be kept so.
 */
static bool can_keep_on_window(struct lz_core *core, size_t length)
{
	uint64_t window = lz_stats_get(&core->stats, window_size);

	if (length / lz_window_unit(core) > 4096)
		return false;
	if (lz_stats_get(&core->stats, window_regions) > 1 ||
		window <= lz_sub_clamped(atomic_load(&core->recycle.allowance),
				  atomic_load(&core->recycle.unreclaimable)))
		return true;
	while (unmap_one(core, stands_on_window, 0, 0))
		continue;
	return false;
}

/* Takes up to so many bytes of what may be kept out of the kernel's reach; whole pages. */
static uint64_t take_allowance(struct lz_core *core, uint64_t bytes)
{
	struct lz_recycle *recycle = &core->recycle;
	uint64_t taken = atomic_load(&recycle->unreclaimable), more;

	do
		more = lz_round_down(
			lz_min_u64(bytes, lz_sub_clamped(atomic_load(&recycle->allowance), taken)), core->page);
	while (!atomic_compare_exchange_weak(&recycle->unreclaimable, &taken, taken + more));
	return more;
}

/*
 * Lets the kernel take the contents, but for what may be kept out of its reach: where page tables are shadowed by a
 * hypervisor, writing to a page after MADV_FREE takes as long as a page fault, elsewhere a third of it. On a window,
 * whose mappings do not take MADV_FREE, the contents are dropped. False where neither can be done.
 */
static bool make_reclaimable(struct lz_core *core, struct lz_kept *kept, uint64_t tables)
{
	uintptr_t from, end = kept->base + kept->length;
	int error = 0;

	kept->unreclaimable = take_allowance(core, kept->resident);
	if (kept->unreclaimable == kept->resident)
		return true;
	/* The kernel takes no page tables. */
	if (kept->unreclaimable < tables)
		error = -ENOMEM;
	/* Of a region that holds less than its length, the first part holds no more than that. */
	from = kept->base + kept->unreclaimable;
	if (error == 0 && kept->on_window) {
		error = lz_core_madvise_heard(core, from, end - from, MADV_DONTNEED);
		kept->resident = kept->unreclaimable;
		kept->full = false;
	} else if (error == 0) {
		error = lz_core_madvise_heard(core, from, end - from, MADV_FREE);
	}
	if (error == 0)
		return true;
	atomic_fetch_sub(&core->recycle.unreclaimable, kept->unreclaimable);
	return false;
}

/* Enters a region that is ready to be kept. False where the books are not to be had, or know of a change. */
static bool insert(struct lz_core *core, struct lz_served *region, struct lz_kept kept)
{
	struct lz_kept out[REPLACED];
	struct lz_kept_slot *slot = NULL;
	unsigned count = 0;

	if (!lz_core_enter(core))
		return false;
	if (is_unaltered(core, region, kept.base, kept.length))
		slot = make_room(core, kept.resident, out, &count);
	if (slot != NULL) {
		slot_fill(core, slot, &kept);
		lz_regions_unlink(&core->regions, region);
	}
	if (count != 0)
		lz_core_publish(core);
	lz_core_leave(core);
	for (unsigned i = 0; i < count; i++)
		unmap(core, &out[i]);
	return slot != NULL;
}

/*
 * Without the mmap family, what the program does to a region is not seen. And pages that the kernel still reads for
 * the program, which nobody can see, must not be cleared.
 */
static bool may_keep(const struct lz_core *core, const struct lz_served *region)
{
	return core->options.cache != 0 && (core->options.intercept & LZ_INTERCEPT_MMAP) != 0 &&
	       !atomic_load_explicit(&core->pages_shared_with_kernel, memory_order_relaxed) &&
	       !atomic_load_explicit(&core->passive, memory_order_relaxed) &&
	       !lz_regions_spoiled(&core->regions, region) &&
	       !atomic_load_explicit(&core->recycle.locked_memory, memory_order_relaxed);
}

bool lz_recycle_keep(struct lz_core *core, struct lz_served *region)
{
	struct lz_kept kept = {.base = atomic_load_explicit(&region->base, memory_order_relaxed),
		.length = atomic_load_explicit(&region->length, memory_order_relaxed),
		.changes = region->changes,
		.huge_pages_refused = region->huge_pages_refused,
		.on_window = region->on_window,
		.accounted = region->accounted,
		.full = region->full};
	uint64_t limit, tables = 0;

	if (!may_keep(core, region))
		return false;
	lz_recycle_tend(core);
	kept.freed_ms = core->os->now_ms();
	limit = current_cap(core, kept.freed_ms);
	if (limit == 0 || (kept.on_window && !can_keep_on_window(core, kept.length)))
		return false;
	/* Before others can take it: a child must have what is alive. And before it is looked into: what is not one
	 * mapping after that was given other properties in parts, by whatever call, and may be no memory to write. */
	if (mark(core, &kept, MADV_DONTFORK) != 0 || !is_still_ours(core, &kept))
		return false;
	kept.resident = kept.length;
	/* What was full when it was last made zero holds its length. */
	if (kept.length > limit / UNSEEN_SHARE && !(kept.full && kept.length <= limit))
		kept.resident = lz_recycle_weigh(
			core, kept.base, kept.length, limit + 1, &kept.is_zero, &tables);
	if (kept.resident > limit || !make_reclaimable(core, &kept, tables))
		return false;
	if (insert(core, region, kept))
		return true;
	atomic_fetch_sub(&core->recycle.unreclaimable, kept.unreclaimable);
	return false;
}

void lz_recycle_spoil(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	if (!lz_core_enter(core))
		return;
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
static bool backing_matches(const struct lz_core *core, const struct lz_kept *kept,
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
	return lz_recycle_fits(kept->length, length) &&
	       (alignment <= 1 || kept->base % alignment == 0) &&
	       backing_matches(core, kept, request, length);
}

/* The smallest that fits; of equals, the one freed last, which is warmest. */
static struct lz_kept_slot *best(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment)
{
	struct lz_kept_slot *found = NULL;

	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept_slot *slot = &core->recycle.slot[i];
		const struct lz_kept *kept = &slot->kept;

		if (slot->base != 0 && fits(core, kept, request, length, alignment) &&
			(found == NULL || kept->length < found->kept.length ||
				(kept->length == found->kept.length &&
					kept->freed_ms > found->kept.freed_ms)))
			found = slot;
	}
	return found;
}

/* Better than which of two to make another size of: the one that holds more, of what is no more than wanted.
 */
static bool is_nearer(const struct lz_kept *kept, const struct lz_kept_slot *found, size_t length)
{
	return found == NULL || lz_min_u64(kept->resident, length) > lz_min_u64(found->kept.resident, length);
}

/*
 * Where none fits, one that can be made to: grown, or cut where not much more is lost than is used. Random
 * sizes that are mostly written then take a quarter less page faults. Only what could be kept again, so that
 * a huge request, which will be sparse, does not wait for pages to be cleared that it may never use.
 */
static struct lz_kept_slot *nearest(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment)
{
	uint64_t tables = length / (lz_window_unit(core) / lz_table_bytes(core->geometry, 0));
	struct lz_kept_slot *found = NULL;

	if (alignment > core->page || length > atomic_load(&core->recycle.cap) ||
		(core->budget.resolved && lz_core_exceeds(core, tables + LZ_LEVELS_MAX * core->page)))
		return NULL;
	for (unsigned i = 0; i < LZ_RECYCLED; i++) {
		struct lz_kept_slot *slot = &core->recycle.slot[i];
		const struct lz_kept *kept = &slot->kept;

		if (slot->base != 0 && !kept->on_window && backing_matches(core, kept, request, length) &&
			kept->huge_pages_refused == (core->options.thp == LZ_THP_NEVER) &&
			kept->resident >= length / WORTH_RESIZING && kept->resident / 2 <= length &&
			is_nearer(kept, found, length))
			found = slot;
	}
	return found;
}

static struct lz_kept_slot *choose(
	struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment)
{
	/* Beyond the budget, which may have shrunk since, what is kept goes back instead, and the policy
	 * decides. */
	struct lz_kept_slot *slot = core->budget.resolved && lz_core_exceeds(core, 0)
					    ? NULL
					    : best(core, request, length, alignment);

	return slot != NULL ? slot : nearest(core, request, length, alignment);
}

/*
 * Moves a region from the cache to the table of regions, if it is still ours and nothing may have changed it. NULL:
 * it stays in *unfit, for the caller to unmap. With the lock.
 */
static struct lz_served *revive(struct lz_core *core, struct lz_kept_slot *slot, struct lz_kept *unfit)
{
	struct lz_kept kept = slot->kept;

	if (is_suspicious(core, &kept) || !is_still_ours(core, &kept) ||
		!lz_header_matches(core, kept.base, kept.length)) {
		*unfit = take_out(core, slot);
		return NULL;
	}
	/* First: it must never be in both places, should this be left half done. */
	slot_clear(core, slot);
	if (lz_regions_insert(&core->regions, kept.base, kept.length,
		    (struct lz_served_how){kept.huge_pages_refused, kept.on_window, kept.accounted}) == 0)
		return lz_regions_find(&core->regions, kept.base);
	lz_ledger_remove(&core->ledger, kept.base - lz_header_bytes(core), kept.base + kept.length);
	lz_window_forget(core, kept.base, kept.base + kept.length);
	*unfit = kept;
	return NULL;
}

/* One that serves the request: its record, and what was kept of it. NULL: there is none. */
static struct lz_served *take_best(struct lz_core *core, const struct lz_request *request, size_t length,
	size_t alignment, struct lz_kept *taken)
{
	struct lz_served *region = NULL;
	struct lz_kept_slot *slot;
	struct lz_kept unfit;

	do {
		if (atomic_load_explicit(&core->recycle.count, memory_order_relaxed) == 0 ||
			!lz_core_enter(core))
			return NULL;
		unfit.base = 0;
		slot = choose(core, request, length, alignment);
		if (slot != NULL) {
			*taken = slot->kept;
			region = revive(core, slot, &unfit);
		}
		lz_core_leave(core);
		if (unfit.base != 0)
			unmap(core, &unfit);
	} while (slot != NULL && region == NULL);
	return region;
}

int lz_recycle_take(struct lz_core *core, const struct lz_request *request, size_t length, size_t alignment,
	uintptr_t *base, size_t *got)
{
	struct lz_kept taken;
	struct lz_served *region = take_best(core, request, length, alignment, &taken);
	bool full = taken.full;

	if (region == NULL)
		return -ENOENT;
	*base = taken.base;
	*got = taken.length;
	if (mark(core, &taken, MADV_DOFORK) != 0) {
		/* A child of the program would lack it. */
		if (lz_regions_claim(region)) {
			lz_core_unbook(core, region, *base, *got);
			lz_core_unmap_region(core, *base, *got);
		}
		return -ENOENT;
	}
	if (request->zeroed && !taken.is_zero)
		full = lz_recycle_clear(core, *base,
			lz_recycle_fits(*got, length) ? *got : lz_min_u64(*got, length),
			taken.unreclaimable, full, region->on_window);
	region->full = full;
	lz_stats_add(&core->stats, recycled, 1);
	lz_stats_add(&core->stats, recycled_bytes, *got);
	return 0;
}
