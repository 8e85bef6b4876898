/*
 * `lazyzero cost`: the number of page tables, level by level, that a range of memory needs once all of it has
 * been touched, on this machine or with another geometry. core/geometry.h does the arithmetic.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/commands.h"
#include "cli/common/display.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/cost/print.h"
#include "cli/cost/range.h"

#define PROCESSES_MAX (UINT64_C(1) << 22) /* PID_MAX_LIMIT */

enum { FLAG_AT, FLAG_PAGE_SIZE, FLAG_GEOMETRY, FLAG_PROCESSES, FLAG_JSON, FLAG_LIST };

static const struct lz_flag flags[] = {
	[FLAG_AT] = {"at", "ADDRESS",
		"The start of the range: 0x and hexadecimal digits, or a size such as 512G. Default: "
		"aligned for every level, so that the range needs the fewest tables.",
		NULL, "an address such as 0x7f0000000000", 0},
	[FLAG_PAGE_SIZE] = {"page-size", "SIZE",
		"The size of the pages that map the memory, such as 2M for huge pages. Default: "
		"the base page of the geometry.",
		NULL, "a size such as 2M", 0},
	[FLAG_GEOMETRY] = {"geometry", "NAME",
		"The page-table geometry, by its name in --list. Default: this machine's.", NULL,
		"a name shown by --list", 0},
	[FLAG_PROCESSES] = {"processes", "N",
		"How many processes map the memory: also show the sum over them, with base pages and with "
		"huge "
		"pages (LAZYZERO_SHARED).",
		NULL, "a number from 1 to 4194304", 0},
	[FLAG_JSON] = {"json", NULL, "Print a JSON object instead of a table.", NULL, NULL, 0},
	[FLAG_LIST] = {"list", NULL, "List the known geometries; * marks this machine's.", NULL, NULL, 0},
};

static int parse_page_size(struct lz_cost_range *range, const char *value)
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
	lz_fail("--page-size: \"%s\" is not accepted: pages of %s are of %s", lz_printable(value).text,
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

static int parse_start(struct lz_cost_range *range, const char *value)
{
	uint64_t address = 0;

	range->is_placed = value != NULL;
	if (value != NULL && parse_address(value, &address) != 0) {
		lz_fail_usage("cost", "--at: \"%s\" is not accepted: it takes %s", lz_printable(value).text,
			flags[FLAG_AT].accepts);
		return -EINVAL;
	}
	range->start = address;
	return 0;
}

/*
 * Rounds [start, start + size) outward to whole pages, as the kernel does, and checks that it lies within the
 * user address space.
 */
static int parse_size(struct lz_cost_range *range, const char *value)
{
	uint64_t page = UINT64_C(1) << range->page_shift;
	unsigned user_bits = range->geometry->user_bits;
	uint64_t size, end;
	int error = lz_parse_size(value, &size);

	if (error == -EINVAL) {
		lz_fail_usage("cost",
			"\"%s\" is not a size: it takes bytes with an optional unit, such as 512G",
			lz_printable(value).text);
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
			snprintf(from, sizeof from, " at 0x%" PRIx64, range->start);
		lz_fail("%s%s exceeds the user address space of %s: %s (%u bits)", lz_printable(value).text,
			from, range->geometry->name, lz_size_text(UINT64_C(1) << user_bits).text, user_bits);
		return -ERANGE;
	}
	range->start = lz_round_down(range->start, page);
	range->end = end;
	return 0;
}

/* Sets how many processes there are; 0: not asked for. */
static int parse_processes(struct lz_cost_range *range, const char *value)
{
	range->processes = 0;
	if (value == NULL || (lz_parse_u64(value, &range->processes) == 0 && range->processes >= 1 &&
				     range->processes <= PROCESSES_MAX))
		return 0;
	lz_fail_usage("cost", "--processes: \"%s\" is not accepted: it takes %s", lz_printable(value).text,
		flags[FLAG_PROCESSES].accepts);
	return -EINVAL;
}

static int run(const struct lz_arguments *arguments)
{
	bool as_json = arguments->values[FLAG_JSON] != NULL;
	struct lz_tables tables;
	struct lz_cost_range range;

	if (arguments->values[FLAG_LIST] != NULL && arguments->operand_count > 0)
		return lz_fail_usage("cost", "--list takes no size");
	if (arguments->values[FLAG_LIST] != NULL)
		return lz_cost_print_geometries(as_json);
	if (arguments->operand_count == 0)
		return lz_fail_usage("cost", "no size given");
	range.geometry = lz_geometry_choose(arguments->values[FLAG_GEOMETRY]);
	if (range.geometry == NULL || parse_page_size(&range, arguments->values[FLAG_PAGE_SIZE]) ||
		parse_processes(&range, arguments->values[FLAG_PROCESSES]) ||
		parse_start(&range, arguments->values[FLAG_AT]) || parse_size(&range, arguments->operands[0]))
		return LZ_EXIT_FAILURE;
	/* A range that starts at address 0 is aligned for every level and needs the fewest tables. */
	tables = lz_tables_of(range.geometry, range.start, range.end, range.page_shift);
	return lz_cost_print(&range, &tables, as_json);
}

const struct lz_command lz_command_cost = {
	.name = "cost",
	.summary = "show the page tables that a range of memory needs",
	.usage = "[OPTION]... SIZE",
	.description =
		"Shows how many page tables of each level SIZE bytes of memory need once all of them have "
		"been touched, their total, and the part that VmPTE of /proc/PID/status counts. SIZE is a "
		"number of bytes with an optional unit (64K, 1.5G, 512G); the range is rounded outward to "
		"whole pages.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = 1,
	.run = run,
};
