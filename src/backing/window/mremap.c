/*
 * Moves and grows memory on a zero window. What the program sees as one mapping is many mappings to the
 * kernel, and no piece may extend past the end of the window, so mremap is done piece by piece.
 */

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "backing/placement.h"
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "os/scratch.h"

#define UNIFORM_ATTEMPTS 4

/*
 * Whether the kernel would get as far as looking at the mappings. If not, the call is passed on so that the
 * kernel returns the error.
 */
static bool is_valid(const struct lz_backings *backings, uintptr_t start, size_t old_length,
	size_t new_length, int flags, uintptr_t target)
{
	/* TASK_SIZE of x86-64. Where it is one page more, no mapping of lazyzero has room for that page. */
	uintptr_t top = ((uintptr_t)1 << backings->books->geometry->user_bits) - backings->books->page;

	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 || new_length == 0 ||
		new_length > top || old_length > top - start)
		return false;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0)
		return true;
	if (!(flags & MREMAP_MAYMOVE) || ((flags & MREMAP_DONTUNMAP) && old_length != new_length))
		return false;
	return (target & (backings->books->page - 1)) == 0 && target <= top - new_length &&
	       (start + old_length <= target || target + new_length <= start);
}

/*
 * Mappings of different kinds are never merged by the kernel, even with equal attributes: each file is a kind
 * of its own, and so is /dev/zero.
 */
static uintptr_t merge_class(struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t at)
{
	uintptr_t tag = lz_books_window_tag_at(backings->books, at);

	/*
	 * Checks the name as well: a signal handler that interrupted a holder of the lock cannot read the map
	 * of windows.
	 */
	if (tag == 0 && (mapping->inode != 0 || mapping->shared) && !lz_mapping_is_window(mapping))
		return mapping->start | 1;
	return tag & lz_window_map_dev_zero_bit(&backings->books->windows);
}

/*
 * For check_uniform: memory whose attributes were never changed has those of its creation. -ENOMEM if they
 * may have been changed, or if a part is not on a window.
 */
static int check_uniform_by_books(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_attributes *attributes)
{
	struct lz_window_part part, first = {.start = 0};

	*attributes = (struct lz_window_attributes){.protection = PROT_READ | PROT_WRITE};
	if (atomic_load_explicit(&backings->windows->attributes_changed, memory_order_relaxed))
		return -ENOMEM;
	while (start < end) {
		if (!lz_window_next_part(backings, start, end, &part) || part.start != start)
			return -ENOMEM;
		if (first.start == 0)
			first = part;
		if (part.dev_zero != first.dev_zero)
			return -EFAULT;
		start = part.end;
	}
	return 0;
}

static int check_uniform_by_smaps(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_attributes *attributes)
{
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	unsigned advice;
	uintptr_t first_kind = 0;
	bool first = true;

	if (lz_line_reader_open(&lines, backings->os, "/proc/thread-self/smaps") != 0)
		return check_uniform_by_books(backings, start, end, attributes);
	while (start < end && lz_smaps_next(&lines, &mapping, &advice)) {
		struct lz_window_attributes seen = {
			.protection = lz_mapping_protection(&mapping), .advice = advice};
		uintptr_t kind;

		if (mapping.end <= start)
			continue;
		kind = merge_class(backings, &mapping, lz_max_u64(start, mapping.start));
		if (mapping.start > start ||
			(!first && (seen.protection != attributes->protection ||
					   seen.advice != attributes->advice || kind != first_kind)))
			break;
		*attributes = seen;
		first_kind = kind;
		first = false;
		start = mapping.end;
	}
	lz_line_reader_close(&lines);
	return start >= end ? 0 : lines.error ? -ENOMEM : -EFAULT;
}

/* A range marked MADV_WIPEONFORK is a mapping of its own to the program. */
__attribute__((noinline)) static bool is_uniformly_wiped(
	struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct lz_wipe_list wiped = {.count = 0};

	if (lz_books_lock(backings->books)) {
		lz_wipe_table_list(&backings->books->windows.wipes, start, end, &wiped);
		lz_books_unlock(backings->books);
	}
	return wiped.count == 0 ||
	       (wiped.count == 1 && wiped.part[0].start == 0 && wiped.part[0].end == end - start);
}

/* The protection key at an address; 0 if the program never set one. */
static int key_of(struct lz_backings *backings, uintptr_t at)
{
	uint64_t key;

	if (!atomic_load_explicit(&backings->windows->protection_keys_used, memory_order_relaxed) ||
		lz_smaps_value(backings->os, "/proc/thread-self/smaps", at, "ProtectionKey:", &key) != 0)
		return 0;
	return (int)key;
}

/*
 * Whether the program sees [start, end) as one mapping, without holes and with the same attributes
 * throughout. Returns 0 and the attributes, -EFAULT if it is not one mapping, or -ENOMEM if that cannot be
 * read.
 *
 * smaps is read one page at a time while other threads map and unmap, so a hole that appears once may be an
 * artefact at the boundary of two such pages; the read is repeated.
 */
