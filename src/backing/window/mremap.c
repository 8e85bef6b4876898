/*
 * Memory on a zero window, moved and grown. What one mapping is to the program is many to the kernel, and no
 * piece may reach past the window's end, so mremap is made piece by piece.
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

/* Whether the kernel will look at the mappings at all; if not, it is for it to say why. */
static bool is_valid(const struct lz_backings *backings, uintptr_t start, size_t old_length,
	size_t new_length, int flags, uintptr_t target)
{
	/* TASK_SIZE of x86-64; where it is a page more, no mapping of ours has room for that page. */
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

/* What keeps the kernel from joining two mappings that are alike otherwise: each file for itself, and
 * /dev/zero. */
static uintptr_t kind_of(struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t at)
{
	uintptr_t tag = lz_books_window_tag_at(backings->books, at);

	/* By its name as well: a handler that interrupted us cannot ask the map of windows. */
	if (tag == 0 && (mapping->inode != 0 || mapping->shared) && !lz_mapping_is_window(mapping))
		return mapping->start | 1;
	return tag & lz_window_map_of_file(&backings->books->windows);
}

/* For `uniform`, where no descriptor is to be had to look with: what was never altered is as it was made. */
static int uniform_by_books(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_manner *manner)
{
	struct lz_window_part part, first = {.start = 0};

	*manner = (struct lz_window_manner){.protection = PROT_READ | PROT_WRITE};
	if (atomic_load_explicit(&backings->windows->altered, memory_order_relaxed))
		return -ENOMEM;
	while (start < end) {
		if (!lz_window_next_part(backings, start, end, &part) || part.start != start)
			return -ENOMEM;
		if (first.start == 0)
			first = part;
		if (part.of_file != first.of_file)
			return -EFAULT;
		start = part.end;
	}
	return 0;
}

static int look_whether_uniform(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_manner *manner)
{
	struct lz_mapping mapping;
	struct lz_lines lines;
	unsigned asked;
	uintptr_t first_kind = 0;
	bool first = true;

	if (lz_lines_open(&lines, backings->os, "/proc/thread-self/smaps") != 0)
		return uniform_by_books(backings, start, end, manner);
	while (start < end && lz_smaps_next(&lines, &mapping, &asked)) {
		struct lz_window_manner seen = {
			.protection = lz_mapping_protection(&mapping), .asked = asked};
		uintptr_t kind;

		if (mapping.end <= start)
			continue;
		kind = kind_of(backings, &mapping, lz_max_u64(start, mapping.start));
		if (mapping.start > start ||
			(!first && (seen.protection != manner->protection || seen.asked != manner->asked ||
					   kind != first_kind)))
			break;
		*manner = seen;
		first_kind = kind;
		first = false;
		start = mapping.end;
	}
	lz_lines_close(&lines);
	return start >= end ? 0 : lines.error ? -ENOMEM : -EFAULT;
}

/* What is wiped on fork is a mapping of its own to the program. */
__attribute__((noinline)) static bool is_wiped_alike(
	struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	struct lz_wiped wiped = {.count = 0};

	if (lz_books_lock(backings->books)) {
		lz_wipe_table_list(&backings->books->windows.wipes, start, end, &wiped);
		lz_books_unlock(backings->books);
	}
	return wiped.count == 0 ||
	       (wiped.count == 1 && wiped.part[0].start == 0 && wiped.part[0].end == end - start);
}

/* The protection key of the mapping at an address, where the program ever gave one. */
static int key_of(struct lz_backings *backings, uintptr_t at)
{
	uint64_t key;

	if (!atomic_load_explicit(&backings->windows->keyed, memory_order_relaxed) ||
		lz_mapping_value(backings->os, "/proc/thread-self/smaps", at, "ProtectionKey:", &key) != 0)
		return 0;
	return (int)key;
}

/*
 * Whether [start, end) is what the program sees as one mapping: no hole, everything in one manner. -EFAULT
 * where not, -ENOMEM where that cannot be read.
 *
 * The file is read a page at a time, and other threads map and unmap meanwhile: a hole that is seen once may
 * be where two such pages meet.
 */
static int uniform(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_manner *manner)
{
	int error = -EFAULT;

	if (!is_wiped_alike(backings, start, end))
		return -EFAULT;
	for (int attempt = 0; error == -EFAULT && attempt < UNIFORM_ATTEMPTS; attempt++)
		error = look_whether_uniform(backings, start, end, manner);
	if (error == 0)
		manner->key = key_of(backings, start);
	return error;
}

static bool is_mapped(struct lz_backings *backings, uintptr_t start)
{
	unsigned char resident;

	return backings->os->mincore((void *)start, backings->books->page, &resident) != -ENOMEM;
}

/* The map of windows follows pieces that move, or are mapped again elsewhere, in one call. */
__attribute__((noinline)) static void follow_all(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to, bool stays)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		uintptr_t tag = lz_books_window_tag_at(backings->books, from);

		piece = lz_window_piece_length(backings, from, end);
		if (!stays)
			lz_window_set_tag(backings, from, piece, 0);
		lz_window_set_tag(
			backings, to, piece, tag != 0 ? lz_window_moved_tag(backings, tag, from, to) : 0);
	}
}

