/* Pieces of a window: mapping, extending, moving and finding them; see window.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "backing/sparse_copy.h"
#include "backing/window/create.h"
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"

/*
 * A clone takes 5 us; mmap of a descriptor would take 2.5 us, or 1.8 us into a free range. That is 5 to 16%
 * of mapping and first reading 4 to 64 GiB, too little for a descriptor that the program could close or
 * replace at any time.
 */
int lz_window_map_pieces(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t start,
	uintptr_t end, uintptr_t anchor)
{
	while (start < end) {
		size_t offset = (start - anchor) % lease->bytes;
		size_t length = lz_min_u64(lease->bytes - offset, end - start);
		intptr_t at = backings->os->mremap((void *)(lease->source + offset), length, length,
			MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (void *)start);

		if (lz_os_failed(at)) {
			bool lacking = at == -EINVAL &&
				       lz_fact(backings->os, LZ_FACT_MREMAP_DONTUNMAP) == LZ_FACT_UNSUPPORTED;

			lz_window_log_failure(backings,
				lacking ? lz_window_no_clones : "mapping its pieces (vm.max_map_count?)",
				lacking ? 0 : (int)at);
			return (int)at;
		}
		start += length;
	}
	return 0;
}

bool lz_window_is_piece(const struct lz_backings *backings, const struct lz_mapping *mapping)
{
	if (!lz_mapping_is_window(mapping))
		return false;
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		const struct lz_window *window = &backings->windows->window[i];

		if (window->bytes != 0 && mapping->start >= window->keeper &&
			mapping->start < window->keeper + 2 * window->bytes)
			return false;
	}
	return true;
}

/*
 * Finds the next part without the lock, by asking the kernel. Waiting longer for the lock could deadlock: its
 * holder may be a thread in a signal handler that waits for a lock of the allocator below, whose holder waits
 * here.
 */
static bool next_part_by_maps(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	bool found = false;
	char *line;

	if (lz_line_reader_open(&lines, backings->os, MAPS) != 0)
		return false;
	while (!found && (line = lz_line_reader_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		if (mapping.start >= end)
			break;
		found = lz_mapping_is_window(&mapping);
	}
	lz_line_reader_close(&lines);
	if (found) {
		part->start = lz_max_u64(start, mapping.start);
		part->end = part->piece_end = lz_min_u64(end, mapping.end);
		part->dev_zero = false;
	}
	return found;
}

bool lz_window_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	bool found;

	if (start >= end || !atomic_load_explicit(&backings->books->windows.ever_used, memory_order_relaxed))
		return false;
	if (!lz_books_lock(backings->books))
		return next_part_by_maps(backings, start, end, part);
	found = lz_window_map_find(&backings->books->windows, start, end, part);
	lz_books_unlock(backings->books);
	return found;
}

void lz_window_apply_attributes(struct lz_backings *backings, uintptr_t start, size_t length, unsigned advice)
{
	static const struct {
		unsigned flag;
		int advice;
	} table[] = {{LZ_VM_DONTFORK, MADV_DONTFORK}, {LZ_VM_DONTDUMP, MADV_DONTDUMP},
		{LZ_VM_MERGEABLE, MADV_MERGEABLE}, {LZ_VM_RANDOM, MADV_RANDOM},
		{LZ_VM_SEQUENTIAL, MADV_SEQUENTIAL}, {LZ_VM_HUGEPAGE, MADV_HUGEPAGE}};

	for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
		if (advice & table[i].flag)
			backings->os->madvise((void *)start, length, table[i].advice);
	if (advice & LZ_VM_LOCKONFAULT)
		backings->os->any_syscall(SYS_mlock2, (long)start, (long)length, MLOCK_ONFAULT, 0, 0, 0);
	else if (advice & LZ_VM_LOCKED)
		backings->os->mlock((void *)start, length);
}

/*
 * After mlockall(MCL_FUTURE) a new mapping is locked, and populated when it becomes accessible. mremap(2)
 * does not lock what it adds to memory that is not locked itself. The kernel rejects MADV_COLD on locked
 * memory.
 */
