/*
 * `lazyzero report`: shows how the memory of each call site of a program was used, from the files that
 * LAZYZERO_REPORT wrote, or by running a program.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/launch/child.h"
#include "cli/launch/library.h"
#include "cli/record/record.h"
#include "cli/record/recorder.h"
#include "cli/report/html.h"
#include "cli/report/model.h"
#include "cli/report/print.h"
#include "cli/report/read.h"
#include "cli/report/symbols.h"
#include "support/options.h"

#define REPORT_VARIABLE LZ_OPTION_PREFIX "REPORT"
#define SITES_SHOWN 20u

enum { FLAG_HTML, FLAG_JSON, FLAG_ALL, FLAG_RECORD, FLAG_LIBRARY };

static const struct lz_flag flags[] = {
	[FLAG_HTML] = {.name = "html",
		.value = "FILE",
		.help = "Write a self-contained HTML page to FILE: a timeline of the run, a map of the "
			"address space, and the call sites.",
		.accepts = "the name of a file"},
	[FLAG_JSON] = {.name = "json", .help = "Print JSON."},
	[FLAG_ALL] = {.name = "all", .help = "Show all call sites, not only the first 20."},
	[FLAG_RECORD] = {.name = "record",
		.value = "FILE",
		.help = "With PROGRAM, write the record of the run to FILE. With REPORT, read the timeline "
			"for --html from FILE, which 'lazyzero run --record' wrote.",
		.accepts = "the name of a file"},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

static int print_report(
	const struct lz_arguments *arguments, struct lz_report *report, const char *record_path)
{
	const char *html = arguments->values[FLAG_HTML];
	struct lz_record record;
	int status = 0;

	lz_report_resolve(report);
	lz_report_sort(report);
	if (html != NULL && record_path != NULL)
		status = lz_record_read(&record, record_path);
	if (status == 0 && html != NULL)
		status = lz_report_write_html(report, record_path != NULL ? &record : NULL, html);
	if (html != NULL && record_path != NULL)
		lz_record_free(&record);
	if (status == 0 && arguments->values[FLAG_JSON] != NULL)
		status = lz_report_print_json(report);
	else if (status == 0)
		lz_report_print(report, arguments->values[FLAG_ALL] != NULL ? SIZE_MAX : SITES_SHOWN);
	return status;
}

static int report_files(const struct lz_arguments *arguments)
{
	struct lz_report report = {.process_count = 0};
	int status = 0;

	if (arguments->operand_count == 0)
		return lz_fail_usage("report", "no report and no program given");
	for (size_t i = 0; i < lz_option_count; i++)
		if (lz_arguments_option(arguments, i) != NULL)
			return lz_fail_usage("report",
				"--%s applies to a program that is run: put '--' before the program",
				lz_option_table[i].flag);
	for (int i = 0; status == 0 && i < arguments->operand_count; i++)
		status = lz_report_read_file(&report, arguments->operands[i]);
	if (status == 0)
		status = print_report(arguments, &report, arguments->values[FLAG_RECORD]);
	lz_report_free(&report);
	return status;
}

/* --- running a program --- */

/* The paths of the files of one run; those that the user did not name are in a temporary directory. */
struct run_files {
	char directory[PATH_MAX], report[PATH_MAX + 16], record[PATH_MAX + 16];
};

static int prepare_run_files(struct run_files *files, const struct lz_arguments *arguments)
{
	const char *temporary = getenv("TMPDIR"), *set = getenv(REPORT_VARIABLE);
	const char *record = arguments->values[FLAG_RECORD];

	snprintf(files->directory, sizeof files->directory, "%s/lazyzero-report-XXXXXX",
		temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
	if (mkdtemp(files->directory) == NULL)
		return lz_fail("cannot create the directory '%s': %s; set TMPDIR to another place",
			lz_printable(files->directory).text, strerror(errno));
	snprintf(files->report, sizeof files->report, "%s/report", files->directory);
	snprintf(files->record, sizeof files->record, "%s/record", files->directory);
	if (set != NULL && *set != '\0')
		snprintf(files->report, sizeof files->report, "%s", set);
	else if (setenv(REPORT_VARIABLE, files->report, 1) != 0)
		return lz_fail("cannot set the environment: %s", strerror(errno));
	if (record != NULL)
		snprintf(files->record, sizeof files->record, "%s", record);
	return 0;
}

static void remove_run_files(const struct run_files *files)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof path, "%s/report", files->directory);
	unlink(path);
	snprintf(path, sizeof path, "%s/record", files->directory);
	unlink(path);
	rmdir(files->directory);
}

static int run_program(char *const argv[], const struct run_files *files, struct lz_child_result *result)
{
	struct lz_recorder recorder;
	struct lz_child_monitor monitor = {.sample = lz_recorder_sample, .context = &recorder};
	int error;

	if (lz_recorder_open(&recorder, files->record, argv) != 0)
		return LZ_EXIT_FAILURE;
	error = lz_child_run(argv, &monitor, result);
	lz_recorder_close(&recorder, result);
	return lz_child_start_failure(argv[0], error, result);
}

/*
 * Prints the report. Returns the exit status: the program's own, or that of a failure to read or print the
 * report.
 */
static int print_program_report(const struct lz_arguments *arguments, const struct run_files *files,
	const struct lz_child_result *result)
{
	struct lz_report report = {.process_count = 0};
	struct lz_display name = lz_printable(arguments->operands[0]);
	const char *program = name.text;
	struct stat about;
	int status;

	if (strchr(files->report, '%') != NULL) {
		lz_message("the reports are in %s; 'lazyzero report' reads them",
			lz_printable(files->report).text);
		return lz_child_propagate_exit(result);
	}
	if (stat(files->report, &about) != 0)
		return lz_fail("'%s' wrote no report, since the library was not active in it; 'lazyzero run' "
			       "shows the reason",
			program);
	if (about.st_size == 0 && WIFSIGNALED(result->status))
		return lz_fail("'%s' was killed by signal %d (%s) before it could write its report", program,
			WTERMSIG(result->status), strsignal(WTERMSIG(result->status)));
	if (about.st_size == 0)
		return lz_fail("'%s' wrote no report: it called _exit, or executed a program in which the "
			       "library is not active",
			program);
	status = lz_report_read_file(&report, files->report);
	if (status == 0)
		status = print_report(arguments, &report, files->record);
	lz_report_free(&report);
	fflush(stdout);
	return status != 0 ? status : lz_child_propagate_exit(result);
}

static int report_program(const struct lz_arguments *arguments)
{
	struct lz_library library;
	struct lz_child_result result;
	struct run_files files;
	int status, error;

	if (arguments->operand_count == 0)
		return lz_fail_usage("report", "no program given");
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]) != 0)
		return LZ_EXIT_FAILURE;
	error = lz_arguments_set_variables(arguments);
	if (error == 0)
		error = lz_library_preload(&library);
	if (error)
		return lz_fail("cannot set the environment: %s", strerror(-error));
	status = prepare_run_files(&files, arguments);
	if (status != 0)
		return status;
	status = run_program(arguments->operands, &files, &result);
	if (status == 0)
		status = print_program_report(arguments, &files, &result);
	remove_run_files(&files);
	return status;
}

static int run(const struct lz_arguments *arguments)
{
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
		"directory of them; alternatively PROGRAM is run and its report shown. PEAK is the largest "
		"amount that was allocated at a time, WASTE the part of it that was not written.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.operands_max = INT_MAX,
	.run = run,
};
