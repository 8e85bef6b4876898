/* Prints the page tables of a range; see print.h. */
#include "cli/cost/print.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/common/display.h"
#include "cli/common/json.h"
#include "os/os.h"

/* The bytes that one table maps; UINT64_MAX if they do not fit in 64 bits. */
static uint64_t table_span(const struct lz_geometry *geometry, unsigned level)
{
	unsigned shift = lz_table_span_shift(geometry, level);

	return shift < 64 ? UINT64_C(1) << shift : UINT64_MAX;
}

static uint64_t count_tables(
	const struct lz_geometry *geometry, const struct lz_tables *tables, bool counted_only)
{
	uint64_t count = 0;

	for (unsigned level = 0; level < geometry->levels; level++)
		if (!counted_only || geometry->level[level].counted)
			count += tables->count[level];
	return count;
}

static void print_row(const char *name, const char *span, uint64_t count, uint64_t bytes, const char *counted)
{
	printf("%-12s %10s %12" PRIu64 " %16" PRIu64 " %10s%s\n", name, span, count, bytes,
		lz_size_text(bytes).text, counted);
}

/* The bytes in VmPTE of all processes, in base pages, or in pages of the second smallest size. */
static uint64_t bytes_of_all(const struct lz_cost_range *range, bool huge)
{
	const struct lz_geometry *geometry = range->geometry;
	struct lz_tables tables = lz_tables_of(geometry, range->start, range->end,
		huge ? lz_table_span_shift(geometry, 0) : geometry->page_shift);

	return lz_tables_vmpte_bytes(geometry, &tables) * range->processes;
}

static void print_processes(const struct lz_cost_range *range)
{
	printf("\nin VmPTE of %" PRIu64 " processes that map it: %s in pages of %s", range->processes,
		lz_size_text(bytes_of_all(range, false)).text,
		lz_size_text(UINT64_C(1) << range->geometry->page_shift).text);
	printf(", %s in pages of %s\n", lz_size_text(bytes_of_all(range, true)).text,
		lz_size_text(table_span(range->geometry, 0)).text);
}

static void print_text(const struct lz_cost_range *range, const struct lz_tables *tables)
{
	const struct lz_geometry *geometry = range->geometry;

	printf("%s in pages of %s", lz_size_text(range->end - range->start).text,
		lz_size_text(UINT64_C(1) << range->page_shift).text);
	if (range->is_placed)
		printf(" at 0x%" PRIx64, range->start);
	printf(", %s\n\n%-12s %10s %12s %16s %10s   in VmPTE\n", geometry->name, "level", "table maps",
		"tables", "bytes", "");
	for (unsigned level = 0; level < geometry->levels; level++)
		print_row(geometry->level[level].name, lz_size_text(table_span(geometry, level)).text,
			tables->count[level], tables->count[level] * lz_table_bytes(geometry, level),
			geometry->level[level].counted ? "   yes" : "   no");
	print_row("all", "", count_tables(geometry, tables, false), lz_tables_bytes(geometry, tables), "");
	print_row("in VmPTE", "", count_tables(geometry, tables, true),
		lz_tables_vmpte_bytes(geometry, tables), "");
	if (range->processes != 0)
		print_processes(range);
}

static json_t *level_json(const struct lz_geometry *geometry, unsigned level, uint64_t tables)
{
	json_t *object = json_object();

	json_object_set_new(object, "level", json_string(geometry->level[level].name));
	json_object_set_new(object, "table_maps_bytes", lz_json_number(table_span(geometry, level)));
	json_object_set_new(object, "table_bytes", lz_json_number(lz_table_bytes(geometry, level)));
	json_object_set_new(object, "tables", lz_json_number(tables));
	json_object_set_new(object, "bytes", lz_json_number(tables * lz_table_bytes(geometry, level)));
	json_object_set_new(object, "in_vmpte", json_boolean(geometry->level[level].counted));
	return object;
}

static json_t *range_json(const struct lz_cost_range *range, const struct lz_tables *tables)
{
	const struct lz_geometry *geometry = range->geometry;
	json_t *object = json_object();
	json_t *levels = json_array();

	json_object_set_new(object, "geometry", json_string(geometry->name));
	json_object_set_new(object, "page_bytes", lz_json_number(UINT64_C(1) << range->page_shift));
	json_object_set_new(object, "address", range->is_placed ? lz_json_number(range->start) : json_null());
	json_object_set_new(object, "bytes", lz_json_number(range->end - range->start));
	json_object_set_new(object, "levels", levels);
	for (unsigned level = 0; level < geometry->levels; level++)
		json_array_append_new(levels, level_json(geometry, level, tables->count[level]));
	json_object_set_new(object, "total_tables", lz_json_number(count_tables(geometry, tables, false)));
	json_object_set_new(object, "total_bytes", lz_json_number(lz_tables_bytes(geometry, tables)));
	json_object_set_new(object, "vmpte_bytes", lz_json_number(lz_tables_vmpte_bytes(geometry, tables)));
	if (range->processes == 0)
		return object;
	json_object_set_new(object, "processes", lz_json_number(range->processes));
	json_object_set_new(object, "vmpte_bytes_of_all", lz_json_number(bytes_of_all(range, false)));
	json_object_set_new(object, "vmpte_bytes_of_all_huge", lz_json_number(bytes_of_all(range, true)));
	return object;
}

static json_t *geometry_json(const struct lz_geometry *geometry, bool is_this_machine)
{
	unsigned shifts[LZ_PAGE_SIZES_MAX];
	unsigned count = lz_cost_page_shifts(geometry, shifts);
	json_t *object = json_object();
	json_t *pages = json_array();

	json_object_set_new(object, "name", json_string(geometry->name));
	json_object_set_new(object, "levels", json_integer(geometry->levels));
	json_object_set_new(object, "address_bits", json_integer(geometry->user_bits));
	json_object_set_new(object, "page_bytes", pages);
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(pages, lz_json_number(UINT64_C(1) << shifts[i]));
	json_object_set_new(object, "this_machine", json_boolean(is_this_machine));
	return object;
}

int lz_cost_print_geometries(bool as_json)
{
	const struct lz_geometry *machine = lz_geometry_probe(&lz_os_linux);
	json_t *array = as_json ? json_array() : NULL, *object;

	if (!as_json)
		printf("  %-24s %6s %13s  %s\n", "geometry", "levels", "address bits", "pages");
	for (size_t i = 0; i < lz_geometry_count; i++) {
		const struct lz_geometry *geometry = &lz_geometry_table[i];

		if (as_json)
			json_array_append_new(array, geometry_json(geometry, geometry == machine));
		else
			printf("%c %-24s %6u %13u  %s\n", geometry == machine ? '*' : ' ', geometry->name,
				geometry->levels, geometry->user_bits,
				lz_cost_page_sizes_text(geometry).text);
	}
	if (!as_json)
		return 0;
	object = json_object();
	json_object_set_new(object, "geometries", array);
	return lz_json_print(object);
}

int lz_cost_print(const struct lz_cost_range *range, const struct lz_tables *tables, bool as_json)
{
	if (as_json)
		return lz_json_print(range_json(range, tables));
	print_text(range, tables);
	return 0;
}
