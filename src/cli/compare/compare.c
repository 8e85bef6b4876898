/*
 * `lazyzero compare`: measures a program bare, with the library and with other preloaded libraries. The
 * contenders take turns, so that other load on the machine affects all of them alike, and each round starts
 * with another contender.
 *
 * Times and faults are those that wait4 reports for the program and its reaped descendants. PSS and page
 * tables are sums over all processes of the program, sampled from outside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/display.h"
#include "cli/common/gnuplot.h"
#include "cli/common/messages.h"
#include "cli/compare/comparison.h"
#include "cli/compare/contenders.h"
#include "cli/compare/draw.h"
#include "cli/compare/print.h"
#include "cli/launch/child.h"
#include "cli/launch/library.h"
#include "cli/process/tree.h"
#include "support/options.h"

#define RUNS_MAX 1000u
#define BACKING LZ_OPTION_PREFIX "BACKING"

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

/* Peaks of one run, bytes. */
struct peaks {
	struct lz_process_tree tree;
	bool tree_started;
	uint64_t pss, tables;
};

static void sample_peaks(void *context, pid_t pid)
{
	struct peaks *peaks = context;
	struct lz_process_tree_totals sum;

	if (!peaks->tree_started)
		lz_process_tree_init(&peaks->tree, pid);
	peaks->tree_started = true;
	if (!lz_process_tree_sample_due(&peaks->tree) ||
		!lz_process_tree_sample(&peaks->tree, &sum, NULL, NULL))
		return;
	if (sum.pss > peaks->pss)
		peaks->pss = sum.pss;
	if (sum.tables > peaks->tables)
		peaks->tables = sum.tables;
}

/* `others` is the LD_PRELOAD that the command was started with. Returns 0 or -errno. */
static int set_environment(const struct lz_contender *contender, const char *others)
{
	int error;

	if (contender->preload != NULL)
		error = lz_preload_set(contender->preload, others);
	else if (others != NULL)
		error = setenv("LD_PRELOAD", others, 1) != 0 ? -errno : 0;
	else
		error = unsetenv("LD_PRELOAD") != 0 ? -errno : 0;
	if (error)
		return error;
	error = contender->backing != NULL ? setenv(BACKING, contender->backing, 1) : unsetenv(BACKING);
	return error != 0 ? -errno : 0;
}

/*
 * Runs a contender once. Returns 0, or the exit status of a failure that ends the comparison. *keep_going is
 * set to false if the run was interrupted.
 */
static int run_once(const struct lz_comparison *comparison, struct lz_contender *contender, bool null_stdio,
	const char *others, bool *keep_going)
{
	struct peaks peaks = {.tree_started = false};
	struct lz_child_monitor monitor = {
		.null_stdio = null_stdio, .sample = sample_peaks, .context = &peaks};
	struct lz_child_result result;
	struct lz_run_figures *run = &contender->runs[contender->count];
	int error = set_environment(contender, others), status;

	if (error)
		return lz_fail("cannot set the environment: %s", strerror(-error));
	error = lz_child_run(comparison->argv, &monitor, &result);
	lz_process_tree_free(&peaks.tree);
	status = lz_child_start_failure(comparison->argv[0], error, &result);
	if (status != 0)
		return status;
	*keep_going = !result.interrupted;
	if (result.interrupted)
		return 0;
	contender->status = result.status;
	contender->count++;
	run->figure[LZ_FIGURE_SECONDS] = result.seconds;
	run->figure[LZ_FIGURE_FAULTS] = (double)result.minor_faults;
	run->figure[LZ_FIGURE_RSS] = (double)result.peak_rss;
	run->figure[LZ_FIGURE_PSS] = peaks.pss > 0 ? (double)peaks.pss : -1;
	run->figure[LZ_FIGURE_TABLES] = peaks.tables > 0 ? (double)peaks.tables : -1;
	return 0;
}

static void show_progress(size_t round, size_t rounds, const char *name)
{
	if (isatty(STDERR_FILENO) == 1)
		fprintf(stderr, "\r\033[K%s%zu of %zu: %s", name != NULL ? "round " : "", round, rounds,
			name != NULL ? name : "");
}

static int run_rounds(struct lz_comparison *comparison, bool null_stdio)
{
	/* The libraries that the user preloads remain in effect for every contender. */
	const char *preloaded = getenv("LD_PRELOAD");
	char *others = preloaded != NULL ? strdup(preloaded) : NULL;
	bool keep_going = true;
	int status = 0;

	for (size_t round = 0; round < comparison->rounds && keep_going && status == 0; round++)
		for (size_t i = 0; i < comparison->count && keep_going && status == 0; i++) {
			struct lz_contender *contender =
				&comparison->contenders[(round + i) % comparison->count];

			if (contender->problem[0] != '\0')
				continue;
			if (null_stdio)
				show_progress(round + 1, comparison->rounds, contender->name);
			status = run_once(comparison, contender, null_stdio, others, &keep_going);
		}
	if (null_stdio && isatty(STDERR_FILENO) == 1)
		fputs("\r\033[K", stderr);
	if (!keep_going)
		lz_message("interrupted; the figures are those of the completed runs");
	free(others);
	return status;
}

/*
 * Marks contenders whose exit status differs from that of the bare program: they did not do the same work.
 * Returns 1 if any contender has a problem, else 0.
 */
static int check_exit_statuses(struct lz_comparison *comparison)
{
	const struct lz_contender *bare = &comparison->contenders[0];
	int status = 0;

	for (size_t i = 0; i < comparison->count; i++) {
		struct lz_contender *contender = &comparison->contenders[i];

		if (contender->count > 0 && bare->count > 0 && contender->status != bare->status)
			snprintf(contender->problem, sizeof contender->problem,
				WIFSIGNALED(contender->status) ? "it was killed by signal %d"
							       : "it exited with status %d",
				WIFSIGNALED(contender->status) ? WTERMSIG(contender->status)
							       : WEXITSTATUS(contender->status));
		if (contender->problem[0] != '\0')
			status = 1;
	}
	if (bare->count > 0 && bare->status != 0)
		lz_warning("the bare program fails (%s %d); --show-output shows its messages",
			WIFSIGNALED(bare->status) ? "signal" : "status",
			WIFSIGNALED(bare->status) ? WTERMSIG(bare->status) : WEXITSTATUS(bare->status));
	return status;
}

static int compare(struct lz_comparison *comparison, const struct lz_arguments *arguments)
{
	bool null_stdio = arguments->values[FLAG_SHOW_OUTPUT] == NULL;
	const char *svg = arguments->values[FLAG_SVG];
	int status;

	if (svg != NULL && lz_gnuplot_check(svg) != 0)
		return LZ_EXIT_FAILURE;
	status = run_rounds(comparison, null_stdio);
	if (status != 0)
		return status;
	status = check_exit_statuses(comparison);
	if (arguments->values[FLAG_JSON] != NULL)
		status |= lz_compare_print_json(comparison);
	else
		lz_compare_print_text(comparison);
	if (svg != NULL && lz_compare_draw(comparison, svg) != 0)
		status = LZ_EXIT_FAILURE;
	return status;
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
	if (lz_arguments_set_variables(arguments) != 0)
		return lz_fail("cannot set the environment: %s", strerror(errno));
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
