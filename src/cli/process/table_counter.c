/* Page tables of mappings that are all touched; see touched.h. */
#include "cli/process/table_counter.h"

#include "base/checked.h"

struct lz_touched lz_touched_start(const struct lz_geometry *geometry)
{
	return (struct lz_touched){.geometry = geometry};
}

uint64_t lz_touched_add(struct lz_touched *touched, uint64_t start, uint64_t end, unsigned page_shift)
{
	const struct lz_geometry *geometry = touched->geometry;
	struct lz_tables added = {{0}};
	uint64_t bytes;

	if (end <= start || end > UINT64_C(1) << geometry->user_bits)
		return 0;
	for (unsigned level = 0; level < geometry->levels; level++) {
		unsigned shift = lz_table_span_shift(geometry, level);
		uint64_t first = shift < 64 ? start >> shift : 0;
		uint64_t behind = shift < 64 ? ((end - 1) >> shift) + 1 : 1;

		if (!lz_level_needed(geometry, level, page_shift))
			continue;
		added.count[level] = lz_sub_clamped(behind, lz_max_u64(first, touched->next[level]));
		touched->next[level] = lz_max_u64(behind, touched->next[level]);
	}
	bytes = lz_tables_counted_bytes(geometry, &added);
	touched->bytes += bytes;
	return bytes;
}