static int check_uniform(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_attributes *attributes)
{
	int error = -EFAULT;

	if (!is_uniformly_wiped(backings, start, end))
		return -EFAULT;
	/* smaps walks page tables: 50 ms for each resident GiB. */
	if (!lz_books_may_be_stale(backings->books) &&
		check_uniform_by_books(backings, start, end, attributes) == 0)
		return 0;
	for (int attempt = 0; error == -EFAULT && attempt < UNIFORM_ATTEMPTS; attempt++)
		error = check_uniform_by_smaps(backings, start, end, attributes);
	if (error == 0)
		attributes->key = key_of(backings, start);
	return error;
}

static bool is_mapped(struct lz_backings *backings, uintptr_t start)
{
	unsigned char resident;

	return backings->os->mincore((void *)start, backings->books->page, &resident) != -ENOMEM;
}

/* Updates the map of windows for pieces that one call moves, or maps a second time elsewhere (`stays`). */
__attribute__((noinline)) static void record_move(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to, bool stays)
{
	struct lz_window_map *map = &backings->books->windows;
	uintptr_t end = from + length;

	if (!lz_books_lock(backings->books))
		return;
	for (size_t piece; from < end; from += piece, to += piece) {
		uintptr_t tag;

		piece = lz_window_next_piece(backings, from, end, &tag);
		if (!stays)
			lz_window_map_remove(map, from, from + piece);
		lz_window_map_remove(map, to, to + piece);
		if (tag != 0)
			lz_window_map_add(map, to, to + piece, lz_window_moved_tag(backings, tag, from, to));
	}
	lz_books_unlock(backings->books);
}

/*
 * A move of several mappings may fail half way: the pieces that did not move are entered at their old place
 * again.
 */
__attribute__((noinline)) static void record_partial_move(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		piece = lz_window_movable_length(backings, from, end);
		if (is_mapped(backings, to))
			record_move(backings, from, piece, to, false);
	}
}

/*
 * Reserves the target of a move: the address that the program names, replacing what is there, or one that
 * lazyzero chooses.
 */
static intptr_t reserve_target(
	struct lz_backings *backings, uintptr_t start, size_t length, int flags, uintptr_t target)
{
	intptr_t at;

	if (!(flags & MREMAP_FIXED))
		return lz_placement_reserve_alike(backings, start, length);
	at = backings->os->mmap((void *)target, length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (!lz_os_failed(at))
		lz_window_set_tag(backings, target, length, 0);
	return at;
}

/*
 * Removes a range from the map of windows and unmaps it, in this order: once it is unmapped, another thread
 * may be given the addresses and enter its own. 0 or -errno; fails at vm.max_map_count when a piece must be
 * split, and the map is then read from the kernel.
 */
static int forget_and_unmap(struct lz_backings *backings, uintptr_t start, size_t length)
{
	int error;

	lz_window_set_tag(backings, start, length, 0);
	error = backings->os->munmap((void *)start, length);
	if (error != 0)
		lz_books_reconcile_after_failure(backings->books);
	return error;
}

/* Grows in place. Returns 0, or -ENOMEM if the addresses are in use. */
__attribute__((noinline)) static int grow_in_place(struct lz_backings *backings, const struct lz_lease *lease,
	uintptr_t start, size_t old_length, size_t new_length, const struct lz_window_attributes *attributes)
{
	uintptr_t from = start + old_length;
	size_t more = new_length - old_length;
	intptr_t at = lz_fact_mmap_at(backings->os, (void *)from, more, PROT_NONE, MAP_NORESERVE);
	int error;

	if (lz_os_failed(at))
		return -ENOMEM;
	lz_window_unlock_if_source_is_unlocked(backings, from - 1, from, more);
	error = lz_window_extend(backings, lease, from, from + more,
		lz_books_window_tag_at(backings->books, from - 1), attributes);
	if (error)
		forget_and_unmap(backings, from, more);
	return error;
}

__attribute__((noinline)) static intptr_t move(struct lz_backings *backings, const struct lz_lease *lease,
	uintptr_t start, size_t old_length, size_t new_length, int flags, uintptr_t target,
	const struct lz_window_attributes *attributes)
{
	uintptr_t tag = lz_books_window_tag_at(backings->books, start + old_length - 1);
	intptr_t at = reserve_target(backings, start, new_length, flags, target);
	uintptr_t place = (uintptr_t)at;
	int error = 0;

	if (lz_os_failed(at))
		return at;
	if (new_length > old_length) {
		if (tag != 0)
			tag = lz_window_moved_tag(backings, tag, start, place);
		lz_window_unlock_if_source_is_unlocked(
			backings, start, place + old_length, new_length - old_length);
		error = lz_window_extend(
			backings, lease, place + old_length, place + new_length, tag, attributes);
	}
	if (error == 0)
		error = lz_window_move_pieces(
			backings, start, old_length, place, flags & MREMAP_DONTUNMAP, false);
	if (error == 0)
		return at;
	forget_and_unmap(backings, place, new_length);
	return error;
}

static intptr_t remap(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target)
{
	bool in_place = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0;
	bool stays = (flags & MREMAP_DONTUNMAP) != 0;
	/*
	 * The kernel moves several mappings in one call if the first is not a file (vma_multi_allowed in
	 * mm/mremap.c).
	 */
	bool moves_only = (flags & MREMAP_FIXED) != 0 && new_length == old_length &&
			  !(lz_books_window_tag_at(backings->books, start) &
				  lz_window_map_dev_zero_bit(&backings->books->windows)) &&
			  lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY);
	struct lz_window_attributes attributes = {0};
	intptr_t at;
	int error;

