/*
 * `lazyzero cost`: the page tables that a range of memory needs once it is all touched, level by level, on this
 * machine or on one of another kind. The arithmetic is that of core/geometry.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/cli.h"
#include "core/geometry.h"
#include "os/os.h"

enum { FLAG_AT, FLAG_PAGE_SIZE, FLAG_GEOMETRY, FLAG_JSON, FLAG_LIST };

static const struct lz_flag flags[] = {
	[FLAG_AT] = {"at", "ADDRESS",
		"Where the range starts: 0x and hexadecimal digits, or a size such as 512G. Default: at the best place, "
		"where the range needs the fewest tables.",
		NULL, "an address such as 0x7f0000000000"},
	[FLAG_PAGE_SIZE] = {"page-size", "SIZE",
		"The size of the pages that the memory is mapped with, such as 2M for huge pages. Default: the base "
		"page of the geometry.",
		NULL, "a size such as 2M"},
	[FLAG_GEOMETRY] = {"geometry", "NAME", "Page tables of that kind, by a name of --list. Default: this machine's.",
		NULL, "a name that --list shows"},
	[FLAG_JSON] = {"json", NULL, "Print a JSON object instead of a table.", NULL, NULL},
	[FLAG_LIST] = {"list", NULL, "List the known geometries; * marks this machine's.", NULL, NULL},
};

/* The question: which pages, how large, of which page tables. */
struct range {
	const struct lz_geometry *geometry;
	unsigned page_shift;
	bool is_placed;
	uint64_t start, end; /* whole pages; start is 0 where the place does not matter */
};

/* The page sizes of a geometry: its base page, and what one entry of the next two levels maps (PMD and PUD). */
static unsigned page_shifts(const struct lz_geometry *geometry, unsigned shifts[3])
{
	unsigned count = 0;

	shifts[count++] = geometry->page_shift;
	for (unsigned level = 0; level < 2 && level + 1 < geometry->levels; level++)
		shifts[count++] = lz_table_span_shift(geometry, level);
	return count;
}

static struct lz_shown page_sizes_text(const struct lz_geometry *geometry)
{
	struct lz_shown shown;
	struct lz_text text = lz_text_in(shown.text, sizeof shown.text);
	unsigned shifts[3];
	unsigned count = page_shifts(geometry, shifts);

	for (unsigned i = 0; i < count; i++) {
		lz_text_string(&text, i == 0 ? "" : i + 1 < count ? ", " : " and ");
		lz_text_u64(&text, UINT64_C(1) << shifts[i] % 10);
		lz_text_char(&text, "BKMGTPE"[shifts[i] / 10]);
	}
	return shown;
}

static int take_geometry(struct range *range, const char *name)
{
	const char *names[64];
	int nearest;

	range->geometry = name != NULL ? lz_geometry_by_name(name) : lz_geometry_probe(&lz_os_linux);
	if (range->geometry != NULL)
		return 0;
	for (size_t i = 0; i < lz_geometry_count && i < 64; i++)
		names[i] = lz_geometry_table[i].name;
	nearest = lz_nearest(name, names, lz_min_u64(lz_geometry_count, 64));
	if (nearest >= 0)
		lz_fail("unknown geometry '%s'; did you mean '%s'?", lz_shown(name).text, names[nearest]);
	else
		lz_fail("unknown geometry '%s'; 'lazyzero cost --list' shows those known", lz_shown(name).text);
	return -EINVAL;
}

static int take_page_size(struct range *range, const char *value)
{
	unsigned shifts[3];
	unsigned count = page_shifts(range->geometry, shifts);
	uint64_t bytes = 0;

	range->page_shift = range->geometry->page_shift;
	if (value == NULL)
		return 0;
	if (lz_parse_size(value, &bytes) == 0)
		for (unsigned i = 0; i < count; i++)
			if (bytes == UINT64_C(1) << shifts[i]) {
				range->page_shift = shifts[i];
				return 0;
			}
	lz_fail("--page-size: \"%s\" is not accepted: pages of %s are of %s", lz_shown(value).text,
		range->geometry->name, page_sizes_text(range->geometry).text);
	return -EINVAL;
}

static int parse_address(const char *value, uint64_t *address)
{
	const char *cursor = value + 2;

	if (value[0] != '0' || (value[1] != 'x' && value[1] != 'X'))
		return lz_parse_size(value, address);
	return lz_scan_hex(&cursor, address) == 0 && *cursor == '\0' ? 0 : -EINVAL;
}

