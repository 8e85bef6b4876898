/* Chooses the form of the output; see output.h. */
#include "cli/report/output.h"

#include "cli/common/messages.h"
#include "cli/record/record.h"
#include "cli/report/folded.h"
#include "cli/report/headline.h"
#include "cli/report/html.h"
#include "cli/report/print.h"
#include "cli/report/read.h"

#define SITES_SHOWN 20u

int lz_report_output_write(
	const struct lz_report_output *output, struct lz_report *report, const char *record_path)
{
	const char *html = output->html;
	struct lz_flame *flame = NULL;
	struct lz_record record = {.end = -1};
	int status = lz_report_resolve(report, &output->symbols);

	if (status != 0)
		return status;
	lz_report_set_headlines(report, output->skip);
	if (output->folded)
		lz_report_print_folded(report);
	if (html != NULL && (flame = lz_flame_build(report)) == NULL)
		return lz_fail_memory();
	status = lz_report_group(report, output->by);
	if (status == 0)
		lz_report_sort(report);
	if (status == 0 && html != NULL && record_path != NULL)
		status = lz_record_read(&record, record_path);
	if (status == 0 && html != NULL)
		status = lz_report_write_html(report, record_path != NULL ? &record : NULL, flame, html);
	lz_record_free(&record);
	lz_flame_free(flame);
	if (status == 0 && output->diff.old_path != NULL)
		status = lz_report_diff_print(&output->diff, lz_report_json(report, output->by), output->by);
	else if (status == 0 && output->json)
		status = lz_report_print_json(report, output->by);
	else if (status == 0 && !output->folded)
		lz_report_print(report, output->all ? SIZE_MAX : SITES_SHOWN, output->width);
	return status;
}

int lz_report_output_files(
	const struct lz_report_output *output, char *const paths[], const char *record_path)
{
	struct lz_report report = {.process_count = 0};
	int status = 0;

	if (output->diff.old_path != NULL && lz_report_is_printed(*paths))
		return lz_report_diff_files(&output->diff, paths, output->by);
	for (; status == 0 && *paths != NULL; paths++)
		status = lz_report_read_file(&report, *paths);
	if (status == 0)
		status = lz_report_output_write(output, &report, record_path);
	lz_report_free(&report);
	return status;
}
