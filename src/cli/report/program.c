/* Runs a program; see program.h. */
#include "cli/report/program.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/launch/launch.h"
#include "cli/record/recorder.h"
#include "cli/report/read.h"
#include "cli/report/run_files.h"

static int run_program(char *const argv[], const struct lz_run_files *files, struct lz_child_result *result)
{
	struct lz_recorder recorder;
	struct lz_child_monitor monitor = {.sample = lz_recorder_sample, .context = &recorder};
	int status;

	if (lz_recorder_open(&recorder, files->record, argv) != 0)
		return LZ_EXIT_FAILURE;
	status = lz_launch_run(argv, &monitor, result);
	lz_recorder_close(&recorder, result);
	return status;
}

/*
 * Prints the report. Returns the exit status: the program's own, or that of a failure to read or print the
 * report.
 */
static int print_program_report(const struct lz_report_output *output, const char *argv0,
	const struct lz_run_files *files, const struct lz_child_result *result)
{
	struct lz_report report = {.process_count = 0};
	struct lz_display name = lz_printable(argv0);
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
		status = lz_report_output_write(output, &report, files->record);
	lz_report_free(&report);
	fflush(stdout);
	return status != 0 ? status : lz_child_propagate_exit(result);
}

int lz_report_program(char *const argv[], const char *record, const struct lz_report_output *output)
{
	struct lz_child_result result;
	struct lz_run_files files;
	int status = lz_run_files_prepare(&files, record);

	if (status != 0)
		return status;
	status = run_program(argv, &files, &result);
	if (status == 0)
		status = print_program_report(output, argv[0], &files, &result);
	lz_run_files_remove(&files);
	return status;
}
