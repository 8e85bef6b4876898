/*
 * `lazyzero stat`: shows the page tables of processes, now and if every mapped page were touched, and the
 * mappings that need most of them. Works for any process; for preloaded ones it shows the library's counters
 * as well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/stat/cgroups.h"
#include "cli/stat/read.h"

enum {
	FLAG_ALL,
	FLAG_CGROUP,
	FLAG_OUTPUT,
	FLAG_SORT,
	FLAG_REVERSE,
	FLAG_UNITS,
	FLAG_BYTES,
	FLAG_NO_HEADERS,
	FLAG_JSON,
	FLAG_SYSROOT,
	FLAG_GEOMETRY,
	FLAG_STATS
};

static const char *const units[] = {"auto", "B", "K", "M", "G", NULL};

static const struct lz_flag flags[] = {
	[FLAG_ALL] = {.name = "all",
		.letter = 'a',
		.help = "Show all processes. This is the default without a PID."},
	[FLAG_CGROUP] = {.name = "cgroup",
		.value = "PATH",
		.value_optional = true,
		.help = "Show control groups instead of processes, sorted by page tables: all that have "
			"processes, or those at PATH and below it. PATH is as in /proc/PID/cgroup, or the "
			"group's directory."},
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "COLUMNS",
		.help = "The columns to show, in this order, separated by commas. "
			"Default: " LZ_DEFAULT_COLUMNS "; with --json all of them.",
		.accepts = "names of columns, separated by commas"},
	[FLAG_SORT] = {.name = "sort",
		.value = "COLUMN",
		.help = "The column to sort by: numbers in descending order, texts and process IDs in "
			"ascending "
			"order. Default: tables",
		.accepts = "the name of a column"},
	[FLAG_REVERSE] = {.name = "reverse", .letter = 'r', .help = "Reverse the order."},
	[FLAG_UNITS] = {.name = "units",
		.value = "auto|B|K|M|G",
		.help = "The unit of sizes: one that fits each value, or bytes, KiB, MiB or GiB, rounded up. "
			"Default: auto",
		.choices = units,
		.accepts = "auto, B, K, M or G"},
	[FLAG_BYTES] = {.name = "bytes", .letter = 'b', .help = "The same as --units=B."},
	[FLAG_NO_HEADERS] = {.name = "no-headers",
		.letter = 'n',
		.help = "Do not print the totals of the machine and the column headers."},
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object, sizes in bytes."},
	[FLAG_SYSROOT] = {.name = "sysroot",
		.value = "DIRECTORY",
		.help = "Read a recorded tree: DIRECTORY/proc in place of /proc.",
		.accepts = "a directory"},
	[FLAG_GEOMETRY] = {.name = "geometry",
		.value = "NAME",
		.help = "The page-table geometry of the recorded machine, by its name in 'lazyzero cost "
			"--list'. Default: this machine's.",
		.accepts = "a name shown by 'lazyzero cost --list'"},
	[FLAG_STATS] = {.name = "stats",
		.value = "PATH",
		.help = "Show the statistics files in PATH (LAZYZERO_STATS), including those of processes "
			"that "
			"are gone.",
		.accepts = "a directory or a file"},
};

static const char library_columns[] = "pid,budget,committed,peak,regions,served,over,refused,name";

static struct lz_stat_query query; /* static, since qsort passes no context */
static const struct lz_column *sort_column;
static bool sort_reverse;

static int compare(const void *x, const void *y)
{
	return lz_column_compare_rows(sort_column, sort_reverse, x, y);
}

static int choose_columns(const struct lz_arguments *arguments)
{
	struct lz_columns *columns = &query.output.columns;
	const char *sort = arguments->values[FLAG_SORT];
	const char *output = arguments->values[FLAG_OUTPUT];
	bool of_files = arguments->values[FLAG_STATS] != NULL;
	const char *default_columns = of_files ? library_columns : LZ_DEFAULT_COLUMNS;

	sort_column = lz_column_find(sort != NULL ? sort : of_files ? "committed" : "tables");
	if (sort_column == NULL)
		return -EINVAL;
	if (output == NULL && arguments->values[FLAG_JSON] != NULL) {
		columns->count = lz_column_count;
		for (size_t i = 0; i < lz_column_count; i++)
			columns->column[i] = &lz_column_table[i];
	} else if (lz_columns_parse(columns, output != NULL ? output : default_columns) != 0) {
		return -EINVAL;
	}
	query.read_flags = lz_columns_read_flags(columns, sort_column);
	return 0;
}

