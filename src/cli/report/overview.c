/* Sums a report up; see overview.h. */
#include "cli/report/overview.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/report/hints.h"

#define TABLES_MIN (UINT64_C(64) << 10) /* bytes of page tables that are worth a window */
#define ZEROS_PERCENT 10                /* share of written zeros that is worth a sentence */

struct sums {
	uint64_t peak, written, written_zero, tables,
		after; /* after: page tables on windows where those save */
	bool unknown;
};

static void add_site(struct sums *sums, const struct lz_report_site *site)
{
	uint64_t written = lz_report_scale_to_peak(site, site->sum.written);
	uint64_t zeros = lz_report_scale_to_peak(site, site->sum.written_zero);
	uint64_t tables = lz_report_scale_to_peak(site, site->sum.tables);
	uint64_t on_window = lz_report_scale_to_peak(site, site->sum.window_tables);
	bool helps = !site->is_shared && site->backing != LZ_REPORT_BACKING_WINDOW &&
		     on_window < tables / 2 && tables >= TABLES_MIN;

	if (written == UINT64_MAX || tables == UINT64_MAX || on_window == UINT64_MAX) {
		sums->unknown = true;
		return;
	}
	sums->peak += site->sum.peak;
	sums->written += written;
	sums->written_zero += zeros != UINT64_MAX ? zeros : 0;
	sums->tables += tables;
	sums->after += helps ? on_window : tables;
}

void lz_report_overview(const struct lz_report *report, char *text, size_t capacity)
{
	struct sums sums = {.peak = 0};
	char percent[16];
	size_t length;

	*text = '\0';
	for (size_t i = 0; i < report->site_count; i++)
		add_site(&sums, &report->sites[i]);
	if (sums.peak == 0)
		return;
	lz_report_percent(sums.peak - (sums.written < sums.peak ? sums.written : sums.peak), sums.peak,
		percent, sizeof percent);
	snprintf(text, capacity, "%s of %s was only read or never touched.", percent,
		lz_size_text(sums.peak).text);
	length = strlen(text);
	if (sums.after < sums.tables / 2)
		snprintf(text + length, capacity - length,
			" On a zero window (--backing=window) %s of page tables would do instead of %s.",
			lz_size_text(sums.after).text, lz_size_text(sums.tables).text);
	length = strlen(text);
	if (sums.written_zero > sums.peak / 100 * ZEROS_PERCENT)
		snprintf(text + length, capacity - length,
			" Without the writing of zeros %s less memory would do.",
			lz_size_text(sums.written_zero).text);
	length = strlen(text);
	if (sums.after >= sums.tables / 2 && sums.written_zero <= sums.peak / 100 * ZEROS_PERCENT &&
		!sums.unknown)
		snprintf(text + length, capacity - length,
			" It takes %s of page tables; no option saves much of them.",
			lz_size_text(sums.tables).text);
}

bool lz_report_unlisted_note(const struct lz_report *report, char *text, size_t capacity)
{
	uint64_t count = 0, bytes = 0;

	for (size_t i = 0; i < report->process_count; i++)
		if (report->processes[i].unlisted != UINT64_MAX) {
			count += report->processes[i].unlisted;
			bytes += report->processes[i].unlisted_bytes;
		}
	snprintf(text, capacity,
		"Not in the table: %" PRIu64
		" mapping%s of %s that did not pass the library: the allocator's own, "
		"below the thresholds, or made by direct system calls.",
		count, count == 1 ? "" : "s", lz_size_text(bytes).text);
	return count > 0;
}