static int take_start(struct range *range, const char *value)
{
	uint64_t address = 0;

	range->is_placed = value != NULL;
	if (value != NULL && parse_address(value, &address) != 0) {
		lz_fail_usage("cost", "--at: \"%s\" is not accepted: it takes %s", lz_shown(value).text,
			flags[FLAG_AT].accepts);
		return -EINVAL;
	}
	range->start = address;
	return 0;
}

/* Makes [start, start + size) whole pages, as the kernel would, and checks that they are addresses of a program. */
static int take_size(struct range *range, const char *value)
{
	uint64_t page = UINT64_C(1) << range->page_shift;
	unsigned user_bits = range->geometry->user_bits;
	uint64_t size, end;
	int error = lz_parse_size(value, &size);

	if (error == -EINVAL) {
		lz_fail_usage("cost", "\"%s\" is not a size: it takes bytes with an optional unit, such as 512G",
			lz_shown(value).text);
		return error;
	}
	if (error == 0 && size == 0) {
		lz_fail("the size must be at least 1 byte");
		return -ERANGE;
	}
	if (error || __builtin_add_overflow(range->start, size, &end) || !lz_round_up(end, page, &end) ||
		end > UINT64_C(1) << user_bits) {
		lz_fail("%s%s%s is beyond the address space of a program on %s: %s (%u bits)", lz_shown(value).text,
			range->is_placed ? " from there on" : "", "", range->geometry->name,
			lz_shown_size(UINT64_C(1) << user_bits).text, user_bits);
		return -ERANGE;
	}
	range->start = lz_round_down(range->start, page);
	range->end = end;
	return 0;
}

/* What one table maps. */
static uint64_t span_of(const struct lz_geometry *geometry, unsigned level)
{
	unsigned shift = lz_table_span_shift(geometry, level);

	return shift < 64 ? UINT64_C(1) << shift : UINT64_MAX;
}

static uint64_t count_tables(const struct lz_geometry *geometry, const struct lz_tables *tables, bool counted_only)
{
	uint64_t count = 0;

	for (unsigned level = 0; level < geometry->levels; level++)
		if (!counted_only || geometry->level[level].counted)
			count += tables->count[level];
	return count;
}

static void print_row(const char *name, const char *span, uint64_t count, uint64_t bytes, const char *counted)
{
	char exact[32];

	snprintf(exact, sizeof exact, "%" PRIu64, bytes);
	printf("%-12s %-11s %14" PRIu64 " %18s  %-9s %s\n", name, span, count, exact, lz_shown_size(bytes).text,
		counted);
}

static void print_text(const struct range *range, const struct lz_tables *tables)
{
	const struct lz_geometry *geometry = range->geometry;

	printf("%s in pages of %s", lz_shown_size(range->end - range->start).text,
		lz_shown_size(UINT64_C(1) << range->page_shift).text);
	if (range->is_placed)
		printf(" at 0x%" PRIx64, range->start);
	printf(", %s\n\n", geometry->name);
	printf("%-12s %-11s %14s %18s  %-9s %s\n", "level", "one maps", "tables", "bytes", "", "in VmPTE");
	for (unsigned level = 0; level < geometry->levels; level++)
		print_row(geometry->level[level].name, lz_shown_size(span_of(geometry, level)).text,
			tables->count[level], tables->count[level] * lz_table_bytes(geometry, level),
			geometry->level[level].counted ? "yes" : "no");
	print_row("total", "", count_tables(geometry, tables, false), lz_tables_bytes(geometry, tables), "");
	print_row("VmPTE shows", "", count_tables(geometry, tables, true), lz_tables_counted_bytes(geometry, tables),
		"");
}

