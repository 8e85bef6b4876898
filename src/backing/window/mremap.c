/*
 * Memory on a zero window, moved and grown. What one mapping is to the program is many to the kernel, and no
 * piece may reach past the window's end, so mremap is made piece by piece.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "os/scratch.h"

#define UNIFORM_ATTEMPTS 4

uintptr_t lz_window_tag_at(struct lz_core *core, uintptr_t address)
{
	struct lz_range *range;
	uintptr_t tag = 0;

	if (!lz_core_enter(core))
		return 0;
	range = lz_ledger_find(&core->windows.where, address);
	if (range != NULL && range->start <= address)
		tag = range->traits.tag;
	lz_core_leave(core);
	return tag;
}

/* A tag for pieces that moved. Off their blocks' boundaries, what is known of them is where each lies. */
static uintptr_t moved_tag(const struct lz_core *core, uintptr_t tag, uintptr_t from, uintptr_t to)
{
	size_t unit = lz_window_unit(core);

	if ((to - from) % unit == 0)
		return tag + (to - from);
	return lz_window_tag(core, lz_round_down(to, unit), 0) | (tag & lz_window_of_file(core));
}

/* --- moving --- */

/* What the map of windows says of one piece from now on. */
static void set_tag(struct lz_core *core, uintptr_t start, size_t length, uintptr_t tag)
{
	if (!lz_core_enter(core))
		return;
	lz_window_forget(core, start, start + length);
	if (tag != 0)
		lz_window_note(core, start, start + length, tag);
	lz_core_leave(core);
}

/* The bytes from `at` on that move in one call. */
static size_t piece_length(struct lz_core *core, uintptr_t at, uintptr_t end)
{
	struct lz_window_part part;

	if (!lz_windowed_next(core, at, end, &part))
		return end - at;
	return (part.start > at ? part.start : part.piece_end) - at;
}

/* The bytes of a piece that the kernel will not move go into anonymous memory in its new place. */
static int copy_piece(struct lz_core *core, uintptr_t at, size_t length, uintptr_t to)
{
	intptr_t fresh = core->os->mmap((void *)to, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (lz_os_failed(fresh))
		return (int)fresh;
	lz_copy_written(core, at, at + length, to);
	core->os->munmap((void *)at, length);
	return 0;
}

/* The old range leaves the map before the kernel may give its addresses to others. */
static int move_piece(struct lz_core *core, uintptr_t at, size_t length, uintptr_t to, int flags, bool copy)
{
	uintptr_t tag = lz_window_tag_at(core, at);
	bool stays = (flags & MREMAP_DONTUNMAP) != 0;
	intptr_t moved;
	int error;

	if (!stays)
		set_tag(core, at, length, 0);
	moved = core->os->mremap(
		(void *)at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED | flags, (void *)to);
	error = lz_os_failed(moved) ? (int)moved : 0;
	if (error == 0)
		set_tag(core, to, length, tag != 0 ? moved_tag(core, tag, at, to) : 0);
	else if (copy && error == -EFAULT && (error = copy_piece(core, at, length, to)) == 0)
		set_tag(core, to, length, 0);
	else if (!stays)
		set_tag(core, at, length, tag);
	return error;
}

int lz_window_move(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to, int flags, bool copy)
{
	uintptr_t at = from, end = from + length;
	int error = 0;

	while (at < end && error == 0) {
		size_t piece = piece_length(core, at, end);

		error = move_piece(core, at, piece, to + (at - from), flags, copy);
		if (error == 0)
			at += piece;
	}
	if (error == 0 || at == from)
		return error;
	/* Back, over what DONTUNMAP left there: the same calls in the other direction, or, if need be,
	 * copies. */
	length = at - from;
	for (uintptr_t back = to; back < to + length;) {
		size_t piece = piece_length(core, back, to + length);

		if (move_piece(core, back, piece, from + (back - to), 0, copy) != 0)
			copy_piece(core, back, piece, from + (back - to));
		back += piece;
	}
	return error;
}

/* --- growing --- */

/* Keys are there: the range before has one. */
static void give_key(struct lz_core *core, uintptr_t from, uintptr_t to, const struct lz_manner *manner)
{
	if (manner->key != 0)
		core->os->pass(SYS_pkey_mprotect, (long)from, (long)(to - from), manner->protection,
			manner->key, 0, 0);
}

int lz_window_extend(struct lz_core *core, const struct lz_window_use *use, uintptr_t from, uintptr_t to,
	uintptr_t tag, const struct lz_manner *manner)
{
	size_t unit = lz_window_unit(core);
	size_t units = tag & (lz_window_of_file(core) - 1);
	uintptr_t anchor = lz_round_down(tag, unit);
	uintptr_t middle = from;
	struct lz_window_use first = *use;
	int error;

	if (use->window == NULL) {
		intptr_t at = core->os->mmap((void *)from, to - from, manner->protection,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

		if (lz_os_failed(at))
			return (int)at;
		give_key(core, from, to, manner);
		lz_core_ask(core, from, to - from, manner->asked);
		/* What was /dev/zero stays a file in all that is told of it. */
		if (tag & lz_window_of_file(core))
			set_tag(core, from, to - from, lz_window_of_file_at(core, from));
		return 0;
	}
	/* First the rest of the last piece, so that it becomes one mapping again. */
	first.bytes = units * unit;
	if (units != 0 && first.bytes <= use->window->bytes && (from - anchor) % first.bytes != 0)
		middle = lz_min_u64(to, from + first.bytes - (from - anchor) % first.bytes);
	error = lz_window_map(core, &first, from, middle, anchor);
	anchor = lz_round_down(middle, unit);
	if (error == 0)
		error = lz_window_map(core, use, middle, to, anchor);
	if (error == 0 && manner->protection != (PROT_READ | PROT_WRITE))
		error = core->os->mprotect((void *)from, to - from, manner->protection);
	if (error)
		return error;
	give_key(core, from, to, manner);
	lz_core_ask(core, from, to - from, manner->asked);
	if (middle > from)
		set_tag(core, from, middle - from, tag);
	if (middle < to)
		set_tag(core, middle, to - middle,
			lz_window_tag(core, anchor, use->bytes) | (tag & lz_window_of_file(core)));
	return 0;
}

/* --- mremap --- */

/* Whether the kernel will look at the mappings at all; if not, it is for it to say why. */
static bool is_valid(const struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length,
	int flags, uintptr_t target)
{
	/* TASK_SIZE of x86-64; where it is a page more, no mapping of ours has room for that page. */
	uintptr_t top = ((uintptr_t)1 << core->geometry->user_bits) - core->page;

	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 || new_length == 0 ||
		new_length > top || old_length > top - start)
		return false;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0)
		return true;
	if (!(flags & MREMAP_MAYMOVE) || ((flags & MREMAP_DONTUNMAP) && old_length != new_length))
		return false;
	return (target & (core->page - 1)) == 0 && target <= top - new_length &&
	       (start + old_length <= target || target + new_length <= start);
}

