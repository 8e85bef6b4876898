/* Texts about call sites; see hints.h. */
#include "cli/report/hints.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/report/python.h"

#define HINT_ZEROS_PERCENT 20                /* share of written zeros that hints mention at least */
#define HINT_TABLES_MIN (UINT64_C(64) << 10) /* bytes of page tables that hints mention at least */

/* What is known of a place; the texts and the module may be NULL. */
static void write_name(const char *function, const char *file, int line, const char *module, uint64_t offset,
	char *name, size_t capacity)
{
	if (file != NULL)
		snprintf(name, capacity, "%s (%s:%d)", function != NULL ? lz_printable(function).text : "?",
			lz_printable(lz_base_name(file)).text, line);
	else if (function != NULL)
		snprintf(name, capacity, "%s (%s)", lz_printable(function).text,
			module != NULL ? lz_printable(lz_base_name(module)).text : "?");
	else if (module != NULL && offset == UINT64_MAX)
		snprintf(name, capacity, "%s", lz_printable(lz_base_name(module)).text);
	else if (module != NULL)
		snprintf(name, capacity, "%s+0x%" PRIx64, lz_printable(lz_base_name(module)).text, offset);
	else
		snprintf(name, capacity, "0x%" PRIx64, offset);
}

void lz_report_site_name(const struct lz_report_site *site, char *name, size_t capacity)
{
	if (site->module == NULL && strcmp(site->call, "other") == 0)
		snprintf(name, capacity, "(all other call sites)");
	else
		write_name(
			site->function, site->file, site->line, site->module, site->offset, name, capacity);
}

void lz_report_place_name(const struct lz_report *report, const struct lz_report_address *address,
	size_t place, char *name, size_t capacity)
{
	static const struct lz_report_place unknown = {.line = 0};
	const struct lz_report_place *at = place < address->place_count ? &address->places[place] : &unknown;

	write_name(at->function, at->file, at->line,
		address->module != SIZE_MAX ? report->modules[address->module].path : NULL, address->offset,
		name, capacity);
}

bool lz_report_is_outermost(const struct lz_report *report, const struct lz_report_address *address)
{
	const char *function =
		address->place_count > 0 ? address->places[address->place_count - 1].function : NULL;

	return function != NULL && !lz_report_is_python(report, address) &&
	       (strcmp(function, "main") == 0 || strcmp(function, "start_thread") == 0);
}

void lz_report_callers(
	const struct lz_report *report, const struct lz_report_site *site, char *text, size_t capacity)
{
	size_t length = 0, place = site->headline_place + 1;

	*text = '\0';
	for (size_t frame = site->headline_frame; frame < site->frame_count; frame++, place = 0) {
		const struct lz_report_address *address = &report->addresses[site->frames[frame]];
		size_t end = address->place_count > 0 ? address->place_count : 1;

		for (; place < end && length + 1 < capacity; place++) {
			char name[512];

			if (address->place_count > 0 ? address->places[place].passes_on : address->passes_on)
				continue;
			lz_report_place_name(report, address, place, name, sizeof name);
			snprintf(text + length, capacity - length, "%s%s", length == 0 ? "called by " : " < ",
				name);
			length += strlen(text + length);
		}
		if (lz_report_is_outermost(report, address))
			break;
	}
}

void lz_report_percent_estimated(uint64_t part, uint64_t whole, char *percent, size_t capacity)
{
	char exact[12];

	lz_report_percent(part, whole, exact, sizeof exact);
	snprintf(percent, capacity, "%s%s", part != 0 && *exact >= '0' && *exact <= '9' ? "~" : "", exact);
}

void lz_report_percent(uint64_t part, uint64_t whole, char *percent, size_t capacity)
{
	double share = whole != 0 ? 100.0 * (double)part / (double)whole : 0;

	if (part == UINT64_MAX || whole == UINT64_MAX)
		snprintf(percent, capacity, "?");
	else if (share > 0 && share < 1)
		snprintf(percent, capacity, "<1%%");
	else if (share > 99 && share < 100)
		snprintf(percent, capacity, ">99%%");
	else
		snprintf(percent, capacity, "%.0f%%", share);
}

uint64_t lz_report_whole_tables(uint64_t bytes)
{
	return bytes <= UINT64_MAX - 4095 ? (bytes + 4095) / 4096 * 4096 : bytes;
}

/* --- hints --- */

/* Bytes of page tables at the site's peak. */
static struct lz_display tables_text(const struct lz_report_site *site, uint64_t sum)
{
	return lz_size_text(lz_report_whole_tables(lz_report_scale_to_peak(site, sum)));
}

/*
 * For memory that other processes may use: a page that this one touched is present, and what it did not touch
 * may be others'.
 */
static void shared_hint(const struct lz_report_site *site, char *hint, size_t capacity)
{
	const struct lz_report_usage *sum = &site->sum;
	char untouched[16];

	lz_report_percent(sum->untouched, sum->bytes, untouched, sizeof untouched);
	if (lz_report_scale_to_peak(site, sum->tables) >= HINT_TABLES_MIN)
		snprintf(hint, capacity,
			"Each process that maps it has page tables of its own, here %s; collapsed to huge "
			"pages it "
			"needs almost none (LAZYZERO_SHARED, 'lazyzero collapse').",
			tables_text(site, sum->tables).text);
	else
		snprintf(hint, capacity, "%s of this %s was not touched by this process.", untouched,
			lz_printable(site->call).text);
}

static bool is_share(uint64_t part, uint64_t whole, unsigned percent)
{
	return (double)part * 100 >= (double)whole * percent;
}

