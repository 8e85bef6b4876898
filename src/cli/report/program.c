/* Runs a program; see program.h. */
#include "cli/report/program.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/read.h"
#include "cli/report/run_files.h"
#include "cli/report/sites_file.h"
#include "cli/report/watched.h"

/* Whether a process left its table of call sites beside the report. */
static bool has_left_table(const char *report)
{
	struct lz_sites_files files;
	bool found;

	lz_sites_files_map(&files, report);
	found = files.count > 0;
	lz_sites_files_unmap(&files);
	return found;
}

/* Prints the report. Returns 0, or the exit status after an error message. */
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
		return 0;
	}
	if (stat(files->report, &about) != 0)
		return lz_fail("'%s' wrote no report, since the library was not active in it; 'lazyzero run' "
			       "shows the reason",
			program);
	if (about.st_size == 0 && !has_left_table(files->report) && WIFSIGNALED(result->status))
		return lz_fail(
			"'%s' was killed by signal %d (%s) before it had made a region of large memory, "
			"so there is no report",
			program, WTERMSIG(result->status), strsignal(WTERMSIG(result->status)));
	if (about.st_size == 0 && !has_left_table(files->report))
		return lz_fail(
			"'%s' wrote no report: it executed a program in which the library is not active",
			program);
	status = lz_report_read_file(&report, files->report);
	if (status == 0)
		status = lz_report_output_write(output, &report, files->record);
	lz_report_free(&report);
	fflush(stdout);
	return status;
}

int lz_report_program(char *const argv[], const char *record, const struct lz_report_output *output)
{
	struct lz_child_result result;
	struct lz_run_files files;
	int status = lz_run_files_prepare(&files, record);

	if (status != 0)
		return status;
	status = lz_report_run_watched(argv, files.report, files.record, &result);
	if (status == 0)
		status = print_program_report(output, argv[0], &files, &result);
	lz_run_files_remove(&files);
	if (status == 0 && result.oom_killed) {
		char text[400];

		lz_oom_describe(
			&result.oom, result.last_page_tables, result.last_sample_age, text, sizeof text);
		lz_message("'%s' was %s", lz_printable(argv[0]).text, text);
	}
	return status != 0 ? status : lz_child_propagate_exit(&result);
}
