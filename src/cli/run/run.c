/* `lazyzero run`: a program under the library, and a summary at its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/launch/child.h"
#include "cli/common/command.h"
#include "cli/launch/library.h"
#include "cli/record/recorder.h"
#include "cli/run/summary.h"
#include "cli/run/program.h"
#include "cli/run/statistics.h"
#include "support/options.h"

#define STATS_VARIABLE LZ_OPTION_PREFIX "STATS"

enum { FLAG_SUMMARY, FLAG_RECORD, FLAG_NO_PROGRESS, FLAG_LIBRARY };
enum { SUMMARY_TEXT, SUMMARY_JSON, SUMMARY_NONE };

static const char *const summaries[] = {"text", "json", "none", NULL};

static const struct lz_flag flags[] = {
	[FLAG_SUMMARY] = {"summary", "text|json|none",
		"What is said on standard error at the end. With none, the program takes the place of this "
		"command, under the same process ID. Default: text",
		summaries, "text, json or none", 0},
	[FLAG_RECORD] = {.name = "record",
		.value = "FILE",
		.help = "Write to FILE, ten times a second, what the program and its descendants need, for "
			"'lazyzero plot'. On a terminal a line tells the state of a long run.",
		.accepts = "the name of a file"},
	[FLAG_NO_PROGRESS] = {.name = "no-progress", .help = "Leave out that line."},
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

/* Why no process wrote statistics, as far as can be told from here. */
static const char *inactive_reason(const struct lz_program *target, const struct lz_stats_location *location)
{
	static char problem[sizeof target->problem + 32];

	if (location->path[0] == '\0')
		return "there is no place for its statistics, so that nothing is known of it";
	if (target->problem[0] != '\0') {
		snprintf(problem, sizeof problem, "the %s is %s",
			target->is_script ? "interpreter" : "program", target->problem);
		return problem;
	}
	if (is_set_to(LZ_OPTION_PREFIX "DISABLE", "1"))
		return LZ_OPTION_PREFIX "DISABLE is 1";
	if (nonempty(getenv(LZ_OPTION_PREFIX "ONLY")) != NULL)
		return LZ_OPTION_PREFIX "ONLY names other programs";
	if (!location->is_private)
		return "LD_PRELOAD did not reach the program, or " STATS_VARIABLE " cannot be written";
	return "LD_PRELOAD did not reach the program";
}

static int exec_failure(const char *program, int error)
{
	const char *reason = strerror(error);

	if (error == ENOENT && strchr(program, '/') == NULL)
		reason = "not found in PATH";
	else if (error == ENOENT && access(program, F_OK) == 0)
		reason = "the interpreter or dynamic loader that it names does not exist";
	lz_message("cannot run '%s': %s", lz_printable(program).text, reason);
	return lz_child_exec_status(error);
}

/* Runs the program as a child and says at the end how it went. */
static int run_monitored(
	char *const argv[], const struct lz_program *target, unsigned form, struct lz_recorder *recorder)
{
	struct lz_summary summary = {.program = argv[0]};
	struct lz_child_monitor monitor = {
		.sample = recorder != NULL ? lz_recorder_sample : NULL, .context = recorder};
	struct lz_stats_location location;
	int error = 0;

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
	if (error)
		return lz_fail("cannot start a process: %s", strerror(-error));
	if (summary.result.exec_error != 0)
		return exec_failure(argv[0], summary.result.exec_error);
	if (summary.totals.processes == 0)
		summary.inactive = inactive_reason(target, &location);
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
	struct lz_program target;
	int error;

	if (arguments->operand_count == 0)
		return lz_fail_usage("run", "no program given");
	if (record != NULL && form == SUMMARY_NONE)
		return lz_fail_usage("run", "--record needs this command beside the program: not with "
					    "--summary=none");
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]))
		return LZ_EXIT_FAILURE;
	lz_program_inspect(&target, argv[0], &library.elf);
	lz_program_warn(&target, argv[0]);
	error = lz_arguments_set_variables(arguments);
	if (!error && !target.skip_preload)
		error = lz_library_preload(&library);
	if (error)
		return lz_fail("cannot set the environment: %s", strerror(-error));
	if (record != NULL && lz_recorder_open(&recorder, record, argv) != 0)
		return LZ_EXIT_FAILURE;
	if (record != NULL && arguments->values[FLAG_NO_PROGRESS] != NULL)
		recorder.progress = false;
	if (form != SUMMARY_NONE)
		return run_monitored(argv, &target, form, record != NULL ? &recorder : NULL);
	execvp(argv[0], argv);
	return exec_failure(argv[0], errno);
}

const struct lz_command lz_command_run = {
	.name = "run",
	.summary = "run a program under the library, and sum up at its end",
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.description =
		"Runs PROGRAM with the library preloaded. Signals and the exit status pass through; the "
		"status is 125 when the command itself fails, 126 when PROGRAM cannot be run, 127 when it is "
		"not found.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.runs_program = true,
	.run = run,
};
