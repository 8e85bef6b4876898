/*
 * `lazyzero report`: what became of the memory that each call site of a program asked for; from files that
 * LAZYZERO_REPORT wrote, or of a program that is run for it.
 */
#include "cli/report/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/launch/child.h"
#include "cli/common/command.h"
#include "cli/launch/library.h"
#include "cli/record/recorder.h"
#include "cli/record/record.h"
#include "support/options.h"

#define REPORT_VARIABLE LZ_OPTION_PREFIX "REPORT"
#define SITES_SHOWN 20u

enum { FLAG_HTML, FLAG_JSON, FLAG_ALL, FLAG_RECORD, FLAG_LIBRARY };

static const struct lz_flag flags[] = {
	[FLAG_HTML] = {.name = "html",
		.value = "FILE",
		.help = "Write a page to FILE that needs nothing else: how the run went, a map of the "
			"address space, "
			"the call sites.",
		.accepts = "the name of a file"},
	[FLAG_JSON] = {.name = "json", .help = "Print JSON."},
	[FLAG_ALL] = {.name = "all", .help = "Show all call sites, not only the first 20."},
	[FLAG_RECORD] = {.name = "record",
		.value = "FILE",
		.help = "With PROGRAM, keep the record of the run in FILE; else take from it, as 'lazyzero "
			"run "
			"--record' wrote it, how the run went.",
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
				"--%s is for a program that is run: put '--' before it",
				lz_option_table[i].flag);
	for (int i = 0; status == 0 && i < arguments->operand_count; i++)
		status = lz_report_read_file(&report, arguments->operands[i]);
	if (status == 0)
		status = print_report(arguments, &report, arguments->values[FLAG_RECORD]);
	lz_report_free(&report);
	return status;
}

/* --- of a program --- */

/* The files of one run, in a directory of their own where they are not to be kept. */
struct files {
	char directory[PATH_MAX], report[PATH_MAX + 16], record[PATH_MAX + 16];
};

static int prepare_run_files(struct files *files, const struct lz_arguments *arguments)
{
	const char *temporary = getenv("TMPDIR"), *set = getenv(REPORT_VARIABLE);
	const char *record = arguments->values[FLAG_RECORD];

	snprintf(files->directory, sizeof files->directory, "%s/lazyzero-report-XXXXXX",
		temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
	if (mkdtemp(files->directory) == NULL)
		return lz_fail("cannot make a directory '%s': %s; TMPDIR names where",
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

static void remove_run_files(const struct files *files)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof path, "%s/report", files->directory);
	unlink(path);
	snprintf(path, sizeof path, "%s/record", files->directory);
	unlink(path);
	rmdir(files->directory);
}

static int run_program(char *const argv[], const struct files *files, struct lz_child_result *result)
{
	struct lz_recorder recorder;
	struct lz_child_monitor monitor = {.sample = lz_recorder_sample, .context = &recorder};
	int error;

	if (lz_recorder_open(&recorder, files->record, argv) != 0)
		return LZ_EXIT_FAILURE;
	error = lz_child_run(argv, &monitor, result);
	lz_recorder_close(&recorder, result);
	if (error)
		return lz_fail("cannot start a process: %s", strerror(-error));
	if (result->exec_error != 0) {
		lz_message("cannot run '%s': %s", lz_printable(argv[0]).text,
			result->exec_error == ENOENT && strchr(argv[0], '/') == NULL
				? "not found in PATH"
				: strerror(result->exec_error));
		return lz_child_exec_status(result->exec_error);
	}
	return 0;
}

/* The exit status is the command's own: what the program's was is said. */
static int print_program_report(
	const struct lz_arguments *arguments, const struct files *files, const struct lz_child_result *result)
{
	struct lz_report report = {.process_count = 0};
	struct lz_display shown = lz_printable(arguments->operands[0]);
	const char *program = shown.text;
	struct stat about;
	int status;

	if (strchr(files->report, '%') != NULL) {
		lz_message("the reports are in %s: 'lazyzero report' reads them",
			lz_printable(files->report).text);
		return lz_child_propagate_exit(result);
	}
	if (stat(files->report, &about) != 0)
		return lz_fail("'%s' wrote no report: the library was not active in it; 'lazyzero run' says "
			       "why",
			program);
	if (about.st_size == 0 && WIFSIGNALED(result->status))
		return lz_fail("'%s' died of signal %d (%s) before it could report", program,
			WTERMSIG(result->status), strsignal(WTERMSIG(result->status)));
	if (about.st_size == 0)
		return lz_fail("'%s' did not report: it ended by _exit, or became a program that the library "
			       "does not reach",
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
	struct files files;
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
	.summary = "show what became of the memory of each call site",
	.usage = "[OPTION]... REPORT... | -- PROGRAM [ARGUMENT]...",
	.description =
		"Shows, for each place in a program that asked for large memory, how much of it was written, "
		"only read as zeroes, or never touched, and what its page tables cost; what wastes most "
		"comes "
		"first. REPORT is a file that LAZYZERO_REPORT (--report of 'lazyzero run') wrote; PROGRAM is "
		"run "
		"for it. WASTE is what was not written of the most that was there at a time (PEAK).",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.operands_max = INT_MAX,
	.run = run,
};
