/*
 * `lazyzero report`: shows how the memory of each call site of a program was used, from the files that
 * LAZYZERO_REPORT wrote, or by running a program.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/inspect/inspect.h"
#include "cli/launch/launch.h"
#include "cli/report/output.h"
#include "cli/report/program.h"
#include "support/options.h"

enum {
	FLAG_HTML,
	FLAG_JSON,
	FLAG_ALL,
	FLAG_RECORD,
	FLAG_BY,
	FLAG_FOLDED,
	FLAG_SKIP,
	FLAG_DEBUG_PATH,
	FLAG_SYSROOT,
	FLAG_WIDTH,
	FLAG_DIFF,
	FLAG_TOLERANCE,
	FLAG_PID,
	FLAG_SAMPLE,
	FLAG_LIBRARY
};

static const struct lz_flag flags[] = {
	[FLAG_HTML] = {.name = "html",
		.value = "FILE",
		.help = "Write a self-contained HTML page to FILE: a flame graph of the call stacks, a "
			"timeline "
			"of the run, the call sites, and a map of the address space.",
		.accepts = "the name of a file"},
	[FLAG_JSON] = {.name = "json", .help = "Print JSON."},
	[FLAG_ALL] = {.name = "all", .help = "Show all call sites, not only the first 20."},
	[FLAG_RECORD] = {.name = "record",
		.value = "FILE",
		.help = "With PROGRAM, write the record of the run to FILE. With REPORT, read the timeline "
			"for --html from FILE, which 'lazyzero run --record' wrote.",
		.accepts = "the name of a file"},
	[FLAG_BY] = {.name = "by",
		.value = "WHAT",
		.help = "What a row stands for: each call stack (the default), or all stacks whose first "
			"frame of "
			"the program's own has the same line, function or module.",
		.choices = lz_report_by_names,
		.accepts = "stack, line, function or module"},
	[FLAG_FOLDED] = {.name = "folded", .help = "Print folded stacks, for flamegraph.pl and speedscope."},
	[FLAG_SKIP] = {.name = "skip",
		.value = "PATTERNS",
		.help = "Functions and files of code (with *, ? and [], separated by commas) that only pass "
			"requests on, also of Python: a row is named by the first caller beyond them, as "
			"beyond libc, the C++ library, that of Rust and common wrappers of malloc.",
		.accepts = "patterns, separated by commas"},
	[FLAG_DEBUG_PATH] = {.name = "debug-path",
		.value = "DIRECTORIES",
		.help = "Where separate debug files are, besides /usr/lib/debug; separated by colons.",
		.accepts = "directories, separated by colons"},
	[FLAG_SYSROOT] = {.name = "sysroot",
		.value = "DIRECTORY",
		.help = "Read the program's files below DIRECTORY, for a report of another machine.",
		.accepts = "a directory"},
	[FLAG_WIDTH] = {.name = "width",
		.value = "COLUMNS",
		.help = "The width of the table; longer names of functions are cut. Default: that of the "
			"terminal; unlimited elsewhere.",
		.accepts = LZ_REPORT_WIDTH_ACCEPTED},
	[FLAG_DIFF] = {.name = "diff",
		.value = "FILE",
		.help = "Compare with an earlier report, which 'lazyzero report --json' printed to FILE, and "
			"show what grew, shrank, is new or is gone. The exit status is 1 if something grew. "
			"REPORT can be printed JSON as well.",
		.accepts = "the name of a file"},
	[FLAG_TOLERANCE] = {.name = "tolerance",
		.value = "PERCENT",
		.help = "With --diff, by how much a figure may grow. Default: 5%",
		.accepts = LZ_REPORT_TOLERANCE_ACCEPTED},
	[FLAG_PID] = {.name = "pid",
		.value = "PID",
		.help = "Show the memory of a running process, preloaded or not, which is not stopped: what "
			"each of its mappings holds, and the page tables that its pages need.",
		.accepts = LZ_INSPECT_PID_ACCEPTED},
	[FLAG_SAMPLE] = {.name = "sample",
		.value = "SECONDS",
		.help = "With --pid, print a line of sums each SECONDS (such as 0.5, or 2s), until the "
			"process ends or Ctrl-C.",
		.accepts = LZ_INSPECT_SAMPLE_ACCEPTED},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

static int parse_output(const struct lz_arguments *arguments, struct lz_report_output *output)
{
	*output = (struct lz_report_output){.html = arguments->values[FLAG_HTML],
		.by = lz_arguments_choice(arguments, FLAG_BY),
		.folded = arguments->values[FLAG_FOLDED] != NULL,
		.skip = arguments->values[FLAG_SKIP],
		.symbols = {.debug = arguments->values[FLAG_DEBUG_PATH],
			.sysroot = arguments->values[FLAG_SYSROOT]},
		.json = arguments->values[FLAG_JSON] != NULL,
		.all = arguments->values[FLAG_ALL] != NULL};
	output->diff = (struct lz_report_diff){
		.old_path = arguments->values[FLAG_DIFF], .json = output->json, .all = output->all};
	if (output->diff.old_path == NULL && arguments->values[FLAG_TOLERANCE] != NULL)
		return lz_fail_usage("report", "--tolerance needs --diff");
	if (output->diff.old_path != NULL && (output->html != NULL || output->folded))
		return lz_fail_usage("report", "--%s cannot be used with --diff",
			output->folded ? flags[FLAG_FOLDED].name : flags[FLAG_HTML].name);
	if (lz_report_diff_parse_tolerance(&output->diff, arguments->values[FLAG_TOLERANCE]) != 0 ||
		lz_report_find_width(&output->width, arguments->values[FLAG_WIDTH]) != 0)
		return LZ_EXIT_FAILURE;
	output->diff.width = output->width;
	return output->diff.old_path != NULL ? lz_report_diff_check(output->diff.old_path) : 0;
}

static int report_files(const struct lz_arguments *arguments)
{
	struct lz_report_output output;
	int status = parse_output(arguments, &output);

	if (status != 0)
		return status;

	if (arguments->operand_count == 0)
		return lz_fail_usage("report", "no report and no program given");
	for (size_t i = 0; i < lz_option_count; i++)
		if (lz_arguments_option(arguments, i) != NULL)
			return lz_fail_usage("report",
				"--%s applies to a program that is run: put '--' before the program",
				lz_option_table[i].flag);
	return lz_report_output_files(&output, arguments->operands, arguments->values[FLAG_RECORD]);
}

/* Whether the page can be written is better known before the program runs for hours. */
static int check_page(const char *path)
{
	bool is_new = access(path, F_OK) != 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return lz_fail_write(path, errno);
	close(fd);
	if (is_new)
		unlink(path);
	return 0;
}

