/* Which addresses stand on a window, and how pieces of it get there; see window.h. */
#include "backing/window/window.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "core/inside.h"
#include "os/mman.h"
#include "os/procfs.h"

/* What a tag says. */
struct pieces {
	uintptr_t anchor;
	size_t bytes; /* 0: not known */
};

static struct pieces pieces_of(const struct lz_core *core, uintptr_t tag)
{
	size_t unit = lz_window_unit(core);
	size_t units = tag & (lz_window_of_file(core) - 1);

	return (struct pieces){lz_round_down(tag, unit), units * unit};
}

int lz_window_map(struct lz_core *core, const struct lz_window_use *use, uintptr_t start, uintptr_t end,
	uintptr_t anchor)
{
	while (start < end) {
		size_t offset = (start - anchor) % use->bytes;
		size_t length = lz_min_u64(use->bytes - offset, end - start);
		intptr_t at = core->os->mremap((void *)(use->source + offset), length, length,
			MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (void *)start);

		if (lz_os_failed(at)) {
			lz_window_say(core, "its mappings (vm.max_map_count?)", (int)at);
			return (int)at;
		}
		start += length;
	}
	return 0;
}

void lz_window_note(struct lz_core *core, uintptr_t start, uintptr_t end, uintptr_t tag)
{
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift, .tag = tag};

	atomic_store_explicit(&core->windows.any, true, memory_order_relaxed);
	atomic_store_explicit(&core->windows.unused, false, memory_order_relaxed);
	lz_wipe_remove(core, start, end);
	lz_ledger_set(&core->windows.where, start, end, traits);
}

void lz_window_forget(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	if (!atomic_load_explicit(&core->windows.any, memory_order_relaxed))
		return;
	lz_wipe_remove(core, start, end);
	lz_ledger_remove(&core->windows.where, start, end);
	if (!atomic_load_explicit(&core->windows.unused, memory_order_relaxed) &&
		lz_ledger_find(&core->windows.where, 0) == NULL && lz_window_size(core) != 0)
		lz_window_unused(core);
}

bool lz_window_find(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_window_part *part)
{
	struct lz_range *range = lz_ledger_find(&core->windows.where, start);
	struct pieces pieces;

	if (start >= end || range == NULL || range->start >= end)
		return false;
	pieces = pieces_of(core, range->traits.tag);
	part->start = lz_max_u64(start, range->start);
	part->end = part->piece_end = lz_min_u64(end, range->end);
	part->of_file = (range->traits.tag & lz_window_of_file(core)) != 0;
	if (pieces.bytes != 0)
		part->piece_end = lz_min_u64(
			part->end, part->start + pieces.bytes - (part->start - pieces.anchor) % pieces.bytes);
	return true;
}

uint64_t lz_window_mappings(struct lz_core *core)
{
	uint64_t count = 0;

	for (struct lz_range *range = lz_ledger_find(&core->windows.where, 0); range != NULL;
		range = lz_ledger_next(range)) {
		struct pieces pieces = pieces_of(core, range->traits.tag);

		count += pieces.bytes == 0 ? 1
					   : (range->end - 1 - pieces.anchor) / pieces.bytes -
						     (range->start - pieces.anchor) / pieces.bytes + 1;
	}
	return count;
}

bool lz_window_is_named(const struct lz_mapping *mapping)
{
	return !mapping->shared && strncmp(mapping->path, LZ_WINDOW_PATH, strlen(LZ_WINDOW_PATH)) == 0;
}

bool lz_window_is_piece(const struct lz_core *core, const struct lz_mapping *mapping)
{
	if (!lz_window_is_named(mapping))
		return false;
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		const struct lz_window *window = &core->windows.window[i];

		if (window->bytes != 0 && mapping->start >= window->keeper &&
			mapping->start < window->keeper + 2 * window->bytes)
			return false;
	}
	return true;
}

void lz_windows_abandon(struct lz_windows *windows)
{
	lz_ledger_abandon(&windows->where);
}