/* A move of many mappings may fail half way: what is still in its old place is known there again. */
__attribute__((noinline)) static void follow_back(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		piece = lz_window_piece_length(backings, from, end);
		if (is_mapped(backings, to))
			follow_all(backings, from, piece, to, false);
	}
}

/* Address space for what moves: the program's choice, whatever lies there, or ours. */
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

/* Unmaps, and then forgets, what stood on a window. 0 or -errno: vm.max_map_count, where a piece is cut in
 * two. */
static int give_up(struct lz_backings *backings, uintptr_t start, size_t length)
{
	int error = backings->os->munmap((void *)start, length);

	if (error == 0)
		lz_window_set_tag(backings, start, length, 0);
	return error;
}

/* Grows where it is: 0, or -ENOMEM where something is in the way. */
__attribute__((noinline)) static int grow_in_place(struct lz_backings *backings, const struct lz_lease *lease,
	uintptr_t start, size_t old_length, size_t new_length, const struct lz_window_manner *manner)
{
	uintptr_t from = start + old_length;
	size_t more = new_length - old_length;
	intptr_t at = lz_fact_mmap_at(backings->os, (void *)from, more, PROT_NONE, MAP_NORESERVE);
	int error;

	if (lz_os_failed(at))
		return -ENOMEM;
	error = lz_window_extend(backings, lease, from, from + more,
		lz_books_window_tag_at(backings->books, from - 1), manner);
	if (error)
		give_up(backings, from, more);
	return error;
}

__attribute__((noinline)) static intptr_t move(struct lz_backings *backings, const struct lz_lease *lease,
	uintptr_t start, size_t old_length, size_t new_length, int flags, uintptr_t target,
	const struct lz_window_manner *manner)
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
		error = lz_window_extend(
			backings, lease, place + old_length, place + new_length, tag, manner);
	}
	if (error == 0)
		error = lz_window_move_pieces(
			backings, start, old_length, place, flags & MREMAP_DONTUNMAP, false);
	if (error == 0)
		return at;
	give_up(backings, place, new_length);
	return error;
}