static bool has_unknown_usage(const struct lz_report_site *site)
{
	const struct lz_report_usage *sum = &site->sum;

	return sum->bytes == UINT64_MAX || sum->written == UINT64_MAX || sum->zero == UINT64_MAX ||
	       sum->untouched == UINT64_MAX || lz_report_scale_to_peak(site, sum->tables) == UINT64_MAX ||
	       lz_report_scale_to_peak(site, sum->window_tables) == UINT64_MAX;
}

/* For a site that filled much of its memory with zeros. */
static void written_zero_hint(const struct lz_report_site *site, char *hint, size_t capacity)
{
	const struct lz_report_usage *sum = &site->sum;
	char percent[16];

	lz_report_percent_estimated(sum->written_zero, sum->bytes, percent, sizeof percent);
	snprintf(hint, capacity,
		"%s of this %s was written, but holds only zeros (%s at the peak, estimated from a sample): "
		"%s.",
		percent, lz_printable(site->call).text,
		lz_size_text(lz_report_scale_to_peak(site, sum->written_zero)).text,
		strcmp(site->call, "calloc") == 0
			? "calloc has cleared it already, so leave out what writes the zeros"
			: "ask for zeroed memory instead of writing zeros (calloc, np.zeros, numeric(n) in "
			  "R)");
}

bool lz_report_memset_note(const struct lz_report *report, char *note, size_t capacity)
{
	uint64_t asked = 0, written = 0;

	for (size_t i = 0; i < report->process_count; i++) {
		const struct lz_report_process *process = &report->processes[i];

		asked += process->memset_bytes != UINT64_MAX ? process->memset_bytes : 0;
		written += process->memset_written != UINT64_MAX ? process->memset_written : 0;
	}
	snprintf(note, capacity, "memset: %s of zeros, of which %s had to be written",
		lz_size_text_in(asked, LZ_UNITS_AUTO).text, lz_size_text_in(written, LZ_UNITS_AUTO).text);
	return asked > 0;
}

const char *lz_report_unknown_note(const struct lz_report *report)
{
	/* What is not known of a killed process has another reason. */
	for (size_t i = 0; i < report->process_count; i++)
		if (strcmp(report->processes[i].reason, "killed") == 0)
			return NULL;
	for (size_t i = 0; i < report->site_count; i++)
		if (report->sites[i].sum.bytes != 0 && has_unknown_usage(&report->sites[i]))
			return "Which memory was touched is not known for all sites: this requires Linux 6.7 "
			       "(PAGEMAP_SCAN).";
	return NULL;
}

/* For a site backed by the zero page, or by both. */
static void zeropage_hint(const struct lz_report_site *site, char *hint, size_t capacity)
{
	const struct lz_report_usage *sum = &site->sum;
	uint64_t tables = lz_report_scale_to_peak(site, sum->tables);
	uint64_t on_window = lz_report_scale_to_peak(site, sum->window_tables);
	bool saves = tables >= HINT_TABLES_MIN && on_window < tables / 2;
	char untouched[16], zero[16];

	lz_report_percent(sum->untouched, sum->bytes, untouched, sizeof untouched);
	lz_report_percent(sum->zero, sum->bytes, zero, sizeof zero);
	if (saves && sum->tables > sum->written)
		snprintf(hint, capacity,
			"Its page tables (%s) cost more than its data (%s): a window would cost %s.",
			tables_text(site, sum->tables).text,
			lz_size_text(lz_report_scale_to_peak(site, sum->written)).text,
			tables_text(site, sum->window_tables).text);
	else if (saves)
		snprintf(hint, capacity,
			"%s of this %s was only read: a window would save %s of page tables.", zero,
			lz_printable(site->call).text, lz_size_text(tables - on_window).text);
	else if (is_share(sum->untouched, sum->bytes, 90) && tables >= HINT_TABLES_MIN &&
		 is_share(sum->tables, sum->written, 25))
		snprintf(hint, capacity,
			"%s of this %s was never touched; the written pages are so sparse that their page "
			"tables are costly.",
			untouched, lz_printable(site->call).text);
	else
		snprintf(hint, capacity, "%s of this %s was never touched.", untouched,
			lz_printable(site->call).text);
}

static void window_hint(const struct lz_report_site *site, char *hint, size_t capacity)
{
	const struct lz_report_usage *sum = &site->sum;
	char percent[16];

	if (is_share(sum->zero, sum->bytes, 40)) {
		lz_report_percent(sum->zero, sum->bytes, percent, sizeof percent);
		snprintf(hint, capacity,
			"%s of this %s was only read; on the window this costs %s of page tables.", percent,
			lz_printable(site->call).text, tables_text(site, sum->tables).text);
		return;
	}
	lz_report_percent(sum->untouched, sum->bytes, percent, sizeof percent);
	snprintf(hint, capacity, "%s of this %s was never touched.", percent, lz_printable(site->call).text);
}

void lz_report_hint(const struct lz_report_site *site, char *hint, size_t capacity)
{
	const struct lz_report_usage *sum = &site->sum;
	bool on_window = site->backing == LZ_REPORT_BACKING_WINDOW;
	char percent[16];

	*hint = '\0';
	if (sum->bytes == 0 || has_unknown_usage(site))
		return;
	lz_report_percent(sum->written, sum->bytes, percent, sizeof percent);
	if (site->is_shared)
		shared_hint(site, hint, capacity);
	else if (sum->written_zero != UINT64_MAX &&
		 is_share(sum->written_zero, sum->bytes, HINT_ZEROS_PERCENT))
		written_zero_hint(site, hint, capacity);
	else if (is_share(sum->written, sum->bytes, 90))
		snprintf(hint, capacity, "%s of it was written%s.", percent,
			on_window ? ": the zero page would serve it with fewer page faults"
				  : "; there is little to save");
	else if (on_window)
		window_hint(site, hint, capacity);
	else
		zeropage_hint(site, hint, capacity);
}
