/*
 * The zero-page backing: private anonymous memory. The kernel maps its one zero page there until a page is
 * written. The library chooses the address, so that few page tables are needed, and whether transparent huge
 * pages are allowed.
 *
 * A region and its header are one mapping, so the kernel moves them together; the program can split that
 * mapping.
 */
#include <errno.h>

#include "backing/placement.h"
#include "backing/strategies.h"
#include "base/checked.h"
#include "os/via_next.h"
#include "os/mman.h"
#include "os/vma.h"

/*
 * Applies LAZYZERO_THP. Returns true if the program's own MADV_HUGEPAGE is to be ignored. Kernels without THP
 * answer EINVAL.
 */
static bool advise_huge_pages(struct lz_backings *backings, uintptr_t base, size_t length)
{
	enum lz_thp thp = (enum lz_thp)backings->options->thp;

	if (thp == LZ_THP_AUTO)
		thp = length > backings->books->budget.memory / 2 ? LZ_THP_NEVER : LZ_THP_INHERIT;
	if (thp == LZ_THP_NEVER)
		backings->os->madvise((void *)base, length, MADV_NOHUGEPAGE);
	else if (thp == LZ_THP_ALWAYS)
		backings->os->madvise((void *)base, length, MADV_HUGEPAGE);
	return thp == LZ_THP_NEVER;
}

static int map(struct lz_backings *backings, const struct lz_lease *lease,
	const struct lz_placement *placement, struct lz_region_entry *entry)
{
	size_t lead = backings->header.bytes;
	intptr_t at = placement->alignment > backings->books->page
			      ? lz_placement_map(backings, placement)
			      : lz_placement_map_cheapest(backings, placement);

	(void)lease;
	if (lz_os_failed(at))
		return (int)at;
	*entry = (struct lz_region_entry){
		.base = (uintptr_t)at, .length = placement->length, .header_bytes = lead};
	entry->attributes.backing = &lz_zero_page_backing;
	entry->attributes.accounted = placement->accounted;
	/* The header gets the same advice, so that both stay one mapping. */
	entry->attributes.huge_pages_refused =
		advise_huge_pages(backings, entry->base - lead, placement->length + lead);
	return 0;
}

static int grow(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
	size_t new_length, bool *joined)
{
	size_t lead = backings->header.bytes;
	intptr_t at =
		backings->next->mremap((void *)(base - lead), length + lead, new_length + lead, 0, NULL);

	(void)lease;
	*joined = at != -EFAULT;
	if (!*joined)
		at = backings->next->mremap((void *)base, length, new_length, 0, NULL);
	return lz_os_failed(at) ? (int)at : 0;
}

static int move(struct lz_backings *backings, const struct lz_lease *lease, uintptr_t base, size_t length,
	const struct lz_region_entry *to, bool joined)
{
	size_t lead = joined ? to->header_bytes : 0;
	int error = joined ? 0 : lz_placement_make_header(backings, to);
	intptr_t at;

	(void)lease;
	if (error)
		return error;
	at = backings->next->mremap((void *)(base - lead), length + lead, to->length + lead,
		MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(to->base - lead));
	if (lz_os_failed(at))
		return (int)at;
	if (joined)
		lz_header_write(&backings->header, to->base, to->length);
	else
		backings->os->munmap((void *)(base - to->header_bytes), to->header_bytes);
	return 0;
}

static bool may_cache(struct lz_backings *backings, size_t length, uint64_t allowance)
{
	(void)backings;
	(void)length;
	(void)allowance;
	return true;
}

/*
 * Starts at the header: a mapping made exactly over the region or over its first page then does not start or
 * end at a bound of the MADV_DONTFORK mapping.
 */
static uintptr_t dontfork_start(struct lz_backings *backings, uintptr_t base)
{
	return base - backings->header.bytes;
}

/*
 * A cached region and its header lie within one mapping, possibly with other cached regions: memory without
 * MADV_DONTFORK is never merged with it.
 */
static int is_intact(struct lz_backings *backings, uintptr_t base, size_t length, bool thorough, bool *intact)
{
	struct lz_vma vma;
	int error = lz_vma_query(backings->os, base, &vma);

	(void)thorough;
	*intact = error == 0 && vma.start <= base - backings->header.bytes && vma.end >= base + length &&
		  vma.readable && vma.writable && !vma.executable && !vma.shared && vma.inode == 0;
	return error == -ENOENT ? 0 : error;
}

static bool is_intact_mapping(
	struct lz_backings *backings, const struct lz_mapping *mapping, uintptr_t *at, uintptr_t end)
{
	bool intact = mapping->start <= *at && mapping->end >= end && mapping->inode == 0;

	(void)backings;
	if (intact)
		*at = mapping->end;
	return intact;
}

static int make_reclaimable(struct lz_backings *backings, uintptr_t start, size_t length, bool *dropped)
{
	*dropped = false;
	return lz_madvise_via_next(backings->os, backings->next, start, length, MADV_FREE);
}

const struct lz_backing lz_zero_page_backing = {
	.name = "zeropage",
	.map = map,
	.grow = grow,
	.move = move,
	.may_cache = may_cache,
	.dontfork_start = dontfork_start,
	.is_intact = is_intact,
	.is_intact_mapping = is_intact_mapping,
	.make_reclaimable = make_reclaimable,
	.can_resize_cached = true,
	.residency_is_visible = true,
};