static intptr_t remap(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target)
{
	bool in_place = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0;
	bool stays = (flags & MREMAP_DONTUNMAP) != 0;
	/* Several mappings at once, as long as the first is no file (vma_multi_allowed in mm/mremap.c). */
	bool moves_only = (flags & MREMAP_FIXED) != 0 && new_length == old_length &&
			  !(lz_books_window_tag_at(backings->books, start) &
				  lz_window_map_of_file(&backings->books->windows)) &&
			  lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY);
	struct lz_window_manner manner = {0};
	intptr_t at;
	int error;

	if (!is_valid(backings, start, old_length, new_length, flags, target)) {
		/* Before Linux 6.17 the kernel misses the end of the mapping before it minds the size. */
		if ((flags & ~MREMAP_MAYMOVE) == 0 && start + old_length > start &&
			start + old_length <= (uintptr_t)1 << backings->books->geometry->user_bits)
			old_length = lz_window_piece_length(backings, start, start + old_length);
		return backings->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
	}
	if (!is_mapped(backings, start))
		return -EFAULT;
	if (new_length < old_length) {
		/* What is to move is looked at before anything is cut off, but not before Linux 6.17. */
		error = in_place || !lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY)
				? 0
				: uniform(backings, start, start + new_length, &manner);
		if (error)
			return error;
		error = give_up(backings, start + new_length, old_length - new_length);
		if (error)
			return error;
		old_length = new_length;
	}
	/* Such a move takes along whatever mappings there are. */
	if (moves_only) {
		follow_all(backings, start, old_length, target, stays);
		at = backings->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
		if (lz_os_failed(at) && stays)
			lz_window_set_tag(backings, target, old_length, 0);
		else if (lz_os_failed(at))
			follow_back(backings, target, old_length, start);
		if (at != -EFAULT)
			return at;
	}
	/* Whatever lies there, as long as something does at its start. */
	if (in_place && new_length == old_length)
		return (intptr_t)start;
	error = uniform(backings, start, start + old_length, &manner);
	/* Before Linux 6.17 the target is cleared even then. */
	if (error == -EFAULT && (flags & MREMAP_FIXED) && !lz_fact_holds(backings->os, LZ_FACT_MREMAP_MANY))
		give_up(backings, target, new_length);
	if (error)
		return error;
	if (in_place) {
		error = grow_in_place(backings, lease, start, old_length, new_length, &manner);
		if (error == 0)
			return (intptr_t)start;
		if (!(flags & MREMAP_MAYMOVE))
			return error;
	}
	return move(backings, lease, start, old_length, new_length, flags, target, &manner);
}

/* Each apart, so that the stack of its section is not below the call. */
__attribute__((noinline)) static void list_wiped(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_wiped *wiped)
{
	wiped->count = 0;
	wiped->all = true;
	if (!lz_books_lock(backings->books))
		return;
	lz_wipe_table_list(&backings->books->windows.wipes, start, end, wiped);
	lz_books_unlock(backings->books);
}

__attribute__((noinline)) static void put_wiped(struct lz_backings *backings, uintptr_t base,
	const struct lz_wiped *wiped, size_t old_length, size_t new_length)
{
	if (wiped->count == 0 || !lz_books_lock(backings->books))
		return;
	lz_wipe_table_restore(&backings->books->windows.wipes, base, wiped, old_length, new_length);
	lz_books_unlock(backings->books);
}

/* What is to be wiped on fork follows: where pieces move, it is forgotten with them. */
intptr_t lz_window_remap(
	struct lz_backings *backings, const struct lz_lease *lease, const struct lz_remap *asked)
{
	uintptr_t start = asked->start;
	struct lz_wiped *wiped = lz_scratch_take(backings->os);
	intptr_t result = -ENOMEM;

	if (wiped == NULL)
		return -ENOMEM;
	list_wiped(backings, start, start + asked->old_length, wiped);
	/* Else as where the kernel has no room for another mapping. */
	if (wiped->all) {
		result = remap(backings, lease, start, asked->old_length, asked->new_length, asked->flags,
			asked->target);
		if (lz_os_failed(result))
			put_wiped(backings, start, wiped, SIZE_MAX, SIZE_MAX);
		else
			put_wiped(backings, (uintptr_t)result, wiped, asked->old_length, asked->new_length);
	}
	lz_scratch_release(backings->os, wiped);
	return result;
}
