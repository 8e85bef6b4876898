/* Chooses the form of the output; see output.h. */
#include "cli/report/output.h"

#include "cli/record/record.h"
#include "cli/report/html.h"
#include "cli/report/print.h"
#include "cli/report/symbols.h"

#define SITES_SHOWN 20u

int lz_report_output_write(
	const struct lz_report_output *output, struct lz_report *report, const char *record_path)
{
	const char *html = output->html;
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
	if (status == 0 && output->json)
		status = lz_report_print_json(report);
	else if (status == 0)
		lz_report_print(report, output->all ? SIZE_MAX : SITES_SHOWN);
	return status;
}
