/*
 * Regions that we serve, made smaller or larger. Growth moves page tables, not bytes: in place, or to a place
 * that lies alike in its tables; only a region in several mappings is copied.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "backing/region_header.h"
#include "os/mman.h"

/* Growth of less is not held against the kernel's overcommit rules. */
#define OVERCOMMIT_BYTES ((size_t)256 << 20)

/* Gives the tail back. Where the kernel cannot cut it off (vm.max_map_count), only its pages go. */
static void shrink(
	struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	void *tail = (void *)(base + new_length);

	if (core->report != NULL)
		lz_report_going(core, region, base + new_length, base + length);
	if (lz_core_enter(core)) {
		lz_ledger_remove(&core->ledger, base + new_length, base + length);
		lz_window_forget(core, base + new_length, base + length);
		lz_core_publish(core);
		lz_core_leave(core);
	}
	if (core->calls->munmap(tail, length - new_length) != 0) {
		core->calls->madvise(tail, length - new_length, MADV_DONTNEED);
		return;
	}
	lz_header_write(core, base, new_length);
	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	lz_stats_sub(&core->stats, region_bytes, length - new_length);
	lz_stats_sub(&core->stats, window_region_bytes, region->on_window ? length - new_length : 0);
}

/* The region grew where it is. */
static void extend(
	struct lz_core *core, struct lz_served *region, uintptr_t base, size_t length, size_t new_length)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = base};

	lz_header_write(core, base, new_length);
	atomic_store_explicit(&region->length, new_length, memory_order_relaxed);
	region->full = false;
	if (!lz_core_enter(core))
		return;
	lz_regions_note(&core->regions, base, new_length);
	lz_ledger_remove(&core->ledger, base + length, base + new_length);
	lz_core_cover(core, base + length, base + new_length, traits);
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

/* What realloc adds is as malloc would give it. */
static const struct lz_manner usual = {.protection = PROT_READ | PROT_WRITE};

/* A region on a window grows at its new place, where address space is reserved, and then moves there. */
static int move_pieces(struct lz_core *core, const struct lz_window_use *use, uintptr_t base, size_t length,
	size_t new_length, uintptr_t target)
{
	uintptr_t tag = lz_window_tag_at(core, base + length - 1);
	int error;

	/* Both lie alike in their blocks. */
	if (tag != 0)
		tag += target - base;
	error = lz_window_extend(core, use, target + length, target + new_length, tag, &usual);
	return error ? error : lz_window_move(core, base, length, target, 0, true);
}

/* Makes the first page of a reservation the header of a region. 0 or -errno. */
static int make_header(struct lz_core *core, uintptr_t base, size_t length, bool accounted)
{
	size_t lead = lz_header_bytes(core);
	intptr_t at = core->os->mmap((void *)(base - lead), lead, PROT_READ | PROT_WRITE,
		lz_zeropage_flags(accounted) | MAP_FIXED, -1, 0);

	if (lz_os_failed(at))
		return (int)at;
	lz_header_write(core, base, length);
	return 0;
}

/*
 * Moves a region that is not on a window to a reservation. With its header, where the two are one mapping:
 * they stay one, so that the kernel can move them again. 0 or -errno.
 */
static int move_mapping(struct lz_core *core, bool with_header, uintptr_t base, size_t length,
	size_t new_length, const struct lz_place *place)
{
	size_t lead = with_header ? lz_header_bytes(core) : 0;
	int error = with_header ? 0 : make_header(core, place->base, new_length, place->accounted);
	intptr_t at;

	if (error)
		return error;
	at = core->calls->mremap((void *)(base - lead), length + lead, new_length + lead,
		MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(place->base - lead));
	if (lz_os_failed(at))
		return (int)at;
	if (with_header)
		lz_header_write(core, place->base, new_length);
	return 0;
}

