/* The cost of a request in page tables; see cost.h. */
#include "accounting/cost.h"

#include "base/checked.h"

/*
 * Returns the cost of the PTE table that the rest of a huge page needs if a window ends inside that huge
 * page.
 */
static uint64_t edge_cost(const struct lz_geometry *geometry, uint64_t edge, unsigned page_shift)
{
	return edge % (UINT64_C(1) << page_shift) == 0 ? 0 : lz_table_bytes(geometry, 0);
}

static uint64_t minimum_cost(const struct lz_geometry *geometry, uint64_t bytes, unsigned page_shift)
{
	struct lz_tables tables = lz_tables_minimum(geometry, bytes, page_shift);

	return lz_tables_vmpte_bytes(geometry, &tables) + edge_cost(geometry, bytes, page_shift);
}

uint64_t lz_cost_of(struct lz_books *books, const struct lz_table_demand *demand)
{
	const struct lz_geometry *geometry = books->geometry;
	struct lz_tables tables;

	/* The table that the first page touched needs. */
	if (lz_page_shift_is_uncommitted(demand->page_shift))
		return lz_table_bytes(geometry, 0);
	if (demand->start != demand->end) {
		tables = lz_ledger_additional_tables(
			&books->ledger, demand->start, demand->end, demand->page_shift, demand->replaces);
		return lz_tables_vmpte_bytes(geometry, &tables) +
		       edge_cost(geometry, demand->start, demand->page_shift) +
		       edge_cost(geometry, demand->end, demand->page_shift);
	}
	if (demand->old_bytes == 0)
		return minimum_cost(geometry, demand->bytes, demand->page_shift);
	return lz_sub_clamped(minimum_cost(geometry, demand->bytes, demand->page_shift),
		minimum_cost(geometry, demand->old_bytes, demand->page_shift));
}
