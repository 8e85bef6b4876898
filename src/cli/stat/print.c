/* Prints the processes; see print.h. */
#include "cli/stat/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/json.h"

/*
 * The width for printf of a cell; negative: aligned to the left. The last column is not padded on the right.
 */
static int cell_width(const struct lz_column *column, bool last)
{
	if (!lz_column_is_text(column))
		return column->width;
	return last ? 0 : -column->width;
}

static void print_headers(const struct lz_stat_output *stat)
{
	for (size_t i = 0; i < stat->columns.count; i++) {
		const struct lz_column *column = stat->columns.column[i];

		printf("%s%*s", i == 0 ? "" : " ", cell_width(column, i + 1 == stat->columns.count),
			lz_column_header(column).text);
	}
	putchar('\n');
}

static void print_row(const struct lz_stat_output *stat, const struct lz_process *process)
{
	for (size_t i = 0; i < stat->columns.count; i++) {
		const struct lz_column *column = stat->columns.column[i];
		struct lz_display display = lz_column_text(column, process, stat->units);

		/* Long user names are cut, so that the columns after them stay aligned. */
		if (column->kind == LZ_COLUMN_USER && strlen(display.text) > (size_t)column->width) {
			display.text[column->width - 1] = '+';
			display.text[column->width] = '\0';
		}
		printf("%s%*s", i == 0 ? "" : " ", cell_width(column, i + 1 == stat->columns.count),
			display.text);
	}
	putchar('\n');
}

static void print_size_row(const char *name, uint64_t value, enum lz_units units, const char *more)
{
	printf("  %-12s %s%s\n", name, value != LZ_UNKNOWN ? lz_size_text_in(value, units).text : "unknown",
		more);
}

static void print_library(const struct lz_wire *wire, enum lz_units units)
{
	char more[sizeof(struct lz_display) + 32];

	printf("\nLibrary in %" PRIu64 " (%s):\n", wire->pid, lz_printable(wire->executable).text);
	snprintf(more, sizeof more, "%s%.56s%s", *wire->budget_source != '\0' ? " (" : "",
		lz_printable(wire->budget_source).text, *wire->budget_source != '\0' ? ")" : "");
	print_size_row("budget", wire->budget, units, more);
	snprintf(more, sizeof more, ", %s at the peak", lz_size_text_in(wire->committed_peak, units).text);
	print_size_row("committed", wire->committed, units, more);
	snprintf(more, sizeof more, ", %s at the peak", lz_size_text_in(wire->actual_peak, units).text);
	print_size_row("actual", wire->actual, units, wire->actual != LZ_UNKNOWN ? more : "");
	printf("  %-12s %" PRIu64 ", %s; since the start %" PRIu64 ", %s\n", "regions", wire->regions,
		lz_size_text_in(wire->region_bytes, units).text, wire->regions_total,
		lz_size_text_in(wire->region_bytes_total, units).text);
	printf("  %-12s %" PRIu64 " minor\n", "faults", wire->minor_faults);
	printf("  %-12s %" PRIu64 " large, of the program itself, %s\n", "mappings", wire->mappings_total,
		lz_size_text_in(wire->mapping_bytes_total, units).text);
	printf("  %-12s %" PRIu64 " served, %" PRIu64 " refused\n", "over budget", wire->over_budget,
		wire->refused);
	if (wire->window_regions_total > 0)
		printf("  %-12s %" PRIu64 " regions, %s; since the start %" PRIu64
		       ", %s; the window uses %s\n",
			"zero window", wire->window_regions,
			lz_size_text_in(wire->window_region_bytes, units).text, wire->window_regions_total,
			lz_size_text_in(wire->window_bytes_total, units).text,
			lz_size_text_in(wire->window_size, units).text);
	if (wire->recycled > 0)
		printf("  %-12s %" PRIu64 " regions, %s; %s kept now\n", "recycled", wire->recycled,
			lz_size_text_in(wire->recycled_bytes, units).text,
			lz_size_text_in(wire->cache_bytes, units).text);
	if (wire->memset_bytes > 0)
		printf("  %-12s %s of zeros, of which %s had to be written\n", "memset",
			lz_size_text_in(wire->memset_bytes, units).text,
			lz_size_text_in(wire->memset_written_bytes, units).text);
	if (wire->untracked > 0)
		printf("  %-12s %" PRIu64 " calls bypassed the library\n", "untracked", wire->untracked);
}