/* What keeps the kernel from joining two mappings that are alike otherwise: each file for itself, and
 * /dev/zero. */
static uintptr_t kind_of(struct lz_core *core, const struct lz_mapping *mapping, uintptr_t at)
{
	uintptr_t tag = lz_window_tag_at(core, at);

	/* By its name as well: a handler that interrupted us cannot ask the map of windows. */
	if (tag == 0 && (mapping->inode != 0 || mapping->shared) && !lz_window_is_named(mapping))
		return mapping->start | 1;
	return tag & lz_window_of_file(core);
}

/* For `uniform`, where no descriptor is to be had to look with: what was never altered is as it was made. */
static int uniform_by_books(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_manner *manner)
{
	struct lz_window_part part, first = {.start = 0};

	*manner = (struct lz_manner){.protection = PROT_READ | PROT_WRITE};
	if (atomic_load_explicit(&core->windows.altered, memory_order_relaxed))
		return -ENOMEM;
	while (start < end) {
		if (!lz_windowed_next(core, start, end, &part) || part.start != start)
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
	struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_manner *manner)
{
	struct lz_mapping mapping;
	struct lz_lines lines;
	unsigned asked;
	uintptr_t first_kind = 0;
	bool first = true;

	if (lz_lines_open(&lines, core->os, "/proc/thread-self/smaps") != 0)
		return uniform_by_books(core, start, end, manner);
	while (start < end && lz_smaps_next(&lines, &mapping, &asked)) {
		struct lz_manner seen = {.protection = lz_mapping_protection(&mapping), .asked = asked};
		uintptr_t kind;

		if (mapping.end <= start)
			continue;
		kind = kind_of(core, &mapping, lz_max_u64(start, mapping.start));
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
__attribute__((noinline)) static bool is_wiped_alike(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_wiped wiped = {.count = 0};

	if (lz_core_enter(core)) {
		lz_wipe_list(core, start, end, &wiped);
		lz_core_leave(core);
	}
	return wiped.count == 0 ||
	       (wiped.count == 1 && wiped.part[0].start == 0 && wiped.part[0].end == end - start);
}

/* The protection key of the mapping at an address, where the program ever gave one. */
static int key_of(struct lz_core *core, uintptr_t at)
{
	uint64_t key;

	if (!atomic_load_explicit(&core->windows.keyed, memory_order_relaxed) ||
		lz_mapping_value(core->os, "/proc/thread-self/smaps", at, "ProtectionKey:", &key) != 0)
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
static int uniform(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_manner *manner)
{
	int error = -EFAULT;

	if (!is_wiped_alike(core, start, end))
		return -EFAULT;
	for (int attempt = 0; error == -EFAULT && attempt < UNIFORM_ATTEMPTS; attempt++)
		error = look_whether_uniform(core, start, end, manner);
	if (error == 0)
		manner->key = key_of(core, start);
	return error;
}

static bool is_mapped(struct lz_core *core, uintptr_t start)
{
	unsigned char resident;

	return core->os->mincore((void *)start, core->page, &resident) != -ENOMEM;
}

/* The map of windows follows pieces that move, or are mapped again elsewhere, in one call. */
__attribute__((noinline)) static void follow_all(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to, bool stays)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		uintptr_t tag = lz_window_tag_at(core, from);

		piece = piece_length(core, from, end);
		if (!stays)
			set_tag(core, from, piece, 0);
		set_tag(core, to, piece, tag != 0 ? moved_tag(core, tag, from, to) : 0);
	}
}

/*
 * Whether the kernel moves several mappings in one call, as since Linux 6.17; found out once, by doing it.
 * Where it does not, trying would blur what is known of the pieces.
 */
__attribute__((noinline)) static bool moves_many(struct lz_core *core)
{
	enum { UNKNOWN, NO, YES };
	int known = atomic_load_explicit(&core->windows.moves_many, memory_order_relaxed);
	size_t page = core->page;
	intptr_t at;

	if (known != UNKNOWN)
		return known == YES;
	at = core->os->mmap(NULL, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return false;
	known = core->os->mprotect((void *)at, page, PROT_NONE) == 0 &&
				!lz_os_failed(core->os->mremap((void *)at, 2 * page, 2 * page,
					MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(at + 2 * (intptr_t)page)))
			? YES
			: NO;
	core->os->munmap((void *)at, 4 * page);
	atomic_store_explicit(&core->windows.moves_many, known, memory_order_relaxed);
	return known == YES;
}

/* A move of many mappings may fail half way: what is still in its old place is known there again. */
__attribute__((noinline)) static void follow_back(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		piece = piece_length(core, from, end);
		if (is_mapped(core, to))
			follow_all(core, from, piece, to, false);
	}
}

/* Address space for what moves: the program's choice, whatever lies there, or ours. */
static intptr_t reserve_target(
	struct lz_core *core, uintptr_t start, size_t length, int flags, uintptr_t target)
{
	intptr_t at;

	if (!(flags & MREMAP_FIXED))
		return lz_zeropage_reserve(core, start, length);
	at = core->os->mmap((void *)target, length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (!lz_os_failed(at))
		set_tag(core, target, length, 0);
	return at;
}

/* Unmaps, and then forgets, what stood on a window. 0 or -errno: vm.max_map_count, where a piece is cut in
 * two. */
static int give_up(struct lz_core *core, uintptr_t start, size_t length)
{
	int error = core->os->munmap((void *)start, length);

	if (error == 0)
		set_tag(core, start, length, 0);
	return error;
}

/* Grows where it is: 0, or -ENOMEM where something is in the way. */
__attribute__((noinline)) static int grow_in_place(struct lz_core *core, const struct lz_window_use *use, uintptr_t start,
	size_t old_length, size_t new_length, const struct lz_manner *manner)
{
	uintptr_t from = start + old_length;
	size_t more = new_length - old_length;
	intptr_t at = core->os->mmap((void *)from, more, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	int error;

	if (lz_os_failed(at))
		return -ENOMEM;
	error = lz_window_extend(core, use, from, from + more, lz_window_tag_at(core, from - 1), manner);
	if (error)
		give_up(core, from, more);
	return error;
}

__attribute__((noinline)) static intptr_t move(struct lz_core *core, const struct lz_window_use *use, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target, const struct lz_manner *manner)
{
	uintptr_t tag = lz_window_tag_at(core, start + old_length - 1);
	intptr_t at = reserve_target(core, start, new_length, flags, target);
	uintptr_t place = (uintptr_t)at;
	int error = 0;

	if (lz_os_failed(at))
		return at;
	if (new_length > old_length) {
		if (tag != 0)
			tag = moved_tag(core, tag, start, place);
		error = lz_window_extend(core, use, place + old_length, place + new_length, tag, manner);
	}
	if (error == 0)
		error = lz_window_move(core, start, old_length, place, flags & MREMAP_DONTUNMAP, false);
	if (error == 0)
		return at;
	give_up(core, place, new_length);
	return error;
}

static intptr_t remap(struct lz_core *core, const struct lz_window_use *use, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target)
{
	bool in_place = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0;
	bool stays = (flags & MREMAP_DONTUNMAP) != 0;
	/* Several mappings at once, as long as the first is no file (vma_multi_allowed in mm/mremap.c). */
	bool moves_only = (flags & MREMAP_FIXED) != 0 && new_length == old_length &&
			  !(lz_window_tag_at(core, start) & lz_window_of_file(core)) && moves_many(core);
	struct lz_manner manner = {0};
	intptr_t at;
	int error;

	if (!is_valid(core, start, old_length, new_length, flags, target)) {
		/* Before Linux 6.17 the kernel misses the end of the mapping before it minds the size. */
		if ((flags & ~MREMAP_MAYMOVE) == 0 && start + old_length > start &&
			start + old_length <= (uintptr_t)1 << core->geometry->user_bits)
			old_length = piece_length(core, start, start + old_length);
		return core->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
	}
	if (!is_mapped(core, start))
		return -EFAULT;
	if (new_length < old_length) {
		/* What is to move is looked at before anything is cut off, but not before Linux 6.17. */
		error = in_place || !moves_many(core) ? 0 : uniform(core, start, start + new_length, &manner);
		if (error)
			return error;
		error = give_up(core, start + new_length, old_length - new_length);
		if (error)
			return error;
		old_length = new_length;
	}
	/* Such a move takes along whatever mappings there are. */
	if (moves_only) {
		follow_all(core, start, old_length, target, stays);
		at = core->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
		if (lz_os_failed(at) && stays)
			set_tag(core, target, old_length, 0);
		else if (lz_os_failed(at))
			follow_back(core, target, old_length, start);
		if (at != -EFAULT)
			return at;
	}
	/* Whatever lies there, as long as something does at its start. */
	if (in_place && new_length == old_length)
		return (intptr_t)start;
	error = uniform(core, start, start + old_length, &manner);
	/* Before Linux 6.17 the target is cleared even then. */
	if (error == -EFAULT && (flags & MREMAP_FIXED) && !moves_many(core))
		give_up(core, target, new_length);
	if (error)
		return error;
	if (in_place) {
		error = grow_in_place(core, use, start, old_length, new_length, &manner);
		if (error == 0)
			return (intptr_t)start;
		if (!(flags & MREMAP_MAYMOVE))
			return error;
	}
	return move(core, use, start, old_length, new_length, flags, target, &manner);
}

/* Each apart, so that the stack of its section is not below the call. */
__attribute__((noinline)) static void list_wiped(
	struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_wiped *wiped)
{
	wiped->count = 0;
	wiped->all = true;
	if (!lz_core_enter(core))
		return;
	lz_wipe_list(core, start, end, wiped);
	lz_core_leave(core);
}

__attribute__((noinline)) static void put_wiped(struct lz_core *core, uintptr_t base,
	const struct lz_wiped *wiped, size_t old_length, size_t new_length)
{
	if (wiped->count == 0 || !lz_core_enter(core))
		return;
	lz_wipe_put(core, base, wiped, old_length, new_length);
	lz_core_leave(core);
}

/* What is to be wiped on fork follows: where pieces move, it is forgotten with them. */
intptr_t lz_window_remap(struct lz_core *core, const struct lz_window_use *use, uintptr_t start,
	size_t old_length, size_t new_length, int flags, uintptr_t target)
{
	struct lz_wiped *wiped = lz_scratch_take(core->os);
	intptr_t result = -ENOMEM;

	if (wiped == NULL)
		return -ENOMEM;
	list_wiped(core, start, start + old_length, wiped);
	/* Else as where the kernel has no room for another mapping. */
	if (wiped->all) {
		result = remap(core, use, start, old_length, new_length, flags, target);
		if (lz_os_failed(result))
			put_wiped(core, start, wiped, SIZE_MAX, SIZE_MAX);
		else
			put_wiped(core, (uintptr_t)result, wiped, old_length, new_length);
	}
	lz_scratch_release(core->os, wiped);
	return result;
}
