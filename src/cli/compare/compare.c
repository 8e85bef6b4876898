/* `lazyzero compare`: measures a program bare, with the library and with other preloaded libraries. */
#include "base/parse.h"
#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/compare/contenders.h"
#include "cli/compare/output.h"
#include "cli/compare/rounds.h"
#include "cli/launch/launch.h"

#define RUNS_MAX 1000u

enum { FLAG_RUNS, FLAG_WITH, FLAG_JSON, FLAG_SVG, FLAG_SHOW_OUTPUT, FLAG_LIBRARY };

static const struct lz_flag flags[] = {
	[FLAG_RUNS] = {.name = "runs",
		.letter = 'n',
		.value = "N",
		.help = "The number of runs of each contender. Default: 5",
		.accepts = "a number from 1 to 1000"},
	[FLAG_WITH] = {.name = "with",
		.value = "LIBRARIES",
		.help = "Other libraries to compare with, each preloaded on its own, separated by commas: "
			"paths, or names that the dynamic loader finds, such as libjemalloc.so.2.",
		.accepts = "libraries, separated by commas"},
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object, which includes every run."},
	[FLAG_SVG] = {.name = "svg",
		.value = "FILE",
		.help = "Also draw the ratios into this file, with gnuplot.",
		.accepts = "the name of a file"},
	[FLAG_SHOW_OUTPUT] = {.name = "show-output",
		.help = "Let the program use the standard descriptors of this command. By default they are "
			"/dev/null."},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

static int compare(struct lz_comparison *comparison, const struct lz_arguments *arguments)
{
	const struct lz_compare_output output = {
		.json = arguments->values[FLAG_JSON] != NULL, .svg = arguments->values[FLAG_SVG]};
	int status;

	if (lz_compare_output_check(&output) != 0)
		return LZ_EXIT_FAILURE;
	status = lz_comparison_run(comparison, arguments->values[FLAG_SHOW_OUTPUT] == NULL);
	if (status != 0)
		return status;
	status = lz_comparison_check_statuses(comparison);
	return status | lz_compare_output_write(&output, comparison);
}

static int run(const struct lz_arguments *arguments)
{
	const char *runs = arguments->values[FLAG_RUNS];
	struct lz_comparison comparison = {.argv = arguments->operands};
	struct lz_library library;
	uint64_t rounds = 5;
	int status;

	if (arguments->operand_count == 0)
		return lz_fail_usage("compare", "no program given");
	if (runs != NULL && (lz_parse_u64(runs, &rounds) != 0 || rounds == 0 || rounds > RUNS_MAX))
		return lz_fail_usage("compare", "--runs: \"%s\" is not accepted: it takes %s",
			lz_printable(runs).text, flags[FLAG_RUNS].accepts);
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]))
		return LZ_EXIT_FAILURE;
	/* Each contender has an LD_PRELOAD of its own. */
	if (lz_launch_set_environment(arguments, NULL) != 0)
		return LZ_EXIT_FAILURE;
	comparison.rounds = rounds;
	/* The list lies in argv, which may be modified. */
	status = lz_contenders_init(&comparison, library.path, (char *)arguments->values[FLAG_WITH]);
	if (status == 0)
		status = compare(&comparison, arguments);
	lz_contenders_free(&comparison);
	return status;
}

const struct lz_command lz_command_compare = {
	.name = "compare",
	.summary = "measure a program without and with the library, and with others",
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.description =
		"Runs PROGRAM several times in each of several configurations (contenders): bare, with the "
		"library, and with other preloaded libraries. The contenders take turns. Shows the medians "
		"of time, minor faults, resident memory, PSS and page tables, their ratios to bare, and "
		"their spread. The status is 1 if a contender could not be run, or if its exit status "
		"differs from that of the bare program.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.runs_program = true,
	.run = run,
};