	if (!is_valid(backings, start, old_length, new_length, flags, target)) {
		/*
		 * Before Linux 6.17 the kernel notices a range beyond the end of the mapping before it checks
		 * the size.
		 */
		if ((flags & ~MREMAP_MAYMOVE) == 0 && start + old_length > start &&
			start + old_length <= (uintptr_t)1 << backings->books->geometry->user_bits)
			old_length = lz_window_movable_length(backings, start, start + old_length);
		return backings->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
	}
	if (!is_mapped(backings, start))
		return -EFAULT;
	if (new_length < old_length) {
		/*
		 * Since Linux 6.17 the range to be moved is checked before the tail is unmapped; before, it
		 * was not.
		 */
		error = in_place || !lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY)
				? 0
				: check_uniform(backings, start, start + new_length, &attributes);
		if (error)
			return error;
		error = forget_and_unmap(backings, start + new_length, old_length - new_length);
		if (error)
			return error;
		old_length = new_length;
	}
	/* Such a move accepts several different mappings. */
	if (moves_only) {
		record_move(backings, start, old_length, target, stays);
		at = backings->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
		if (lz_os_failed(at) && stays)
			lz_window_set_tag(backings, target, old_length, 0);
		else if (lz_os_failed(at))
			record_partial_move(backings, target, old_length, start);
		if (at != -EFAULT)
			return at;
	}
	/* Succeeds whatever is mapped in the range, as long as its first page is mapped. */
	if (in_place && new_length == old_length)
		return (intptr_t)start;
	error = check_uniform(backings, start, start + old_length, &attributes);
	/* Before Linux 6.17 the target is unmapped even if the move fails. */
	if (error == -EFAULT && (flags & MREMAP_FIXED) && !lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY))
		forget_and_unmap(backings, target, new_length);
	if (error)
		return error;
	if (in_place) {
		error = grow_in_place(backings, lease, start, old_length, new_length, &attributes);
		if (error == 0)
			return (intptr_t)start;
		if (!(flags & MREMAP_MAYMOVE))
			return error;
	}
	return move(backings, lease, start, old_length, new_length, flags, target, &attributes);
}

/* Separate functions, so that the stack for the list is not in use during the call. */
__attribute__((noinline)) static void save_wiped(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_wipe_list *wiped)
{
	wiped->count = 0;
	wiped->is_complete = true;
	if (!lz_books_lock(backings->books))
		return;
	lz_wipe_table_list(&backings->books->windows.wipes, start, end, wiped);
	lz_books_unlock(backings->books);
}

__attribute__((noinline)) static void restore_wiped(struct lz_backings *backings, uintptr_t base,
	const struct lz_wipe_list *wiped, size_t old_length, size_t new_length)
{
	if (wiped->count == 0 || !lz_books_lock(backings->books))
		return;
	lz_wipe_table_restore(&backings->books->windows.wipes, base, wiped, old_length, new_length);
	lz_books_unlock(backings->books);
}

/*
 * Ranges marked MADV_WIPEONFORK move along. Moving pieces removes their marks, so the marks are saved before
 * and restored after.
 */
intptr_t lz_window_remap(
	struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *request)
{
	uintptr_t start = request->start;
	struct lz_wipe_list *wiped = lz_scratch_take(backings->os);
	intptr_t result = -ENOMEM;

	if (wiped == NULL)
		return -ENOMEM;
	save_wiped(backings, start, start + request->old_length, wiped);
	/* Otherwise -ENOMEM, as if the kernel had no room for another mapping. */
	if (wiped->is_complete) {
		result = remap(backings, lease, start, request->old_length, request->new_length,
			request->flags, request->target);
		if (lz_os_failed(result))
			restore_wiped(backings, start, wiped, SIZE_MAX, SIZE_MAX);
		else
			restore_wiped(
				backings, (uintptr_t)result, wiped, request->old_length, request->new_length);
	}
	lz_scratch_release(backings->os, wiped);
	return result;
}