static json_t *number(uint64_t value)
{
	return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static int print_json(json_t *value)
{
	int error = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	putchar('\n');
	json_decref(value);
	/* A full disk shows when standard output is closed; this is for memory. */
	return error && !ferror(stdout) ? lz_fail("out of memory") : 0;
}

static json_t *level_json(const struct lz_geometry *geometry, unsigned level, uint64_t tables)
{
	json_t *object = json_object();

	json_object_set_new(object, "level", json_string(geometry->level[level].name));
	json_object_set_new(object, "table_maps_bytes", number(span_of(geometry, level)));
	json_object_set_new(object, "table_bytes", number(lz_table_bytes(geometry, level)));
	json_object_set_new(object, "tables", number(tables));
	json_object_set_new(object, "bytes", number(tables * lz_table_bytes(geometry, level)));
	json_object_set_new(object, "in_vmpte", json_boolean(geometry->level[level].counted));
	return object;
}

static json_t *range_json(const struct range *range, const struct lz_tables *tables)
{
	const struct lz_geometry *geometry = range->geometry;
	json_t *object = json_object();
	json_t *levels = json_array();

	json_object_set_new(object, "geometry", json_string(geometry->name));
	json_object_set_new(object, "page_bytes", number(UINT64_C(1) << range->page_shift));
	json_object_set_new(object, "address", range->is_placed ? number(range->start) : json_null());
	json_object_set_new(object, "bytes", number(range->end - range->start));
	json_object_set_new(object, "levels", levels);
	for (unsigned level = 0; level < geometry->levels; level++)
		json_array_append_new(levels, level_json(geometry, level, tables->count[level]));
	json_object_set_new(object, "total_tables", number(count_tables(geometry, tables, false)));
	json_object_set_new(object, "total_bytes", number(lz_tables_bytes(geometry, tables)));
	json_object_set_new(object, "vmpte_bytes", number(lz_tables_counted_bytes(geometry, tables)));
	return object;
}

static json_t *geometry_json(const struct lz_geometry *geometry, bool is_ours)
{
	unsigned shifts[3];
	unsigned count = page_shifts(geometry, shifts);
	json_t *object = json_object();
	json_t *pages = json_array();

	json_object_set_new(object, "name", json_string(geometry->name));
	json_object_set_new(object, "levels", json_integer(geometry->levels));
	json_object_set_new(object, "address_bits", json_integer(geometry->user_bits));
	json_object_set_new(object, "page_bytes", pages);
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(pages, number(UINT64_C(1) << shifts[i]));
	json_object_set_new(object, "this_machine", json_boolean(is_ours));
	return object;
}

static int list(bool as_json)
{
	const struct lz_geometry *ours = lz_geometry_probe(&lz_os_linux);
	json_t *array = as_json ? json_array() : NULL;

	if (!as_json)
		printf("  %-24s %6s %13s  %s\n", "geometry", "levels", "address bits", "pages");
	for (size_t i = 0; i < lz_geometry_count; i++) {
		const struct lz_geometry *geometry = &lz_geometry_table[i];

		if (as_json)
			json_array_append_new(array, geometry_json(geometry, geometry == ours));
		else
			printf("%c %-24s %6u %13u  %s\n", geometry == ours ? '*' : ' ', geometry->name,
				geometry->levels, geometry->user_bits, page_sizes_text(geometry).text);
	}
	return as_json ? print_json(array) : 0;
}

static int run(const struct lz_arguments *arguments)
{
	bool as_json = arguments->values[FLAG_JSON] != NULL;
	struct lz_tables tables;
	struct range range;

	if (arguments->values[FLAG_LIST] != NULL)
		return list(as_json);
	if (arguments->operand_count == 0)
		return lz_fail_usage("cost", "no size given");
	if (take_geometry(&range, arguments->values[FLAG_GEOMETRY]) ||
		take_page_size(&range, arguments->values[FLAG_PAGE_SIZE]) ||
		take_start(&range, arguments->values[FLAG_AT]) || take_size(&range, arguments->operands[0]))
		return LZ_EXIT_OURS;
	/* Counted from address 0 a range is aligned for every level, which needs the fewest tables. */
	tables = lz_tables_of(range.geometry, range.start, range.end, range.page_shift);
	if (as_json)
		return print_json(range_json(&range, &tables));
	print_text(&range, &tables);
	return 0;
}

const struct lz_command lz_command_cost = {
	.name = "cost",
	.summary = "show the page tables that memory of a size needs",
	.usage = "[OPTION]... SIZE",
	.description = "Shows how many page tables each level needs once SIZE bytes of memory, by itself, are all "
		       "touched; which part of them VmPTE of /proc/PID/status counts; and what they sum up to. SIZE is "
		       "bytes with an optional unit (64K, 1.5G, 512G); the range is rounded outward to whole pages.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = 1,
	.run = run,
};
