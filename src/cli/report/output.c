/* Chooses the form of the output; see output.h. */
#include "cli/report/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/record/record.h"
#include "cli/report/html.h"
#include "cli/report/print.h"
#include "cli/report/symbols.h"

#define SITES_SHOWN 20u
#define WIDTH_MIN 80
#define WIDTH_MAX 10000

int lz_report_output_set_width(struct lz_report_output *output, const char *given)
{
	uint64_t columns;
	struct winsize terminal;

	output->width = SIZE_MAX;
	if (given != NULL) {
		if (lz_parse_u64(given, &columns) != 0 || columns < WIDTH_MIN || columns > WIDTH_MAX)
			return lz_fail_usage("report", "--width: \"%s\" is not accepted: it takes %s",
				lz_printable(given).text, LZ_REPORT_WIDTH_ACCEPTED);
		output->width = columns;
	} else if (isatty(STDOUT_FILENO)) {
		output->width = WIDTH_MIN;
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) == 0 && terminal.ws_col > WIDTH_MIN)
			output->width = terminal.ws_col;
	}
	return 0;
}

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
		lz_report_print(report, output->all ? SIZE_MAX : SITES_SHOWN, output->width);
	return status;
}
