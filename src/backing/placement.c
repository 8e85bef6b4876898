/* Address space for regions and windows; see placement.h. */
#include "backing/placement.h"

#include <errno.h>

#include "base/checked.h"
#include "os/facts.h"
#include "os/via_next.h"
#include "os/mman.h"

/* Maps more than is needed, then unmaps the excess before the `lead` bytes and after the aligned part. */
static intptr_t map_aligned(
	struct lz_backings *backings, size_t lead, size_t length, size_t alignment, int protection, int flags)
{
	size_t whole;
	uintptr_t base, start, end;
	intptr_t at;

	if (__builtin_add_overflow(length, alignment - backings->books->page + lead, &whole))
		return -ENOMEM;
	at = backings->os->mmap(NULL, whole, protection, flags, -1, 0);
	if (lz_os_failed(at))
		return at;
	base = lz_round_down((uintptr_t)at + lead + alignment - 1, alignment);
	start = base - lead;
	end = (uintptr_t)at + whole;
	if (start > (uintptr_t)at)
		backings->os->munmap((void *)at, start - (uintptr_t)at);
	if (base + length < end)
		backings->os->munmap((void *)(base + length), end - base - length);
	return (intptr_t)base;
}

int lz_placement_flags(bool accounted)
{
	return MAP_PRIVATE | MAP_ANONYMOUS | (accounted ? 0 : MAP_NORESERVE);
}

intptr_t lz_placement_map(struct lz_backings *backings, const struct lz_placement *placement)
{
	return map_aligned(backings, backings->header.bytes, placement->length,
		lz_max_u64(placement->alignment, backings->books->page), PROT_READ | PROT_WRITE,
		lz_placement_flags(placement->accounted));
}

/*
 * Compares the address the kernel chose with lower addresses at which a page table begins or ends, and
 * returns the one that needs the fewest new tables. The kernel packs mappings from the top down, so its own
 * choice is often as good; lower addresses are mostly free.
 */
static uintptr_t cheapest_address(struct lz_backings *backings, uintptr_t chosen, size_t length)
{
	const struct lz_geometry *geometry = backings->books->geometry;
	uintptr_t best = chosen;
	struct lz_tables tables;
	uint64_t fewest;

	if (!lz_books_lock(backings->books))
		return chosen;
	tables = lz_ledger_additional_tables(
		&backings->books->ledger, chosen, chosen + length, backings->books->page_shift, false);
	fewest = lz_tables_vmpte_bytes(geometry, &tables);
	for (unsigned level = 0; level + 1 < geometry->levels; level++) {
		uint64_t span = UINT64_C(1) << lz_table_span_shift(geometry, level);
		uintptr_t begin = length >= span ? lz_round_down(chosen, span)
						 : lz_round_down(chosen + length, span) - length;
		uint64_t cost;

		/* Below the chosen address, but not in the lowest span, because of vm.mmap_min_addr. */
		if (begin >= chosen || begin < span)
			continue;
		tables = lz_ledger_additional_tables(
			&backings->books->ledger, begin, begin + length, backings->books->page_shift, false);
		cost = lz_tables_vmpte_bytes(geometry, &tables);
		if (cost < fewest) {
			fewest = cost;
			best = begin;
		}
	}
	lz_books_unlock(backings->books);
	return best;
}

static intptr_t map_at(struct lz_backings *backings, uintptr_t address, size_t length, int flags)
{
	return backings->os->mmap((void *)address, length, PROT_READ | PROT_WRITE, flags, -1, 0);
}

static intptr_t map_cheapest(struct lz_backings *backings, size_t length, int flags)
{
	intptr_t at = map_at(backings, 0, length, flags);
	uintptr_t best;
	intptr_t moved;

	if (lz_os_failed(at))
		return at;
	best = cheapest_address(backings, (uintptr_t)at, length);
	if (best == (uintptr_t)at)
		return at;
	/*
	 * The two ranges may overlap, so unmap the first one. If another thread takes the address first,
	 * accept the kernel's choice.
	 */
	backings->os->munmap((void *)at, length);
	moved = map_at(backings, best, length, flags | MAP_FIXED_NOREPLACE);
	/* Kernels before 4.17 treat MAP_FIXED_NOREPLACE as a hint and may return another address. */
	return lz_os_failed(moved) ? map_at(backings, 0, length, flags) : moved;
}

intptr_t lz_placement_map_cheapest(struct lz_backings *backings, const struct lz_placement *placement)
{
	size_t lead = backings->header.bytes;
	intptr_t at =
		map_cheapest(backings, placement->length + lead, lz_placement_flags(placement->accounted));

	return lz_os_failed(at) ? at : at + (intptr_t)lead;
}

intptr_t lz_placement_reserve_aligned(struct lz_backings *backings, size_t length, size_t alignment)
{
	return map_aligned(backings, 0, length, alignment, PROT_NONE, lz_placement_flags(false));
}

intptr_t lz_placement_reserve_alike(struct lz_backings *backings, uintptr_t base, size_t length)
{
	/*
	 * The kernel moves whole page tables only between addresses at the same offset within a table's span,
	 * and otherwise entry by entry (move_normal_pmd in mm/mremap.c).
	 */
	size_t span = (size_t)1 << lz_table_span_shift(backings->books->geometry, 0);
	size_t offset = base & (span - 1);
	intptr_t target = lz_placement_reserve_aligned(backings, length + offset, span);

	if (lz_os_failed(target))
		return target;
	if (offset != 0)
		backings->os->munmap((void *)target, offset);
	return target + (intptr_t)offset;
}

int lz_placement_make_header(struct lz_backings *backings, const struct lz_region_entry *entry)
{
	size_t lead = backings->header.bytes;
	intptr_t at = backings->os->mmap((void *)(entry->base - lead), lead, PROT_READ | PROT_WRITE,
		lz_placement_flags(entry->attributes.accounted) | MAP_FIXED, -1, 0);

	if (lz_os_failed(at))
		return (int)at;
	lz_header_write(&backings->header, entry->base, entry->length);
	return 0;
}

void lz_placement_populate_if_configured(struct lz_backings *backings, uintptr_t base, size_t length)
{
	if (backings->options->populate == LZ_POPULATE_READ)
		lz_fact_madvise(backings->os, LZ_FACT_POPULATE, (void *)base, length, MADV_POPULATE_READ);
}

void lz_placement_unmap(struct lz_backings *backings, uintptr_t base, size_t length)
{
	uintptr_t start = base - backings->header.bytes;

	length += backings->header.bytes;
	if (lz_munmap_via_next(backings->os, backings->next, start, length) != 0)
		lz_madvise_via_next(backings->os, backings->next, start, length, MADV_DONTNEED);
}
