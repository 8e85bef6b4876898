/* The ledger and the map of windows, brought in line with what the kernel says is mapped. */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "os/descriptors.h"
#include "os/procfs.h"
#include "os/vma.h"

/*
 * Of the calling thread: /proc/self is the first one, whose files are empty once it has called pthread_exit.
 */
#define SMAPS "/proc/thread-self/smaps"

void lz_core_cover(struct lz_core *core, uintptr_t start, uintptr_t end, struct lz_traits traits)
{
	struct lz_window_part part;

	while (atomic_load_explicit(&core->windows.any, memory_order_relaxed) && start < end &&
		lz_window_find(core, start, end, &part)) {
		struct lz_traits window = {.tag = traits.tag};

		lz_core_on_window(core, &window);
		lz_ledger_cover(&core->ledger, start, part.start, traits);
		lz_ledger_cover(&core->ledger, part.start, part.end, window);
		start = part.end;
	}
	lz_ledger_cover(&core->ledger, start, end, traits);
}

unsigned lz_core_mapped_page_shift(struct lz_core *core, uintptr_t address)
{
	struct lz_vma vma;
	uint64_t bytes;
	int error = lz_vma_query(core->os, address, &vma);

	if (error == 0)
		bytes = vma.page_size;
	else if (error != -ENOENT)
		error = lz_mapping_value(core->os, SMAPS, address, "KernelPageSize:", &bytes);
	if (error != 0 || !lz_is_power_of_two(bytes) || bytes < core->page)
		return core->page_shift;
	return (unsigned)__builtin_ctzl(bytes);
}

/* Not on a window. What was /dev/zero and left one stays a file in all that is told of it. */
static void follow_none(struct lz_core *core, const struct lz_mapping *mapping)
{
	bool anonymous = mapping->inode == 0 && !mapping->shared;
	uintptr_t start = mapping->start;
	struct lz_window_part part;

	for (; lz_window_find(core, start, mapping->end, &part); start = part.end)
		if (!part.of_file || !anonymous)
			lz_window_forget(core, part.start, part.end);
}

/* The map of windows follows /proc/self/maps. Where pieces begin is kept where it was known. */
static void follow_window(struct lz_core *core, const struct lz_mapping *mapping)
{
	size_t unit = lz_window_unit(core);
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift};

	if (!lz_window_is_piece(core, mapping)) {
		follow_none(core, mapping);
		return;
	}
	traits.tag = lz_window_tag(core, lz_round_down(mapping->start - mapping->offset, unit), 0);
	atomic_store_explicit(&core->windows.any, true, memory_order_relaxed);
	lz_ledger_cover(&core->windows.where, mapping->start, mapping->end, traits);
}

/* Of a mapping in /proc/self/maps, which tells huge pages only by the names of some. */
static struct lz_traits listed_traits(struct lz_core *core, const struct lz_mapping *mapping)
{
	unsigned page_shift = core->page_shift;

	if (strncmp(mapping->path, "/anon_hugepage", 14) == 0)
		page_shift = lz_core_mapped_page_shift(core, mapping->start);
	return (struct lz_traits){.page_shift = (uint8_t)page_shift};
}

int lz_core_reconcile(struct lz_core *core)
{
	const uintptr_t top = (uintptr_t)1 << core->geometry->user_bits;
	struct lz_ledger *ledger = &core->ledger;
	struct lz_lines lines;
	uintptr_t gap = 0; /* end of the mapping before */
	char *line;
	int error = lz_lines_open(&lines, core->os, LZ_MAPS);

	if (error)
		return error;
	while (error == 0 && (line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.start >= top)
			continue;
		if (mapping.start > gap) {
			error = lz_ledger_remove(ledger, gap, mapping.start);
			lz_window_forget(core, gap, mapping.start);
		}
		gap = mapping.end;
		if (error != 0)
			break;
		follow_window(core, &mapping);
		if (mapping.readable || mapping.writable || mapping.executable)
			lz_core_cover(core, mapping.start, mapping.end, listed_traits(core, &mapping));
		else
			error = lz_ledger_remove(ledger, mapping.start, mapping.end);
	}
	/* A file that broke off, or is empty, says nothing of what lies above. */
	if (error == 0)
		error = lines.error != 0 ? lines.error
			: gap == 0       ? -ENODATA
					 : lz_ledger_remove(ledger, gap, UINTPTR_MAX);
	if (error == 0)
		lz_window_forget(core, gap, UINTPTR_MAX);
	lz_lines_close(&lines);
	ledger->inexact = error != 0;
	core->reconciled_ms = lz_not_never(core->os->now_ms());
	lz_core_publish(core);
	return error;
}

void lz_core_look_again(struct lz_core *core)
{
	if (!lz_core_enter(core))
		return;
	lz_core_reconcile(core);
	lz_core_leave(core);
}
