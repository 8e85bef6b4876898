/* Sums up page tables; see totals.h. */
#include "cli/process/totals.h"

#include "base/checked.h"
#include "base/text.h"

void lz_table_totals_add(struct lz_table_totals *totals, const struct lz_process *process)
{
	uint64_t tables = process->tables != LZ_UNKNOWN ? process->tables : 0;

	totals->processes++;
	totals->measured += process->tables != LZ_UNKNOWN;
	totals->tables += tables;
	totals->largest = lz_max_u64(totals->largest, tables);
	if (!process->mappings.preloaded)
		return;
	totals->preloaded++;
	/* The library reads VmPTE rarely, so the value of now may be higher. */
	if (process->mappings.wire.actual_peak != LZ_UNKNOWN)
		tables = lz_max_u64(tables, process->mappings.wire.actual_peak);
	totals->peaks += tables;
}

struct lz_display lz_table_totals_line(const struct lz_table_totals *totals)
{
	struct lz_display display;
	struct lz_text text = lz_text_init(display.text, sizeof display.text);

	lz_text_u64(&text, totals->processes);
	lz_text_string(&text, totals->processes == 1 ? " process" : " processes");
	if (totals->measured > 0) {
		lz_text_string(&text, ": tables ");
		lz_text_string(&text, lz_size_text_in(totals->tables, LZ_UNITS_AUTO).text);
		lz_text_string(&text, ", largest ");
		lz_text_string(&text, lz_size_text_in(totals->largest, LZ_UNITS_AUTO).text);
	}
	if (totals->preloaded > 0) {
		lz_text_string(&text, "; ");
		lz_text_u64(&text, totals->preloaded);
		lz_text_string(&text, " preloaded: sum of peaks ");
		lz_text_string(&text, lz_size_text_in(totals->peaks, LZ_UNITS_AUTO).text);
	}
	/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
	return display;
}
