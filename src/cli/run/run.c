/* `lazyzero run`: runs a program with the library preloaded and prints a summary at its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/launch/child.h"
#include "cli/launch/library.h"
#include "cli/record/recorder.h"
#include "cli/run/program.h"
#include "cli/run/statistics.h"
#include "cli/run/summary.h"
#include "support/options.h"

#define STATS_VARIABLE LZ_OPTION_PREFIX "STATS"

enum { FLAG_SUMMARY, FLAG_RECORD, FLAG_NO_PROGRESS, FLAG_LIBRARY };
enum { SUMMARY_TEXT, SUMMARY_JSON, SUMMARY_NONE };

static const char *const summaries[] = {"text", "json", "none", NULL};

static const struct lz_flag flags[] = {
	[FLAG_SUMMARY] = {"summary", "text|json|none",
		"The summary printed on standard error at the end. With none, the program replaces this "
		"command and keeps its process ID. Default: text",
		summaries, "text, json or none", 0},
	[FLAG_RECORD] = {.name = "record",
		.value = "FILE",
		.help = "Write the memory use of the program and its descendants to FILE ten times a second, "
			"for 'lazyzero plot'. During a long run, a progress line is shown on a terminal.",
		.accepts = "the name of a file"},
	[FLAG_NO_PROGRESS] = {.name = "no-progress", .help = "Do not show the progress line of --record."},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

static bool is_set_to(const char *variable, const char *value)
{
	const char *found = getenv(variable);

	return found != NULL && strcmp(found, value) == 0;
}

static const char *nonempty(const char *text)
{
	return text != NULL && *text != '\0' ? text : NULL;
}

/* The likely reason why no process wrote statistics. */
static const char *inactive_reason(
	const struct lz_program *executable, const struct lz_stats_location *location)
{
	static char problem[sizeof executable->problem + 32];

	if (location->path[0] == '\0')
		return "there is no place to write statistics, so nothing is known about it";
	if (executable->problem[0] != '\0') {
		snprintf(problem, sizeof problem, "the %s is %s",
			executable->is_script ? "interpreter" : "program", executable->problem);
		return problem;
	}
	if (is_set_to(LZ_OPTION_PREFIX "DISABLE", "1"))
		return LZ_OPTION_PREFIX "DISABLE is 1";
	if (nonempty(getenv(LZ_OPTION_PREFIX "ONLY")) != NULL)
		return LZ_OPTION_PREFIX "ONLY names other programs";
	if (!location->is_private)
		return "LD_PRELOAD did not take effect in the program, or " STATS_VARIABLE
		       " cannot be written";
	return "LD_PRELOAD did not take effect in the program";
}

/* Runs the program as a child and prints the summary. Returns the exit status. */
static int run_monitored(
	char *const argv[], const struct lz_program *executable, unsigned form, struct lz_recorder *recorder)
{
	struct lz_summary summary = {.program = argv[0]};
	struct lz_child_monitor monitor = {
		.sample = recorder != NULL ? lz_recorder_sample : NULL, .context = recorder};
	struct lz_stats_location location;
	int error = 0, status;

	lz_stats_location_prepare(&location, nonempty(getenv(STATS_VARIABLE)));
	if (location.path[0] != '\0')
		error = setenv(STATS_VARIABLE, location.path, 1) != 0 ? -errno : 0;
	if (!error)
		error = lz_child_run(argv, &monitor, &summary.result);
	if (recorder != NULL)
		lz_recorder_close(recorder, &summary.result);
	if (!error && summary.result.exec_error == 0)
		lz_run_totals_read(&summary.totals, &location);
	lz_stats_location_remove(&location);
	status = lz_child_start_failure(argv[0], error, &summary.result);
	if (status != 0)
		return status;
	if (summary.totals.processes == 0)
		summary.inactive = inactive_reason(executable, &location);
	if (form == SUMMARY_JSON)
		lz_summary_json(&summary);
	else
		lz_summary_text(&summary);
	return lz_child_propagate_exit(&summary.result);
}

static int run(const struct lz_arguments *arguments)
{
	unsigned form = lz_arguments_choice(arguments, FLAG_SUMMARY);
	const char *record = arguments->values[FLAG_RECORD];
	char **argv = arguments->operands;
	struct lz_recorder recorder;
	struct lz_library library;
	struct lz_program executable;
	int error;

	if (arguments->operand_count == 0)
		return lz_fail_usage("run", "no program given");
	if (record != NULL && form == SUMMARY_NONE)
		return lz_fail_usage("run",
			"--record cannot be used with --summary=none, with which the program "
			"replaces this command");
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]))
		return LZ_EXIT_FAILURE;
	lz_program_inspect(&executable, argv[0], &library.elf);
	lz_program_warn(&executable, argv[0]);
	error = lz_arguments_set_variables(arguments);
	if (!error && !executable.skip_preload)
		error = lz_library_preload(&library);
	if (error)
		return lz_fail("cannot set the environment: %s", strerror(-error));
	if (record != NULL && lz_recorder_open(&recorder, record, argv) != 0)
		return LZ_EXIT_FAILURE;
	if (record != NULL && arguments->values[FLAG_NO_PROGRESS] != NULL)
		recorder.progress = false;
	if (form != SUMMARY_NONE)
		return run_monitored(argv, &executable, form, record != NULL ? &recorder : NULL);
	execvp(argv[0], argv);
	return lz_child_exec_failure(argv[0], errno);
}

const struct lz_command lz_command_run = {
	.name = "run",
	.summary = "run a program with the library and print a summary",
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.description =
		"Runs PROGRAM with the library preloaded. Signals are forwarded to PROGRAM, and its exit "
		"status is returned; the status is 125 if the command itself fails, 126 if PROGRAM cannot be "
		"executed, 127 if it is not found.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.runs_program = true,
	.run = run,
};