/* Moves a claimed region to a new place. On failure it is where it was, and has a record of its own again. */
static int move(struct lz_core *core, const struct lz_window_use *use, const struct lz_served *region,
	bool with_header, uintptr_t base, size_t length, size_t new_length, uintptr_t *moved)
{
	size_t lead = lz_header_bytes(core);
	intptr_t target = lz_zeropage_reserve(core, base - lead, new_length + lead);
	struct lz_place place = {.base = (uintptr_t)target + lead,
		.length = new_length,
		.huge_pages_refused = region->huge_pages_refused,
		.on_window = region->on_window,
		.accounted = region->accounted};
	struct lz_served *record;
	int error;

	if (lz_os_failed(target))
		return (int)target;
	error = lz_core_book(core, &place, base, length);
	if (error) {
		core->os->munmap((void *)target, new_length + lead);
		return error;
	}
	/* What the program did to its mappings moves along. */
	record = lz_regions_find(&core->regions, place.base);
	if (record != NULL && lz_regions_spoiled(&core->regions, region))
		record->spoiled = true;
	if (!region->on_window)
		error = move_mapping(core, with_header, base, length, new_length, &place);
	else if ((error = make_header(core, place.base, new_length, region->accounted)) == 0)
		error = move_pieces(core, use, base, length, new_length, place.base);
	if (error == 0) {
		if (!with_header)
			core->os->munmap((void *)(base - lead), lead);
		*moved = place.base;
		return 0;
	}
	if (record != NULL && lz_regions_claim(record))
		lz_core_unbook(core, record, place.base, new_length);
	core->os->munmap((void *)target, new_length + lead);
	return error;
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
	size_t lead = lz_header_bytes(core);
	intptr_t at;

	if (!lz_core_enter(core))
		return -EAGAIN;
	at = core->os->mremap((void *)(base - lead), length + lead, new_length + lead, MREMAP_MAYMOVE, NULL);
	if (!lz_os_failed(at)) {
		traits.tag = *moved = (uintptr_t)at + lead;
		lz_header_write(core, *moved, new_length);
		lz_ledger_remove(&core->ledger, base - lead, base + length);
		lz_ledger_set(&core->ledger, *moved - lead, *moved + new_length, traits);
		lz_regions_rebase(&core->regions, region, *moved, new_length);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	return lz_os_failed(at) ? (int)at : 0;
}

/*
 * For a claimed region that the program has split into several mappings by advising, protecting or locking a
 * part of it (numpy advises MADV_HUGEPAGE from the second page on): mremap answers EFAULT, and the bytes have
 * to move.
 */
static int copy_to_fresh(struct lz_core *core, const struct lz_served *region, uintptr_t base, size_t length,
	size_t new_length, uintptr_t *moved)
{
	size_t lead = lz_header_bytes(core);
	struct lz_place place;
	int error = lz_zeropage_map(core, new_length, core->page, region->accounted, &place);

	if (error)
		return error;
	lz_header_write(core, place.base, new_length);
	error = lz_core_book(core, &place, base, length);
	if (error) {
		core->os->munmap((void *)(place.base - lead), new_length + lead);
		return error;
	}
	lz_copy_written(core, base, base + length, place.base);
	if (lz_core_enter(core)) {
		lz_window_forget(core, base, base + length);
		lz_core_leave(core);
	}
	lz_core_unmap_region(core, base, length);
	lz_windows_release_unused(core);
	*moved = place.base;
	return 0;
}

/* Grows where it is. 0 or -errno; *with_header: the header and the region are one mapping. */
static int grow_in_place(struct lz_core *core, const struct lz_window_use *use, struct lz_served *region,
	uintptr_t base, size_t length, size_t new_length, bool *with_header)
{
	size_t more = new_length - length, lead = lz_header_bytes(core);
	uintptr_t end = base + length;
	intptr_t at;
	int error;

	*with_header = false;
	if (!region->on_window) {
		at = core->calls->mremap((void *)(base - lead), length + lead, new_length + lead, 0, NULL);
		*with_header = at != -EFAULT;
		if (!*with_header)
			at = core->calls->mremap((void *)base, length, new_length, 0, NULL);
		return lz_os_failed(at) ? (int)at : 0;
	}
	at = core->os->mmap((void *)end, more, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (lz_os_failed(at))
		return (int)at;
	error = lz_window_extend(core, use, end, end + more, lz_window_tag_at(core, end - 1), &usual);
	if (error)
		core->os->munmap((void *)end, more);
	return error;
}

/*
 * Whether the kernel would grant that much more to a program without us. A region made with MAP_NORESERVE, or
 * on a window, grows past its overcommit rules; they refuse no request smaller than the memory of the machine
 * (__vm_enough_memory in mm/util.c).
 */
static bool would_be_granted(struct lz_core *core, size_t bytes)
{
	intptr_t at;

	if (bytes < OVERCOMMIT_BYTES)
		return true;
	at = core->os->mmap(NULL, bytes, PROT_READ | PROT_WRITE, lz_zeropage_flags(true), -1, 0);
	if (lz_os_failed(at))
		return false;
	core->os->munmap((void *)at, bytes);
	return true;
}

static int grow(struct lz_core *core, const struct lz_window_use *use, struct lz_served *region,
	uintptr_t base, size_t length, size_t new_length, uintptr_t *moved)
{
	bool in_pieces, with_header;
	int error;

	if (!would_be_granted(core, new_length - length))
		return -ENOMEM;
	error = grow_in_place(core, use, region, base, length, new_length, &with_header);
	in_pieces = error == -EFAULT || region->on_window;
	*moved = base;
	if (error == 0) {
		extend(core, region, base, length, new_length);
		return 0;
	}
	if (!lz_regions_claim(region))
		return -ENOENT;
	/* Each way is tried where the one before failed; a region in several mappings (EFAULT) can only be
	 * copied, or, on a window, moved piece by piece. */
	if (error != -EFAULT && move(core, use, region, with_header, base, length, new_length, moved) == 0) {
		forget(core, region);
		return 0;
	}
	if (!in_pieces && move_anywhere(core, region, base, length, new_length, moved) == 0)
		return 0;
	error = copy_to_fresh(core, region, base, length, new_length, moved);
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

/* One that had to be copied to grow has left the window. */
static void count_on_window(struct lz_core *core, bool was, uintptr_t base, size_t length, size_t new_length)
{
	const struct lz_served *region = lz_regions_find(&core->regions, base);
	bool is = region != NULL && region->on_window;

	lz_stats_add(&core->stats, window_region_bytes, is ? new_length - length : 0);
	lz_stats_sub(&core->stats, window_regions, was && !is);
	lz_stats_sub(&core->stats, window_region_bytes, was && !is ? length : 0);
}

int lz_core_resize(struct lz_core *core, const struct lz_request *request, void *p, void **out)
{
	struct lz_served *region = lz_core_find_region(core, p);
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_window_use use = {.window = NULL};
	struct lz_grant grant;
	uintptr_t base = (uintptr_t)p;
	size_t length, new_length;
	unsigned site;
	bool on_window;
	int error;

	if (region == NULL)
		return -ENOENT;
	site = region->site;
	on_window = region->on_window;
	if (!lz_core_page_length(core, request->size, &new_length))
		return -ENOMEM;
	length = atomic_load_explicit(&region->length, memory_order_relaxed);
	if (new_length < length) {
		shrink(core, region, base, length, new_length);
	} else if (new_length > length) {
		need.bytes = new_length;
		need.old_bytes = length;
		if (region->on_window && lz_window_acquire(core, new_length, new_length - length, &use) == 0)
			need.page_shift = lz_table_span_shift(core->geometry, 0);
		error = lz_core_charge(core, request, &need, &grant, NULL);
		if (error == 0) {
			error = grow(core, &use, region, base, length, new_length, &base);
			lz_core_settle(core, &grant, error == 0);
			error = error ? -EAGAIN : 0;
		}
		lz_window_release(core, &use);
		if (error)
			return error;
		if (!grant.over)
			lz_zeropage_populate(core, base + length, new_length - length);
		lz_stats_add(&core->stats, region_bytes, new_length - length);
		count_on_window(core, on_window, base, length, new_length);
		if (core->report != NULL)
			lz_report_resized(core, site, (void *)base, length);
	}
	*out = (void *)base;
	return 0;
}