/* Returns the exit status after an error message if the flags cannot be combined. */
static int check_flags(const struct lz_arguments *arguments)
{
	static const unsigned not_with_cgroup[] = {FLAG_OUTPUT, FLAG_SORT, FLAG_STATS};

	if (arguments->operand_count > 0 && arguments->values[FLAG_CGROUP] != NULL)
		return lz_fail_usage(
			"stat", "--cgroup takes no process ID; the group is given as --cgroup=PATH");
	for (size_t i = 0; i < 3 && arguments->values[FLAG_CGROUP] != NULL; i++)
		if (arguments->values[not_with_cgroup[i]] != NULL)
			return lz_fail_usage(
				"stat", "--%s cannot be used with --cgroup", flags[not_with_cgroup[i]].name);
	if (arguments->operand_count > 0 && arguments->values[FLAG_ALL] != NULL)
		return lz_fail_usage("stat", "--all takes no process ID");
	if (arguments->operand_count > 0 && arguments->values[FLAG_STATS] != NULL)
		return lz_fail_usage("stat", "--stats takes no process ID");
	return 0;
}

static int show_cgroups(const struct lz_arguments *arguments)
{
	lz_stat_warn_of_hidden(query.root);
	return lz_stat_cgroups(&(struct lz_stat_cgroups){.root = query.root,
		.below = arguments->values[FLAG_CGROUP],
		.units = query.output.units,
		.json = arguments->values[FLAG_JSON] != NULL,
		.headers = query.output.headers,
		.reverse = sort_reverse});
}

static int run(const struct lz_arguments *arguments)
{
	bool named = arguments->operand_count > 0;
	const char *stats = arguments->values[FLAG_STATS];
	int status = check_flags(arguments);

	if (status != 0)
		return status;
	query.root = arguments->values[FLAG_SYSROOT] != NULL ? arguments->values[FLAG_SYSROOT] : "";
	if (*query.root == '\0' && stats == NULL && access("/proc/self/stat", R_OK) != 0)
		return lz_fail("cannot read /proc/self/stat: %s; is /proc mounted?", strerror(errno));
	query.geometry = lz_geometry_choose(arguments->values[FLAG_GEOMETRY]);
	sort_reverse = arguments->values[FLAG_REVERSE] != NULL;
	query.output.units = arguments->values[FLAG_BYTES] != NULL
				     ? LZ_UNITS_B
				     : lz_arguments_choice(arguments, FLAG_UNITS);
	query.output.headers = arguments->values[FLAG_NO_HEADERS] == NULL;
	query.output.details = named;
	if (query.geometry == NULL)
		return LZ_EXIT_FAILURE;
	if (arguments->values[FLAG_CGROUP] != NULL)
		return show_cgroups(arguments);
	if (choose_columns(arguments) != 0)
		return LZ_EXIT_FAILURE;
	if (named)
		query.read_flags |= LZ_READ_MAPS;
	status = named           ? lz_stat_read_named(&query, arguments)
		 : stats != NULL ? lz_stat_read_files(&query, stats)
				 : lz_stat_read_all(&query);
	if (status != LZ_EXIT_FAILURE) {
		lz_machine_read(query.root, &query.output.machine);
		qsort(query.output.processes, query.output.count, sizeof *query.output.processes, compare);
		lz_stat_report_unreadable(&query);
		if (arguments->values[FLAG_JSON] != NULL)
			status |= lz_stat_print_json(&query.output);
		else if (query.output.count > 0)
			lz_stat_print(&query.output);
	}
	free(query.output.processes);
	return status;
}

static void print_columns(void)
{
	lz_columns_help();
	lz_stat_cgroups_help();
}

const struct lz_command lz_command_stat = {
	.name = "stat",
	.summary = "show the page tables of processes",
	.usage = "[OPTION]... [PID]...",
	.description =
		"Shows for each process, preloaded or not, its address space, resident memory, page tables, "
		"and the page tables it would have if every mapped page were touched. For the PIDs given it "
		"also shows the mappings that need most of them, and the counters of the library. With "
		"--cgroup it shows control groups instead.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = INT32_MAX,
	.more_help = print_columns,
	.run = run,
};
