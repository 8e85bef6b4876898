/* Page sizes of a geometry; see range.h. */
#include "cli/cost/range.h"

#include "base/text.h"

unsigned lz_cost_page_shifts(const struct lz_geometry *geometry, unsigned shifts[LZ_PAGE_SIZES_MAX])
{
	unsigned count = 0;

	shifts[count++] = geometry->page_shift;
	for (unsigned level = 0; level < 2 && level + 1 < geometry->levels; level++)
		shifts[count++] = lz_table_span_shift(geometry, level);
	return count;
}

struct lz_display lz_cost_page_sizes_text(const struct lz_geometry *geometry)
{
	struct lz_display display;
	struct lz_text text = lz_text_init(display.text, sizeof display.text);
	unsigned shifts[LZ_PAGE_SIZES_MAX];
	unsigned count = lz_cost_page_shifts(geometry, shifts);

	for (unsigned i = 0; i < count; i++) {
		lz_text_string(&text, i == 0 ? "" : i + 1 < count ? ", " : " and ");
		lz_text_u64(&text, UINT64_C(1) << shifts[i] % 10);
		lz_text_char(&text, "BKMGTPE"[shifts[i] / 10]);
	}
	/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
	return display;
}
