/*
 * Memory on a zero window, moved and grown. What one mapping is to the program is many to the kernel, and no
 * piece may reach past the window's end, so mremap is made piece by piece.
 */
#include "core/inside.h"

#include <errno.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/procfs.h"

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

	return (to - from) % unit == 0 ? tag + (to - from) : lz_window_tag(core, lz_round_down(to, unit), 0);
}

/* --- moving --- */

/* The map of windows follows one piece. */
static void follow(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to, bool stays, bool copied)
{
	uintptr_t tag = lz_window_tag_at(core, from);

	if (!lz_core_enter(core))
		return;
	if (!stays)
		lz_window_forget(core, from, from + length);
	lz_window_forget(core, to, to + length);
	if (tag != 0 && !copied)
		lz_window_note(core, to, to + length, moved_tag(core, tag, from, to));
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

static int move_piece(struct lz_core *core, uintptr_t at, size_t length, uintptr_t to, int flags, bool copy)
{
	intptr_t moved = core->os->mremap(
		(void *)at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED | flags, (void *)to);
	int error = lz_os_failed(moved) ? (int)moved : 0;
	bool copied = error == -EFAULT && copy;

	if (copied)
		error = copy_piece(core, at, length, to);
	if (error == 0)
		follow(core, at, length, to, (flags & MREMAP_DONTUNMAP) != 0, copied);
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
	/* Back, over what DONTUNMAP left there: the same calls in the other direction. */
	length = at - from;
	for (uintptr_t back = to; back < to + length;) {
		size_t piece = piece_length(core, back, to + length);

		move_piece(core, back, piece, from + (back - to), 0, copy);
		back += piece;
	}
	return error;
}

/* --- growing --- */

int lz_window_extend(
	struct lz_core *core, uintptr_t from, uintptr_t to, size_t total, uintptr_t tag, int protection)
{
	size_t unit = lz_window_unit(core);
	size_t units = tag & (unit - 1);
	uintptr_t anchor = tag - units;
	uintptr_t middle = from;
	struct lz_window_use use, first;
	int error;

	if (lz_window_acquire(core, total, to - from, &use) != 0) {
		intptr_t at = core->os->mmap((void *)from, to - from, protection,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

		return lz_os_failed(at) ? (int)at : 0;
	}
	/* First the rest of the last piece, so that it becomes one mapping again. */
	first = use;
	first.bytes = units * unit;
	if (units != 0 && first.bytes <= use.window->bytes && (from - anchor) % first.bytes != 0)
		middle = lz_min_u64(to, from + first.bytes - (from - anchor) % first.bytes);
	error = lz_window_map(core, &first, from, middle, anchor);
	anchor = lz_round_down(middle, unit);
	if (error == 0)
		error = lz_window_map(core, &use, middle, to, anchor);
	if (error == 0 && protection != (PROT_READ | PROT_WRITE))
		error = core->os->mprotect((void *)from, to - from, protection);
	if (error == 0 && lz_core_enter(core)) {
		if (middle > from)
			lz_window_note(core, from, middle, tag);
		if (middle < to)
			lz_window_note(core, middle, to, lz_window_tag(core, anchor, use.bytes));
		lz_core_leave(core);
	}
	lz_window_release(core, &use);
	return error;
}

/* --- mremap --- */

static bool is_valid(const struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length,
	int flags, uintptr_t target)
{
	uintptr_t top = (uintptr_t)1 << core->geometry->user_bits;

	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 || new_length == 0)
		return false;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0)
		return true;
	if (!(flags & MREMAP_MAYMOVE) || ((flags & MREMAP_DONTUNMAP) && old_length != new_length))
		return false;
	return (target & (core->page - 1)) == 0 && new_length <= top && target <= top - new_length &&
	       (start + old_length <= target || target + new_length <= start);
}

/* Whether [start, end) is what the program sees as one mapping: no hole, one protection. -EFAULT where not.
 */
static int uniform(struct lz_core *core, uintptr_t start, uintptr_t end, int *protection)
{
	struct lz_lines lines;
	bool first = true;
	char *line;
	int error = lz_lines_open(&lines, core->os, "/proc/thread-self/maps");

	if (error)
		return error;
	while (start < end && (line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;
		int seen;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		seen = lz_mapping_protection(&mapping);
		if (mapping.start > start || (!first && seen != *protection))
			break;
		*protection = seen;
		first = false;
		start = mapping.end;
	}
	lz_lines_close(&lines);
	return start >= end ? 0 : -EFAULT;
}

static void follow_all(struct lz_core *core, uintptr_t from, size_t length, uintptr_t to)
{
	uintptr_t end = from + length;

	for (size_t piece; from < end; from += piece, to += piece) {
		piece = piece_length(core, from, end);
		follow(core, from, piece, to, false, false);
	}
}

/* Address space for what moves: the program's choice, whatever lies there, or ours. */
static intptr_t reserve_target(
	struct lz_core *core, uintptr_t start, size_t length, int flags, uintptr_t target)
{
	if (flags & MREMAP_FIXED)
		return core->os->mmap((void *)target, length, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return lz_zeropage_reserve(core, start, length);
}

static void give_up(struct lz_core *core, uintptr_t start, size_t length)
{
	core->os->munmap((void *)start, length);
	if (!lz_core_enter(core))
		return;
	lz_window_forget(core, start, start + length);
	lz_core_leave(core);
}

/* Grows where it is: 0, or -ENOMEM where something is in the way. */
static int grow_in_place(
	struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length, int protection)
{
	uintptr_t from = start + old_length;
	size_t more = new_length - old_length;
	intptr_t at = core->os->mmap((void *)from, more, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	int error;

	if (lz_os_failed(at))
		return -ENOMEM;
	error = lz_window_extend(
		core, from, from + more, new_length, lz_window_tag_at(core, from - 1), protection);
	if (error)
		give_up(core, from, more);
	return error;
}

static intptr_t move(struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length, int flags,
	uintptr_t target, int protection)
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
		error = lz_window_extend(
			core, place + old_length, place + new_length, new_length, tag, protection);
	}
	if (error == 0)
		error = lz_window_move(core, start, old_length, place, flags & MREMAP_DONTUNMAP, false);
	if (error == 0)
		return at;
	give_up(core, place, new_length);
	return error;
}

intptr_t lz_window_remap(struct lz_core *core, uintptr_t start, size_t old_length, size_t new_length,
	int flags, uintptr_t target)
{
	bool in_place = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0;
	int protection = 0, error;
	intptr_t at;

	if (!is_valid(core, start, old_length, new_length, flags, target))
		return -EINVAL;
	if (new_length < old_length) {
		give_up(core, start + new_length, old_length - new_length);
		old_length = new_length;
	}
	/* Since Linux 6.17 such a move takes along whatever mappings there are. */
	if (flags == (MREMAP_MAYMOVE | MREMAP_FIXED) && new_length == old_length) {
		at = core->os->mremap((void *)start, old_length, new_length, flags, (void *)target);
		if (!lz_os_failed(at))
			follow_all(core, start, old_length, target);
		if (at != -EFAULT)
			return at;
	}
	error = uniform(core, start, start + old_length, &protection);
	if (error)
		return error;
	if (in_place && new_length == old_length)
		return (intptr_t)start;
	if (in_place) {
		error = grow_in_place(core, start, old_length, new_length, protection);
		if (error == 0)
			return (intptr_t)start;
		if (!(flags & MREMAP_MAYMOVE))
			return error;
	}
	return move(core, start, old_length, new_length, flags, target, protection);
}
