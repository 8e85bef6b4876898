/*
 * `lazyzero cost`: the page tables that a range of memory needs once it is all touched, level by level, on
 * this machine or on one of another kind. The arithmetic is that of pagetables/geometry.h.
 */
#include "cli/cost.h"

#include <errno.h>
#include <stdio.h>
#include <inttypes.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "os/os.h"

enum { FLAG_AT, FLAG_PAGE_SIZE, FLAG_GEOMETRY, FLAG_JSON, FLAG_LIST };

static const struct lz_flag flags[] = {
	[FLAG_AT] = {"at", "ADDRESS",
		"Where the range starts: 0x and hexadecimal digits, or a size such as 512G. Default: "
		"at the best place, where the range needs the fewest tables.",
		NULL, "an address such as 0x7f0000000000", 0},
	[FLAG_PAGE_SIZE] = {"page-size", "SIZE",
		"The size of the pages that the memory is mapped with, such as 2M for huge pages. Default: "
		"the base page of the geometry.",
		NULL, "a size such as 2M", 0},
	[FLAG_GEOMETRY] = {"geometry", "NAME",
		"Page tables of that kind, by a name of --list. Default: this machine's.", NULL,
		"a name that --list shows", 0},
	[FLAG_JSON] = {"json", NULL, "Print a JSON object instead of a table.", NULL, NULL, 0},
	[FLAG_LIST] = {"list", NULL, "List the known geometries; * marks this machine's.", NULL, NULL, 0},
};

const struct lz_geometry *lz_cost_geometry(const char *name)
{
	const struct lz_geometry *found =
		name != NULL ? lz_geometry_by_name(name) : lz_geometry_probe(&lz_os_linux);
	const char *names[64];
	int nearest;

	if (found != NULL)
		return found;
	for (size_t i = 0; i < lz_geometry_count && i < 64; i++)
		names[i] = lz_geometry_table[i].name;
	nearest = lz_nearest(name, names, lz_min_u64(lz_geometry_count, 64));
	if (nearest >= 0)
		lz_fail("unknown geometry '%s'; did you mean '%s'?", lz_shown(name).text, names[nearest]);
	else
		lz_fail("unknown geometry '%s'; 'lazyzero cost --list' shows those known",
			lz_shown(name).text);
	return NULL;
}

static int take_page_size(struct lz_cost_range *range, const char *value)
{
	unsigned shifts[LZ_PAGE_SIZES_MAX];
	unsigned count = lz_cost_page_shifts(range->geometry, shifts);
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
		range->geometry->name, lz_cost_page_sizes_text(range->geometry).text);
	return -EINVAL;
}

static int parse_address(const char *value, uint64_t *address)
{
	const char *cursor = value + 2;

	if (value[0] != '0' || (value[1] != 'x' && value[1] != 'X'))
		return lz_parse_size(value, address);
	return lz_scan_hex(&cursor, address) == 0 && *cursor == '\0' ? 0 : -EINVAL;
}

static int take_start(struct lz_cost_range *range, const char *value)
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

/* Makes [start, start + size) whole pages, as the kernel would, and checks that a program can have them. */
static int take_size(struct lz_cost_range *range, const char *value)
{
	uint64_t page = UINT64_C(1) << range->page_shift;
	unsigned user_bits = range->geometry->user_bits;
	uint64_t size, end;
	int error = lz_parse_size(value, &size);

	if (error == -EINVAL) {
		lz_fail_usage("cost",
			"\"%s\" is not a size: it takes bytes with an optional unit, such as 512G",
			lz_shown(value).text);
		return error;
	}
	if (error == 0 && size == 0) {
		lz_fail("the size must be at least 1 byte");
		return -ERANGE;
	}
	if (error || __builtin_add_overflow(range->start, size, &end) || !lz_round_up(end, page, &end) ||
		end > UINT64_C(1) << user_bits) {
		char from[40] = "";

		if (range->is_placed)
			snprintf(from, sizeof from, " from 0x%" PRIx64 " on", range->start);
		lz_fail("%s%s is beyond the address space of a program on %s: %s (%u bits)",
			lz_shown(value).text, from, range->geometry->name,
			lz_shown_size(UINT64_C(1) << user_bits).text, user_bits);
		return -ERANGE;
	}
	range->start = lz_round_down(range->start, page);
	range->end = end;
	return 0;
}

static int run(const struct lz_arguments *arguments)
{
	bool as_json = arguments->values[FLAG_JSON] != NULL;
	struct lz_tables tables;
	struct lz_cost_range range;

	if (arguments->values[FLAG_LIST] != NULL && arguments->operand_count > 0)
		return lz_fail_usage("cost", "--list takes no size");
	if (arguments->values[FLAG_LIST] != NULL)
		return lz_cost_list(as_json);
	if (arguments->operand_count == 0)
		return lz_fail_usage("cost", "no size given");
	range.geometry = lz_cost_geometry(arguments->values[FLAG_GEOMETRY]);
	if (range.geometry == NULL || take_page_size(&range, arguments->values[FLAG_PAGE_SIZE]) ||
		take_start(&range, arguments->values[FLAG_AT]) || take_size(&range, arguments->operands[0]))
		return LZ_EXIT_OURS;
	/* Counted from address 0 a range is aligned for every level, which needs the fewest tables. */
	tables = lz_tables_of(range.geometry, range.start, range.end, range.page_shift);
	return lz_cost_print(&range, &tables, as_json);
}

const struct lz_command lz_command_cost = {
	.name = "cost",
	.summary = "show the page tables that memory of a size needs",
	.usage = "[OPTION]... SIZE",
	.description =
		"Shows how many page tables each level needs once SIZE bytes of memory, by itself, are all "
		"touched; which part of them VmPTE of /proc/PID/status counts; and what they sum up to. SIZE "
		"is bytes with an optional unit (64K, 1.5G, 512G); the range is rounded outward to whole "
		"pages.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = 1,
	.run = run,
};
