/* Prints the details of a process; see details.h. */
#include "cli/process/details.h"

#include <inttypes.h>

static void print_size_row(FILE *out, const char *name, uint64_t value, enum lz_units units, const char *more)
{
	fprintf(out, "  %-12s %s%s\n", name,
		value != LZ_UNKNOWN ? lz_size_text_in(value, units).text : "unknown", more);
}

static void print_library(FILE *out, const struct lz_wire *wire, enum lz_units units)
{
	char more[sizeof(struct lz_display) + 32];

	fprintf(out, "\nLibrary in %" PRIu64 " (%s):\n", wire->pid, lz_printable(wire->executable).text);
	snprintf(more, sizeof more, "%s%.56s%s", *wire->budget_source != '\0' ? " (" : "",
		lz_printable(wire->budget_source).text, *wire->budget_source != '\0' ? ")" : "");
	print_size_row(out, "budget", wire->budget, units, more);
	snprintf(more, sizeof more, ", %s at the peak", lz_size_text_in(wire->committed_peak, units).text);
	print_size_row(out, "committed", wire->committed, units, more);
	snprintf(more, sizeof more, ", %s at the peak", lz_size_text_in(wire->actual_peak, units).text);
	print_size_row(out, "actual", wire->actual, units, wire->actual != LZ_UNKNOWN ? more : "");
	fprintf(out, "  %-12s %" PRIu64 ", %s; since the start %" PRIu64 ", %s\n", "regions", wire->regions,
		lz_size_text_in(wire->region_bytes, units).text, wire->regions_total,
		lz_size_text_in(wire->region_bytes_total, units).text);
	fprintf(out, "  %-12s %" PRIu64 " minor\n", "faults", wire->minor_faults);
	fprintf(out, "  %-12s %" PRIu64 " large, of the program itself, %s\n", "mappings",
		wire->mappings_total, lz_size_text_in(wire->mapping_bytes_total, units).text);
	fprintf(out, "  %-12s %" PRIu64 " served, %" PRIu64 " refused\n", "over budget", wire->over_budget,
		wire->refused);
	if (wire->window_regions_total > 0)
		fprintf(out,
			"  %-12s %" PRIu64 " regions, %s; since the start %" PRIu64
			", %s; the window uses %s\n",
			"zero window", wire->window_regions,
			lz_size_text_in(wire->window_region_bytes, units).text, wire->window_regions_total,
			lz_size_text_in(wire->window_bytes_total, units).text,
			lz_size_text_in(wire->window_size, units).text);
	if (wire->recycled > 0)
		fprintf(out, "  %-12s %" PRIu64 " regions, %s; %s kept now\n", "recycled", wire->recycled,
			lz_size_text_in(wire->recycled_bytes, units).text,
			lz_size_text_in(wire->cache_bytes, units).text);
	if (wire->memset_bytes > 0)
		fprintf(out, "  %-12s %s of zeros, of which %s had to be written\n", "memset",
			lz_size_text_in(wire->memset_bytes, units).text,
			lz_size_text_in(wire->memset_written_bytes, units).text);
	if (wire->untracked > 0)
		fprintf(out, "  %-12s %" PRIu64 " calls bypassed the library\n", "untracked",
			wire->untracked);
}

/* The rest of a line of 80 columns. */
#define PATH_WIDTH 33u

static const char *mapping_name(const struct lz_large_mapping *large)
{
	return *large->path != '\0' ? large->path : "anonymous memory";
}

void lz_process_print_details(FILE *out, const struct lz_process *process, enum lz_units units)
{
	if (process->mappings.largest_count > 0)
		fprintf(out, "\nPage tables of %" PRIu64 " (%s) if all were touched, by mapping:\n",
			process->pid, lz_printable(process->name).text);
	for (unsigned i = 0; i < process->mappings.largest_count; i++) {
		const struct lz_large_mapping *large = &process->mappings.largest[i];

		fprintf(out, "  %7s for %7s %s at 0x%-12" PRIx64 " %s\n",
			lz_size_text_in(large->tables_if_touched, units).text,
			lz_size_text_in(large->size, units).text, large->rights, large->start,
			lz_printable_tail(mapping_name(large), PATH_WIDTH).text);
	}
	if (process->mappings.preloaded && process->mappings.wire_error == 0)
		print_library(out, &process->mappings.wire, units);
}
