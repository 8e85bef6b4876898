/*
 * The zero-page backing: private anonymous memory, which the kernel answers with its one zero page until it
 * is written. What is ours to choose is where it lies, so that it needs the fewest page tables, and whether
 * huge pages may stand in it.
 */
#include "core/inside.h"

#include <errno.h>

#include "base/checked.h"
#include "backing/region_header.h"
#include "os/mman.h"

#define PLAIN (MAP_PRIVATE | MAP_ANONYMOUS)

/* Maps more than is needed and unmaps what lies before `lead` bytes and behind the aligned part. */
static intptr_t map_aligned(
	struct lz_core *core, size_t lead, size_t length, size_t alignment, int protection, int flags)
{
	size_t whole;
	uintptr_t base, start, end;
	intptr_t at;

	if (__builtin_add_overflow(length, alignment - core->page + lead, &whole))
		return -ENOMEM;
	at = core->os->mmap(NULL, whole, protection, flags, -1, 0);
	if (lz_os_failed(at))
		return at;
	base = lz_round_down((uintptr_t)at + lead + alignment - 1, alignment);
	start = base - lead;
	end = (uintptr_t)at + whole;
	if (start > (uintptr_t)at)
		core->os->munmap((void *)at, start - (uintptr_t)at);
	if (base + length < end)
		core->os->munmap((void *)(base + length), end - base - length);
	return (intptr_t)base;
}

intptr_t lz_zeropage_map_aligned(
	struct lz_core *core, size_t length, size_t alignment, int protection, int flags)
{
	return map_aligned(core, 0, length, alignment, protection, flags);
}

int lz_zeropage_flags(bool accounted)
{
	return PLAIN | (accounted ? 0 : MAP_NORESERVE);
}

intptr_t lz_zeropage_map_region(struct lz_core *core, size_t length, size_t alignment, bool accounted)
{
	return map_aligned(core, lz_header_bytes(core), length, lz_max_u64(alignment, core->page),
		PROT_READ | PROT_WRITE, lz_zeropage_flags(accounted));
}

/*
 * Of the address the kernel chose and the lower ones that begin or end where a table begins, the one that
 * needs the fewest new tables. The kernel packs mappings from the top down, so its own choice is often as
 * good; lower ones are mostly free.
 */
static uintptr_t best_address(struct lz_core *core, uintptr_t chosen, size_t length)
{
	const struct lz_geometry *geometry = core->geometry;
	uintptr_t best = chosen;
	struct lz_tables tables;
	uint64_t fewest;

	if (!lz_core_enter(core))
		return chosen;
	tables = lz_ledger_marginal(&core->ledger, chosen, chosen + length, core->page_shift);
	fewest = lz_tables_counted_bytes(geometry, &tables);
	for (unsigned level = 0; level + 1 < geometry->levels; level++) {
		uint64_t span = UINT64_C(1) << lz_table_span_shift(geometry, level);
		uintptr_t begin = length >= span ? lz_round_down(chosen, span)
						 : lz_round_down(chosen + length, span) - length;
		uint64_t cost;

		/* Below the chosen address, but not among the lowest ones, where mmap_min_addr holds. */
		if (begin >= chosen || begin < span)
			continue;
		tables = lz_ledger_marginal(&core->ledger, begin, begin + length, core->page_shift);
		cost = lz_tables_counted_bytes(geometry, &tables);
		if (cost < fewest) {
			fewest = cost;
			best = begin;
		}
	}
	lz_core_leave(core);
	return best;
}

static intptr_t map_at(struct lz_core *core, uintptr_t address, size_t length, int flags)
{
	return core->os->mmap((void *)address, length, PROT_READ | PROT_WRITE, flags, -1, 0);
}

static intptr_t map_cheapest(struct lz_core *core, size_t length, int flags)
{
	intptr_t at = map_at(core, 0, length, flags);
	uintptr_t best;
	intptr_t moved;

	if (lz_os_failed(at))
		return at;
	best = best_address(core, (uintptr_t)at, length);
	if (best == (uintptr_t)at)
		return at;
	/* The two may overlap: give the first one back, and take what comes if somebody is quicker. */
	core->os->munmap((void *)at, length);
	moved = map_at(core, best, length, flags | MAP_FIXED_NOREPLACE);
	/* Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint, and may answer with another address. */
	return lz_os_failed(moved) ? map_at(core, 0, length, flags) : moved;
}

/* Applies LAZYZERO_THP; true when the program's own MADV_HUGEPAGE is to be ignored. Kernels without it:
 * EINVAL. */
static bool advise_huge_pages(struct lz_core *core, uintptr_t base, size_t length)
{
	enum lz_thp thp = (enum lz_thp)core->options.thp;

	if (thp == LZ_THP_AUTO)
		thp = length > core->budget.memory / 2 ? LZ_THP_NEVER : LZ_THP_INHERIT;
	if (thp == LZ_THP_NEVER)
		core->os->madvise((void *)base, length, MADV_NOHUGEPAGE);
	else if (thp == LZ_THP_ALWAYS)
		core->os->madvise((void *)base, length, MADV_HUGEPAGE);
	return thp == LZ_THP_NEVER;
}

int lz_zeropage_map(
	struct lz_core *core, size_t length, size_t alignment, bool accounted, struct lz_place *place)
{
	size_t lead = lz_header_bytes(core);
	intptr_t at;

	if (alignment > core->page) {
		at = lz_zeropage_map_region(core, length, alignment, accounted);
	} else {
		at = map_cheapest(core, length + lead, lz_zeropage_flags(accounted));
		at = lz_os_failed(at) ? at : at + (intptr_t)lead;
	}
	if (lz_os_failed(at))
		return (int)at;
	*place = (struct lz_place){.base = (uintptr_t)at, .length = length, .accounted = accounted};
	/* With its header, that they stay one mapping. */
	place->huge_pages_refused = advise_huge_pages(core, place->base - lead, length + lead);
	return 0;
}

void lz_zeropage_populate(struct lz_core *core, uintptr_t base, size_t length)
{
	if (core->options.populate == LZ_POPULATE_READ)
		core->os->madvise((void *)base, length, MADV_POPULATE_READ);
}

intptr_t lz_zeropage_reserve_aligned(struct lz_core *core, size_t length, size_t alignment)
{
	return lz_zeropage_map_aligned(core, length, alignment, PROT_NONE, lz_zeropage_flags(false));
}

intptr_t lz_zeropage_reserve(struct lz_core *core, uintptr_t base, size_t length)
{
	/* The kernel moves whole page tables only between addresses that lie alike in a table's span, and
	 * else entry by entry (move_normal_pmd in mm/mremap.c). */
	size_t span = (size_t)1 << lz_table_span_shift(core->geometry, 0);
	size_t offset = base & (span - 1);
	intptr_t target = lz_zeropage_reserve_aligned(core, length + offset, span);

	if (lz_os_failed(target))
		return target;
	if (offset != 0)
		core->os->munmap((void *)target, offset);
	return target + (intptr_t)offset;
}
