/* Counts page tables; see table_counter.h. */
#include "cli/process/table_counter.h"

#include "base/checked.h"

struct lz_table_counter lz_table_counter_init(const struct lz_geometry *geometry)
{
	return (struct lz_table_counter){.geometry = geometry};
}

uint64_t lz_table_counter_add(
	struct lz_table_counter *counter, uint64_t start, uint64_t end, unsigned page_shift)
{
	const struct lz_geometry *geometry = counter->geometry;
	struct lz_tables added = {{0}};
	uint64_t bytes;

	if (end <= start || end > UINT64_C(1) << geometry->user_bits)
		return 0;
	for (unsigned level = 0; level < geometry->levels; level++) {
		unsigned shift = lz_table_span_shift(geometry, level);
		uint64_t first_table = shift < 64 ? start >> shift : 0;
		uint64_t end_table = shift < 64 ? ((end - 1) >> shift) + 1 : 1;

		if (!lz_level_needed(geometry, level, page_shift))
			continue;
		added.count[level] = lz_sub_clamped(end_table, lz_max_u64(first_table, counter->next[level]));
		counter->next[level] = lz_max_u64(end_table, counter->next[level]);
	}
	bytes = lz_tables_vmpte_bytes(geometry, &added);
	counter->bytes += bytes;
	return bytes;
}