/* The rest of a line of 80 columns. */
#define PATH_WIDTH 33u

static const char *mapping_name(const struct lz_large_mapping *large)
{
	return *large->path != '\0' ? large->path : "anonymous memory";
}

static void print_details(const struct lz_stat_output *stat, const struct lz_process *process)
{
	if (process->mappings.largest_count > 0)
		printf("\nPage tables of %" PRIu64 " (%s) if all were touched, by mapping:\n", process->pid,
			lz_printable(process->name).text);
	for (unsigned i = 0; i < process->mappings.largest_count; i++) {
		const struct lz_large_mapping *large = &process->mappings.largest[i];

		printf("  %7s for %7s %s at 0x%-12" PRIx64 " %s\n",
			lz_size_text_in(large->tables_if_touched, stat->units).text,
			lz_size_text_in(large->size, stat->units).text, large->rights, large->start,
			lz_printable_tail(mapping_name(large), PATH_WIDTH).text);
	}
	if (process->mappings.preloaded && process->mappings.wire_error == 0)
		print_library(&process->mappings.wire, stat->units);
}

void lz_stat_print(const struct lz_stat_output *stat)
{
	if (stat->headers) {
		printf("%s\n", lz_machine_line(&stat->machine).text);
		if (stat->count > 1)
			printf("%s\n", lz_table_totals_line(&stat->totals).text);
		print_headers(stat);
	}
	for (size_t i = 0; i < stat->count; i++)
		print_row(stat, &stat->processes[i]);
	for (size_t i = 0; i < stat->count && stat->details; i++)
		print_details(stat, &stat->processes[i]);
}

json_t *lz_stat_machine_json(const struct lz_machine *machine)
{
	json_t *object = json_object();

	json_object_set_new(object, "memory_bytes", lz_json_number(machine->memory));
	json_object_set_new(object, "available_bytes", lz_json_number(machine->available));
	json_object_set_new(object, "page_tables_bytes", lz_json_number(machine->tables));
	json_object_set_new(object, "second_page_tables_bytes", lz_json_number(machine->secondary_tables));
	json_object_set_new(object, "cgroup_page_tables_bytes", lz_json_number(machine->cgroup_tables));
	return object;
}

static json_t *totals_json(const struct lz_table_totals *totals)
{
	json_t *object = json_object();

	json_object_set_new(object, "processes", lz_json_number(totals->processes));
	json_object_set_new(object, "page_tables_bytes",
		totals->measured > 0 ? lz_json_number(totals->tables) : json_null());
	json_object_set_new(object, "page_tables_largest_bytes",
		totals->measured > 0 ? lz_json_number(totals->largest) : json_null());
	json_object_set_new(object, "preloaded", lz_json_number(totals->preloaded));
	json_object_set_new(object, "preloaded_peaks_sum_bytes", lz_json_number(totals->peaks));
	return object;
}