void lz_window_unlock_if_source_is_unlocked(
	struct lz_backings *backings, uintptr_t source, uintptr_t start, size_t length)
{
	source = lz_round_down(source, backings->books->page);
	if (atomic_load_explicit(&backings->windows->memory_was_locked, memory_order_relaxed) &&
		backings->os->madvise((void *)source, backings->books->page, MADV_COLD) != -EINVAL)
		backings->os->any_syscall(SYS_munlock, (long)start, (long)length, 0, 0, 0, 0);
}

/* If the distance is not a multiple of the unit, the tag only records the position of each piece. */
uintptr_t lz_window_moved_tag(const struct lz_backings *backings, uintptr_t tag, uintptr_t from, uintptr_t to)
{
	size_t unit = lz_window_map_unit(&backings->books->windows);

	if ((to - from) % unit == 0)
		return tag + (to - from);
	return lz_window_map_tag(&backings->books->windows, lz_round_down(to, unit), 0) |
	       (tag & lz_window_map_dev_zero_bit(&backings->books->windows));
}

/* --- moving --- */

void lz_window_set_tag(struct lz_backings *backings, uintptr_t start, size_t length, uintptr_t tag)
{
	if (!lz_books_lock(backings->books))
		return;
	lz_window_map_remove(&backings->books->windows, start, start + length);
	if (tag != 0)
		lz_window_map_add(&backings->books->windows, start, start + length, tag);
	lz_books_unlock(backings->books);
}

__attribute__((noinline)) size_t lz_window_next_piece(
	struct lz_backings *backings, uintptr_t at, uintptr_t end, uintptr_t *tag)
{
	struct lz_window_part part;

	*tag = 0;
	if (!lz_window_map_find(&backings->books->windows, at, end, &part))
		return end - at;
	if (part.start > at)
		return part.start - at;
	*tag = lz_window_map_tag_at(&backings->books->windows, at);
	return part.piece_end - at;
}

size_t lz_window_movable_length(struct lz_backings *backings, uintptr_t at, uintptr_t end)
{
	struct lz_window_part part;

	if (!lz_window_next_part(backings, at, end, &part))
		return end - at;
	return (part.start > at ? part.start : part.piece_end) - at;
}

