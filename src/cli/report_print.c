/* Reports as text and as JSON; see report.h. Lines of the table fit 80 columns. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/json.h"
#include "cli/report.h"

#define PLACE_WIDTH 33
#define TABLES_WORTH (UINT64_C(64) << 10) /* page tables that are worth a word */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

void lz_report_place(const struct lz_reported_site *site, char *place, size_t capacity)
{
	if (site->file != NULL)
		snprintf(place, capacity, "%s (%s:%d)",
			site->function != NULL ? lz_shown(site->function).text : "?",
			lz_shown(base_name(site->file)).text, site->line);
	else if (site->function != NULL)
		snprintf(place, capacity, "%s (%s)", lz_shown(site->function).text,
			lz_shown(base_name(site->module)).text);
	else if (site->module != NULL)
		snprintf(place, capacity, "%s+0x%" PRIx64, lz_shown(base_name(site->module)).text,
			site->offset);
	else if (strcmp(site->call, "other") == 0)
		snprintf(place, capacity, "(all other call sites)");
	else
		snprintf(place, capacity, "0x%" PRIx64, site->offset);
}

/* The same in no more than `width` columns: of a long name the end goes. */
static void short_place(const struct lz_reported_site *site, char *place, size_t capacity, size_t width)
{
	char *where;
	size_t rest;

	lz_report_place(site, place, capacity);
	where = strrchr(place, '(');
	if (where == NULL)
		where = strrchr(place, '+');
	if (strlen(place) <= width)
		return;
	rest = where != NULL ? strlen(where) : width;
	if (rest + 8 <= width)
		snprintf(place + width - rest - 2 - (*where == '('), capacity - width, "..%s%s",
			*where == '(' ? " " : "", strdupa(where));
	else
		place[width] = '\0';
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

static bool is_share(uint64_t part, uint64_t whole, unsigned percent)
{
	return (double)part * 100 >= (double)whole * percent;
}

void lz_report_hint(const struct lz_reported_site *site, char *hint, size_t capacity)
{
	const struct lz_figures *sum = &site->sum;
	uint64_t tables = lz_report_at_peak(site, sum->tables);
	uint64_t on_window = lz_report_at_peak(site, sum->window_tables);
	bool is_on_window = site->stood == LZ_STOOD_WINDOW;
	bool saves = tables >= TABLES_WORTH && on_window < tables / 2;
	char percent[16];

	*hint = '\0';
	if (sum->bytes == 0 || sum->bytes == UINT64_MAX)
		return;
	if (sum->written == UINT64_MAX || sum->zero == UINT64_MAX || sum->untouched == UINT64_MAX ||
		tables == UINT64_MAX || on_window == UINT64_MAX) {
		snprintf(hint, capacity,
			"What was touched is not known: that takes Linux 6.7 (PAGEMAP_SCAN).");
	} else if (!is_on_window && saves && sum->tables > sum->written) {
		snprintf(hint, capacity,
			"Its page tables (%s) cost more than its data (%s): a window would cost %s.",
			lz_shown_size(tables).text, lz_shown_size(lz_report_at_peak(site, sum->written)).text,
			lz_shown_size(on_window).text);
	} else if (is_share(sum->untouched, sum->bytes, 90)) {
		lz_report_percent(sum->untouched, sum->bytes, percent, sizeof percent);
		snprintf(hint, capacity, "%s of this %s was never touched%s.", percent,
			lz_shown(site->call).text,
			tables >= TABLES_WORTH && is_share(sum->tables, sum->written, 25)
				? "; what is written lies so far apart that its page tables count"
				: "");
	} else if (is_share(sum->zero, sum->bytes, 40)) {
		lz_report_percent(sum->zero, sum->bytes, percent, sizeof percent);
		if (is_on_window)
			snprintf(hint, capacity,
				"%s of this %s was only ever read, which on the window costs %s.", percent,
				lz_shown(site->call).text, lz_shown_size(tables).text);
		else
			snprintf(hint, capacity, "%s of this %s was only ever read, as zeroes%s%s.", percent,
				lz_shown(site->call).text,
				saves ? ": a window would save page tables, of " : "",
				saves ? lz_shown_size(tables - on_window).text : "");
	} else if (is_share(sum->written, sum->bytes, 90)) {
		snprintf(hint, capacity, "All of it is written%s.",
			is_on_window ? ": the zero page would serve it with fewer page faults"
				     : "; there is nothing to save");
		if (!is_share(sum->written, sum->bytes, 100)) {
			lz_report_percent(sum->written, sum->bytes, percent, sizeof percent);
			snprintf(hint, capacity, "%s of it is written; there is little to save.", percent);
		}
	} else {
		lz_report_percent(sum->untouched, sum->bytes, percent, sizeof percent);
		snprintf(hint, capacity, "%s of this %s was never touched.", percent,
			lz_shown(site->call).text);
	}
}

/* --- text --- */

static struct lz_shown size_text(uint64_t bytes)
{
	struct lz_shown unknown = {.text = "?"};

	return bytes == UINT64_MAX ? unknown : lz_column_size(bytes, LZ_UNITS_AUTO);
}

static void print_site(const struct lz_reported_site *site, bool colours)
{
	const struct lz_figures *sum = &site->sum;
	char written[16], zero[16], untouched[16];
	char place[512], hint[512];

	short_place(site, place, sizeof place, PLACE_WIDTH);
	lz_report_percent(sum->written, sum->bytes, written, sizeof written);
	lz_report_percent(sum->zero, sum->bytes, zero, sizeof zero);
	lz_report_percent(sum->untouched, sum->bytes, untouched, sizeof untouched);
	printf("%s%6s%s %6s %7s %5s %5s %6s %6" PRIu64 "  %s%s%s\n", colours ? "\033[1m" : "",
		size_text(site->waste).text, colours ? "\033[0m" : "", size_text(sum->peak).text, written,
		zero, untouched, size_text(lz_report_at_peak(site, sum->tables)).text,
		sum->count != UINT64_MAX ? sum->count : 0, colours ? "\033[1m" : "", place,
		colours ? "\033[0m" : "");
	lz_report_hint(site, hint, sizeof hint);
	if (*hint == '\0')
		return;
	if (colours)
		fputs("\033[36m", stdout);
	lz_print_wrapped(hint, 7, 0);
	if (colours)
		fputs("\033[0m", stdout);
}

static void print_processes(const struct lz_report_read *report)
{
	uint64_t left_out = 0;
	size_t cut = 0;

	if (report->process_count == 1)
		printf("%s[%" PRIu64 "], at %s: ", lz_shown(report->processes[0].executable).text,
			report->processes[0].pid,
			strcmp(report->processes[0].reason, "signal") == 0 ? "a signal" : "exit");
	else
		printf("%zu processes: ", report->process_count);
	printf("%zu call site%s, %zu region%s alive\n", report->site_count,
		report->site_count == 1 ? "" : "s", report->region_count,
		report->region_count == 1 ? "" : "s");
	for (size_t i = 0; i < report->process_count; i++) {
		cut += !report->processes[i].complete;
		left_out += report->processes[i].left_out != UINT64_MAX ? report->processes[i].left_out : 0;
	}
	fflush(stdout);
	if (cut > 0)
		lz_warn("%zu report%s cut short: what follows is not all", cut, cut == 1 ? " is" : "s are");
	if (left_out > 0)
		lz_warn("%" PRIu64 " regions that were alive are not in it: there were too many", left_out);
	if (report->not_understood > 0)
		lz_warn("%zu line%s could not be understood, and %s left out", report->not_understood,
			report->not_understood == 1 ? "" : "s", report->not_understood == 1 ? "is" : "are");
}

void lz_report_text(const struct lz_report_read *report, size_t sites_max)
{
	bool colours = lz_colours(stdout);
	size_t shown = report->site_count < sites_max ? report->site_count : sites_max;

	print_processes(report);
	if (report->site_count == 0) {
		lz_print_wrapped(
			"No region was made: calloc asked for less than LAZYZERO_THRESHOLD, and malloc and "
			"its like for less than LAZYZERO_MALLOC_THRESHOLD.",
			0, 0);
		return;
	}
	printf("%s WASTE   PEAK WRITTEN  READ NEVER TABLES   MADE  CALL SITE%s\n", colours ? "\033[7m" : "",
		colours ? "\033[0m" : "");
	for (size_t i = 0; i < shown; i++)
		print_site(&report->sites[i], colours);
	if (shown < report->site_count)
		printf("%zu more call site%s; --all shows them\n", report->site_count - shown,
			report->site_count - shown == 1 ? "" : "s");
}

/* --- JSON --- */

static json_t *figures_json(const struct lz_figures *sum, enum lz_stood stood)
{
	static const char *const names[] = {
		[LZ_STOOD_ZEROPAGE] = "zeropage", [LZ_STOOD_WINDOW] = "window", [LZ_STOOD_BOTH] = "both"};
	json_t *object = json_object();

	json_object_set_new(object, "bytes", lz_json_number(sum->bytes));
	json_object_set_new(object, "written", lz_json_number(sum->written));
	json_object_set_new(object, "zero", lz_json_number(sum->zero));
	json_object_set_new(object, "untouched", lz_json_number(sum->untouched));
	json_object_set_new(object, "page_tables", lz_json_number(sum->tables));
	json_object_set_new(object, "page_tables_on_window", lz_json_number(sum->window_tables));
	json_object_set_new(object, "page_tables_if_touched", lz_json_number(sum->full_tables));
	json_object_set_new(object, "backing", json_string(names[stood & LZ_STOOD_BOTH ? stood : 1]));
	return object;
}

static json_t *site_json(const struct lz_reported_site *site)
{
	json_t *object = figures_json(&site->sum, site->stood);
	char hint[512];

	lz_report_hint(site, hint, sizeof hint);
	json_object_set_new(object, "call", lz_json_string(site->call));
	json_object_set_new(object, "module", lz_json_string(site->module));
	json_object_set_new(object, "offset", lz_json_number(site->offset));
	json_object_set_new(object, "function", lz_json_string(site->function));
	json_object_set_new(object, "file", lz_json_string(site->file));
	json_object_set_new(object, "line", site->line > 0 ? json_integer(site->line) : json_null());
	json_object_set_new(object, "regions_made", lz_json_number(site->sum.count));
	json_object_set_new(object, "bytes_asked", lz_json_number(site->sum.asked));
	json_object_set_new(object, "bytes_peak", lz_json_number(site->sum.peak));
	json_object_set_new(object, "bytes_alive", lz_json_number(site->sum.alive));
	json_object_set_new(object, "waste", lz_json_number(site->waste));
	json_object_set_new(object, "hint", json_string(hint));
	return object;
}

static json_t *process_json(const struct lz_reported_process *process)
{
	json_t *object = json_object();

	json_object_set_new(object, "pid", lz_json_number(process->pid));
	json_object_set_new(object, "executable", lz_json_string(process->executable));
	json_object_set_new(object, "reason", lz_json_string(process->reason));
	json_object_set_new(object, "complete", json_boolean(process->complete));
	json_object_set_new(object, "regions_left_out", lz_json_number(process->left_out));
	return object;
}

int lz_report_json(const struct lz_report_read *report)
{
	json_t *object = json_object(), *processes = json_array(), *sites = json_array(),
	       *regions = json_array();

	for (size_t i = 0; i < report->process_count; i++)
		json_array_append_new(processes, process_json(&report->processes[i]));
	for (size_t i = 0; i < report->site_count; i++)
		json_array_append_new(sites, site_json(&report->sites[i]));
	for (size_t i = 0; i < report->region_count; i++) {
		const struct lz_reported_region *region = &report->regions[i];
		json_t *line = figures_json(&region->sum, region->stood);

		json_object_set_new(line, "address", lz_json_number(region->base));
		json_object_set_new(line, "process", json_integer((json_int_t)region->process));
		json_object_set_new(line, "site", json_integer((json_int_t)region->site));
		json_array_append_new(regions, line);
	}
	json_object_set_new(object, "processes", processes);
	json_object_set_new(object, "sites", sites);
	json_object_set_new(object, "regions", regions);
	json_object_set_new(object, "lines_not_understood", json_integer((json_int_t)report->not_understood));
	return lz_json_print(object);
}