static json_t *library_json(const struct lz_wire *wire)
{
	json_t *object = json_object();

	json_object_set_new(object, "executable", lz_json_string(wire->executable));
	json_object_set_new(object, "budget_bytes", lz_json_number(wire->budget));
	json_object_set_new(object, "budget_source", lz_json_string(wire->budget_source));
	json_object_set_new(object, "committed_bytes", lz_json_number(wire->committed));
	json_object_set_new(object, "committed_peak_bytes", lz_json_number(wire->committed_peak));
	json_object_set_new(object, "actual_bytes", lz_json_number(wire->actual));
	json_object_set_new(object, "actual_peak_bytes", lz_json_number(wire->actual_peak));
	json_object_set_new(object, "regions", lz_json_number(wire->regions));
	json_object_set_new(object, "region_bytes", lz_json_number(wire->region_bytes));
	json_object_set_new(object, "regions_total", lz_json_number(wire->regions_total));
	json_object_set_new(object, "region_bytes_total", lz_json_number(wire->region_bytes_total));
	json_object_set_new(object, "mappings_total", lz_json_number(wire->mappings_total));
	json_object_set_new(object, "mapping_bytes_total", lz_json_number(wire->mapping_bytes_total));
	json_object_set_new(object, "over_budget", lz_json_number(wire->over_budget));
	json_object_set_new(object, "refused", lz_json_number(wire->refused));
	json_object_set_new(object, "untracked", lz_json_number(wire->untracked));
	json_object_set_new(object, "windowed", lz_json_number(wire->windowed));
	json_object_set_new(object, "minor_faults", lz_json_number(wire->minor_faults));
	json_object_set_new(object, "window_regions", lz_json_number(wire->window_regions));
	json_object_set_new(object, "window_region_bytes", lz_json_number(wire->window_region_bytes));
	json_object_set_new(object, "window_regions_total", lz_json_number(wire->window_regions_total));
	json_object_set_new(object, "window_region_bytes_total", lz_json_number(wire->window_bytes_total));
	json_object_set_new(object, "window_bytes", lz_json_number(wire->window_size));
	json_object_set_new(object, "window_mappings", lz_json_number(wire->window_mappings));
	json_object_set_new(object, "recycled", lz_json_number(wire->recycled));
	json_object_set_new(object, "recycled_bytes", lz_json_number(wire->recycled_bytes));
	json_object_set_new(object, "memset_bytes", lz_json_number(wire->memset_bytes));
	json_object_set_new(object, "memset_written_bytes", lz_json_number(wire->memset_written_bytes));
	json_object_set_new(object, "kept_bytes", lz_json_number(wire->cache_bytes));
	return object;
}

static json_t *value_json(const struct lz_column *column, const struct lz_process *process)
{
	uint64_t value;

	if (column->kind == LZ_COLUMN_NAME)
		return lz_json_string(process->name);
	value = lz_column_number(column, process);
	if (value != LZ_UNKNOWN && column->kind == LZ_COLUMN_USER)
		return lz_json_string(lz_column_user(value).text);
	if (value != LZ_UNKNOWN && column->kind == LZ_COLUMN_RATIO)
		return json_real((double)value / 1000);
	return lz_json_number(value);
}

static json_t *process_json(const struct lz_stat_output *stat, const struct lz_process *process)
{
	json_t *object = json_object();
	json_t *largest = json_array();

	for (size_t i = 0; i < stat->columns.count; i++)
		/* Counters of the library are in the object "library". */
		if (!stat->columns.column[i]->from_library)
			json_object_set_new(object, stat->columns.column[i]->json_key,
				value_json(stat->columns.column[i], process));
	for (unsigned i = 0; i < process->mappings.largest_count; i++) {
		const struct lz_large_mapping *large = &process->mappings.largest[i];
		json_t *item = json_object();

		json_object_set_new(item, "address", lz_json_number(large->start));
		json_object_set_new(item, "bytes", lz_json_number(large->size));
		json_object_set_new(item, "rights", lz_json_string(large->rights));
		json_object_set_new(
			item, "path", *large->path != '\0' ? lz_json_string(large->path) : json_null());
		json_object_set_new(
			item, "page_tables_if_touched_bytes", lz_json_number(large->tables_if_touched));
		json_array_append_new(largest, item);
	}
	json_object_set_new(object, "largest_mappings", largest);
	json_object_set_new(object, "library",
		process->mappings.preloaded ? library_json(&process->mappings.wire) : json_null());
	return object;
}

int lz_stat_print_json(const struct lz_stat_output *stat)
{
	json_t *object = json_object();
	json_t *processes = json_array();

	json_object_set_new(object, "machine", lz_stat_machine_json(&stat->machine));
	json_object_set_new(object, "totals", totals_json(&stat->totals));
	json_object_set_new(object, "processes", processes);
	for (size_t i = 0; i < stat->count; i++)
		json_array_append_new(processes, process_json(stat, &stat->processes[i]));
	return lz_json_print(object);
}