static int report_program(const struct lz_arguments *arguments)
{
	struct lz_report_output output;
	struct lz_library library;
	int status = parse_output(arguments, &output);

	if (status != 0)
		return status;
	if (arguments->operand_count == 0)
		return lz_fail_usage("report", "no program given");
	if (output.html != NULL)
		status = check_page(output.html);
	if (status != 0)
		return status;
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]) != 0 ||
		lz_launch_set_environment(arguments, &library) != 0)
		return LZ_EXIT_FAILURE;
	return lz_report_program(arguments->operands, arguments->values[FLAG_RECORD], &output);
}

static int report_pid(const struct lz_arguments *arguments)
{
	struct lz_inspect_options options = {.pid = arguments->values[FLAG_PID],
		.sample = arguments->values[FLAG_SAMPLE],
		.json = arguments->values[FLAG_JSON] != NULL,
		.all = arguments->values[FLAG_ALL] != NULL};
	int status = lz_report_find_width(&options.width, arguments->values[FLAG_WIDTH]);

	if (status != 0)
		return status;
	if (arguments->operand_count > 0 || arguments->double_dash)
		return lz_fail_usage("report", "--pid takes neither a report nor a program");
	for (size_t i = 0; i < lz_arguments_flag_count(arguments->command); i++)
		if (arguments->values[i] != NULL && i != FLAG_PID && i != FLAG_SAMPLE && i != FLAG_JSON &&
			i != FLAG_ALL && i != FLAG_WIDTH)
			return lz_fail_usage("report", "--%s cannot be used with --pid",
				i < sizeof flags / sizeof *flags
					? flags[i].name
					: lz_option_table[i - sizeof flags / sizeof *flags].flag);
	return lz_inspect(&options);
}

static int run(const struct lz_arguments *arguments)
{
	if (arguments->values[FLAG_PID] != NULL)
		return report_pid(arguments);
	if (arguments->values[FLAG_SAMPLE] != NULL)
		return lz_fail_usage("report", "--sample needs --pid");
	return arguments->double_dash ? report_program(arguments) : report_files(arguments);
}

const struct lz_command lz_command_report = {
	.name = "report",
	.summary = "show how the memory of each call site was used",
	.usage = "[OPTION]... REPORT... | -- PROGRAM [ARGUMENT]...",
	.description =
		"Shows, for each place in a program that allocated large memory, how much of it was written, "
		"only read as zeroes, or never touched, and the size of its page tables, in descending order "
		"of waste. REPORT is a file that LAZYZERO_REPORT (--report of 'lazyzero run') wrote, or a "
		"directory of them; alternatively PROGRAM is run and its report shown. --pid shows the "
		"memory of a running process instead. PEAK is the largest "
		"amount that was allocated at a time, WASTE the part of it that was not written, or only "
		"with "
		"zeros. ZEROS is the part of WRITTEN that holds only zeros, estimated from a sample of the "
		"pages.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.operands_max = INT_MAX,
	.run = run,
};
