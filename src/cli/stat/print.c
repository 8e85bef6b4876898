/* Prints the processes; see print.h. */
#include "cli/stat/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/json.h"
#include "cli/process/details.h"

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
		lz_process_print_details(stdout, &stat->processes[i], stat->units);
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