/* Copies a piece that the kernel refuses to move into anonymous memory at its new place. */
static int move_piece_by_copy(struct lz_backings *backings, uintptr_t at, size_t length, uintptr_t to)
{
	intptr_t fresh = backings->os->mmap((void *)to, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (lz_os_failed(fresh))
		return (int)fresh;
	lz_sparse_copy_pages(backings, at, at + length, to);
	backings->os->munmap((void *)at, length);
	return 0;
}

/*
 * Finds the piece at `at`, and removes it from the map unless it stays: before the call, because the kernel
 * may give its addresses to another thread as soon as they are free. Returns its length.
 */
__attribute__((noinline)) static size_t take_piece(
	struct lz_backings *backings, uintptr_t at, uintptr_t end, bool stays, uintptr_t *tag)
{
	size_t length;

	*tag = 0;
	if (!lz_books_lock(backings->books))
		return lz_window_movable_length(backings, at, end);
	length = lz_window_next_piece(backings, at, end, tag);
	if (!stays)
		lz_window_map_remove(&backings->books->windows, at, at + length);
	lz_books_unlock(backings->books);
	return length;
}

/* Moves a piece that take_piece took. */
static int move_piece(struct lz_backings *backings, uintptr_t at, size_t length, uintptr_t to, int flags,
	bool copy, uintptr_t tag)
{
	intptr_t moved = backings->os->mremap(
		(void *)at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED | flags, (void *)to);
	int error = lz_os_failed(moved) ? (int)moved : 0;

	if (error == 0)
		lz_window_set_tag(
			backings, to, length, tag != 0 ? lz_window_moved_tag(backings, tag, at, to) : 0);
	else if (copy && error == -EFAULT && (error = move_piece_by_copy(backings, at, length, to)) == 0)
		lz_window_set_tag(backings, to, length, 0);
	else if ((flags & MREMAP_DONTUNMAP) == 0)
		lz_window_set_tag(backings, at, length, tag);
	return error;
}

int lz_window_move_pieces(
	struct lz_backings *backings, uintptr_t from, size_t length, uintptr_t to, int flags, bool copy)
{
	uintptr_t at = from, end = from + length, tag;
	size_t piece;
	int error = 0;

	while (at < end && error == 0) {
		piece = take_piece(backings, at, end, (flags & MREMAP_DONTUNMAP) != 0, &tag);
		error = move_piece(backings, at, piece, to + (at - from), flags, copy, tag);
		if (error == 0)
			at += piece;
	}
	if (error == 0 || at == from)
		return error;
	/*
	 * Move back, over what MREMAP_DONTUNMAP left there: the same calls in the other direction, or copies
	 * if they fail.
	 */
	length = at - from;
	for (uintptr_t back = to; back < to + length; back += piece) {
		piece = take_piece(backings, back, to + length, false, &tag);
		if (move_piece(backings, back, piece, from + (back - to), 0, copy, tag) != 0)
			move_piece_by_copy(backings, back, piece, from + (back - to));
	}
	return error;
}

/* --- growing --- */

/* If the key is not 0, the preceding range has one, so protection keys are supported. */
static void set_key(struct lz_backings *backings, uintptr_t from, uintptr_t to,
	const struct lz_window_attributes *attributes)
{
	if (attributes->key != 0)
		backings->os->any_syscall(SYS_pkey_mprotect, (long)from, (long)(to - from),
			attributes->protection, attributes->key, 0, 0);
}

int lz_window_extend(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t from, uintptr_t to,
	uintptr_t tag, const struct lz_window_attributes *attributes)
{
	size_t unit = lz_window_map_unit(&backings->books->windows);
	size_t units = tag & (lz_window_map_dev_zero_bit(&backings->books->windows) - 1);
	uintptr_t anchor = lz_round_down(tag, unit);
	uintptr_t middle = from;
	struct lz_lease first = *lease;
	const struct lz_window *window = lease->object;
	int error;

	if (window == NULL) {
		error = backings->os->mprotect((void *)from, to - from, attributes->protection);
		if (error)
			return error;
		set_key(backings, from, to, attributes);
		lz_window_apply_attributes(backings, from, to - from, attributes->advice);
		/* Memory that was /dev/zero still behaves as a mapping of a file. */
		if (tag & lz_window_map_dev_zero_bit(&backings->books->windows))
			lz_window_set_tag(backings, from, to - from,
				lz_window_map_dev_zero_tag(&backings->books->windows, from));
		return 0;
	}
	/* First complete the last piece, so that it becomes one mapping again. */
	first.bytes = units * unit;
	if (units != 0 && first.bytes <= window->bytes && (from - anchor) % first.bytes != 0)
		middle = lz_min_u64(to, from + first.bytes - (from - anchor) % first.bytes);
	error = lz_window_map_pieces(backings, &first, from, middle, anchor);
	anchor = lz_round_down(middle, unit);
	if (error == 0)
		error = lz_window_map_pieces(backings, lease, middle, to, anchor);
	if (error == 0 && attributes->protection != (PROT_READ | PROT_WRITE))
		error = backings->os->mprotect((void *)from, to - from, attributes->protection);
	if (error)
		return error;
	set_key(backings, from, to, attributes);
	lz_window_apply_attributes(backings, from, to - from, attributes->advice);
	if (middle > from)
		lz_window_set_tag(backings, from, middle - from, tag);
	if (middle < to)
		lz_window_set_tag(backings, middle, to - middle,
			lz_window_map_tag(&backings->books->windows, anchor, lease->bytes) |
				(tag & lz_window_map_dev_zero_bit(&backings->books->windows)));
	return 0;
}
