/* `lazyzero run`: runs a program with the library preloaded and prints a summary at its end. */
#include <errno.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/launch/launch.h"
#include "cli/record/recorder.h"
#include "cli/run/monitored.h"
#include "cli/run/program.h"

enum { FLAG_SUMMARY, FLAG_RECORD, FLAG_NO_PROGRESS, FLAG_FAIL_TABLES, FLAG_LIBRARY };
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
	[FLAG_FAIL_TABLES] = {.name = "fail-tables",
		.value = "SIZE",
		.help = "For tests: exit with status 123 if the page tables of a process exceeded SIZE, such "
			"as "
			"64M, and PROGRAM succeeded.",
		.accepts = "bytes with an optional unit, such as 64M"},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

static int run(const struct lz_arguments *arguments)
{
	unsigned form = lz_arguments_choice(arguments, FLAG_SUMMARY);
	const char *record = arguments->values[FLAG_RECORD];
	const char *fail = arguments->values[FLAG_FAIL_TABLES];
	char **argv = arguments->operands;
	struct lz_recorder recorder;
	struct lz_library library;
	struct lz_program executable;
	uint64_t limit = UINT64_MAX;

	if (arguments->operand_count == 0)
		return lz_fail_usage("run", "no program given");
	if (record != NULL && form == SUMMARY_NONE)
		return lz_fail_usage("run",
			"--record cannot be used with --summary=none, with which the program "
			"replaces this command");
	if (fail != NULL && form == SUMMARY_NONE)
		return lz_fail_usage("run",
			"--fail-tables cannot be used with --summary=none, with which the program "
			"replaces this command");
	if (fail != NULL && lz_parse_size(fail, &limit) != 0)
		return lz_fail_usage("run", "--fail-tables: \"%s\" is not accepted: it takes %s",
			lz_printable(fail).text, flags[FLAG_FAIL_TABLES].accepts);
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]))
		return LZ_EXIT_FAILURE;
	lz_program_inspect(&executable, argv[0], &library.elf);
	lz_program_warn(&executable, argv[0]);
	if (lz_launch_set_environment(arguments, executable.skip_preload ? NULL : &library) != 0)
		return LZ_EXIT_FAILURE;
	if (record != NULL && lz_recorder_open(&recorder, record, argv) != 0)
		return LZ_EXIT_FAILURE;
	if (record != NULL && arguments->values[FLAG_NO_PROGRESS] != NULL)
		recorder.progress = false;
	if (form != SUMMARY_NONE)
		return lz_run_monitored(argv, &executable, record != NULL ? &recorder : NULL, limit,
			form == SUMMARY_JSON ? lz_summary_json : lz_summary_text);
	execvp(argv[0], argv);
	return lz_child_exec_failure(argv[0], errno);
}

const struct lz_command lz_command_run = {
	.name = "run",
	.summary = "run a program with the library and print a summary",
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.description =
		"Runs PROGRAM with the library preloaded. Signals are forwarded to PROGRAM, and its exit "
		"status is returned; the status is 123 if --fail-tables was exceeded, 125 if the command "
		"itself "
		"fails, 126 if PROGRAM cannot be executed, 127 if it is not found. PROGRAM and its "
		"descendants share one budget, unless "
		"--budget-scope says otherwise or --summary is none.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.runs_program = true,
	.run = run,
};
