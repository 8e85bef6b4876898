/* Prints a report; see print.h. */
#include "cli/report/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/common/help.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"
#include "cli/report/hints.h"
#include "cli/report/overview.h"
#include "cli/report/runtime.h"

#define ZEROED_WIDTH 25  /* the same in the table of memset */
#define FIGURES_WIDTH 55 /* columns of a row before the name */
#define NAME_WIDTH 24

/*
 * The name of a site in at most `width` columns. A long function name loses its end, not the file and line.
 */
static void short_site_name(const struct lz_report_site *site, char *name, size_t capacity, size_t width)
{
	char *where;
	size_t rest;

	lz_report_site_name(site, name, capacity);
	where = strrchr(name, '(');
	if (where == NULL)
		where = strrchr(name, '+');
	if (strlen(name) <= width)
		return;
	rest = where != NULL ? strlen(where) : width;
	if (rest + 8 <= width)
		snprintf(name + width - rest - 2 - (*where == '('), capacity - width, "..%s%s",
			*where == '(' ? " " : "", strdupa(where));
	else
		name[width] = '\0';
}

/* --- text --- */

static struct lz_display size_or_unknown(uint64_t bytes)
{
	struct lz_display unknown = {.text = "?"};

	return bytes == UINT64_MAX ? unknown : lz_size_text_in(bytes, LZ_UNITS_AUTO);
}

/* A count in at most six columns. */
static struct lz_display count_or_unknown(uint64_t count)
{
	struct lz_display shown = {.text = "?"};

	if (count != UINT64_MAX)
		snprintf(shown.text, sizeof shown.text, count < 1000000 ? "%" PRIu64 : "%" PRIu64 "M",
			count < 1000000 ? count : count / 1000000);
	return shown;
}

static void print_site(
	const struct lz_report *report, const struct lz_report_site *site, size_t width, bool colours)
{
	const struct lz_report_usage *sum = &site->sum;
	char written[16], written_zero[16], zero[16], untouched[16];
	char name[512], hint[512], callers[8192];

	short_site_name(site, name, sizeof name, width - FIGURES_WIDTH);
	lz_report_percent(sum->written, sum->bytes, written, sizeof written);
	lz_report_percent_estimated(sum->written_zero, sum->bytes, written_zero, sizeof written_zero);
	lz_report_percent(sum->zero, sum->bytes, zero, sizeof zero);
	lz_report_percent(sum->untouched, sum->bytes, untouched, sizeof untouched);
	printf("%s%6s%s %6s %7s %5s %5s %5s %6s %6s  %s%s%s\n", colours ? "\033[1m" : "",
		size_or_unknown(site->waste).text, colours ? "\033[0m" : "", size_or_unknown(sum->peak).text,
		written, written_zero, zero, untouched,
		size_or_unknown(lz_report_whole_tables(lz_report_scale_to_peak(site, sum->tables))).text,
		count_or_unknown(sum->count).text, colours ? "\033[1m" : "", name, colours ? "\033[0m" : "");
	lz_report_callers(report, site, callers, sizeof callers);
	if (*callers != '\0')
		lz_print_wrapped(callers, 7, 0);
	lz_report_hint(site, hint, sizeof hint);
	if (*hint == '\0')
		return;
	if (colours)
		fputs("\033[36m", stdout);
	lz_print_wrapped(hint, 7, 0);
	if (colours)
		fputs("\033[0m", stdout);
}

/* When a report was made, by its reason. */
static const char *when_text(const char *reason)
{
	return strcmp(reason, "signal") == 0    ? "at a signal"
	       : strcmp(reason, "killed") == 0  ? "when it was killed"
	       : strcmp(reason, "running") == 0 ? "now"
	       : strcmp(reason, "exec") == 0    ? "until it executed another program"
						: "at exit";
}

/* The age of what is known about memory that was live when its process was killed. */
static void print_age(const struct lz_report *report)
{
	double oldest = -1;
	size_t killed = 0, unseen = 0;

	for (size_t i = 0; i < report->process_count; i++) {
		const struct lz_report_process *process = &report->processes[i];

		if (strcmp(process->reason, "killed") != 0 || process->alive == 0)
			continue;
		killed++;
		unseen += process->age < 0;
		oldest = process->age > oldest ? process->age : oldest;
	}
	if (killed > unseen)
		printf("Memory that was live was last looked at %.2g s before the end.\n", oldest);
	if (unseen > 0)
		lz_print_wrapped(
			"What was in the live memory of a killed process is not known: nobody looked at it "
			"while it ran ('lazyzero report -- PROGRAM' does, ten times a second).",
			0, 0);
}

static void print_processes(const struct lz_report *report)
{
	uint64_t omitted = 0, alive = 0;
	size_t truncated = 0;
	char note[128], overview[512];

	for (size_t i = 0; i < report->process_count; i++) {
		truncated += !report->processes[i].complete;
		alive += report->processes[i].alive != UINT64_MAX ? report->processes[i].alive : 0;
		omitted += report->processes[i].omitted != UINT64_MAX ? report->processes[i].omitted : 0;
	}
	if (report->process_count == 1)
		printf("%s[%" PRIu64 "], %s: ",
			lz_printable_tail(report->processes[0].executable, NAME_WIDTH).text,
			report->processes[0].pid, when_text(report->processes[0].reason));
	else
		printf("%zu processes: ", report->process_count);
	printf("%zu call site%s, %" PRIu64 " region%s alive\n", report->site_count,
		report->site_count == 1 ? "" : "s", alive, alive == 1 ? "" : "s");
	lz_report_overview(report, overview, sizeof overview);
	if (*overview != '\0')
		lz_print_wrapped(overview, 0, 0);
	if (lz_report_memset_note(report, note, sizeof note))
		puts(note);
	print_age(report);
	fflush(stdout);
	if (truncated > 0)
		lz_warning("%zu report%s truncated; the figures are incomplete", truncated,
			truncated == 1 ? " is" : "s are");
	if (omitted > 0)
		lz_warning("%" PRIu64 " live regions are not listed: there were too many", omitted);
	if (report->unparsed_lines > 0)
		lz_warning("skipped %zu line%s that could not be parsed", report->unparsed_lines,
			report->unparsed_lines == 1 ? "" : "s");
}

/* The places that zero memory, those that had to write most of it first. */
static void print_zeroers(const struct lz_report *report, size_t most, size_t width, bool colours)
{
	size_t shown = report->zeroer_count < most ? report->zeroer_count : most;

	if (shown > 0)
		printf("%s ZEROED WRITTEN   CALLS  BY A CALL OF MEMSET%s\n", colours ? "\033[7m" : "",
			colours ? "\033[0m" : "");
	for (size_t i = 0; i < shown; i++) {
		const struct lz_report_site *site = &report->zeroers[i];
		char written[16], name[512], callers[8192];

		short_site_name(site, name, sizeof name, width - ZEROED_WIDTH);
		lz_report_percent(site->sum.written, site->sum.bytes, written, sizeof written);
		printf("%7s %7s %7s  %s\n", size_or_unknown(site->sum.bytes).text, written,
			count_or_unknown(site->sum.count).text, name);
		lz_report_callers(report, site, callers, sizeof callers);
		if (*callers != '\0')
			lz_print_wrapped(callers, 7, 0);
	}
	if (shown < report->zeroer_count)
		printf("%zu more; --all shows them\n", report->zeroer_count - shown);
}

void lz_report_print(const struct lz_report *report, size_t sites_max, size_t width)
{
	bool colours = lz_colours_enabled(stdout);
	size_t shown = report->site_count < sites_max ? report->site_count : sites_max;
	char note[512];

	print_processes(report);
	if (report->site_count == 0)
		lz_print_wrapped(
			"No region was created: every calloc request was below LAZYZERO_THRESHOLD, and every "
			"request of malloc and its family below LAZYZERO_MALLOC_THRESHOLD.",
			0, 0);
	else
		printf("%s WASTE   PEAK WRITTEN ZEROS  READ NEVER TABLES   MADE  CALL SITE%s\n",
			colours ? "\033[7m" : "", colours ? "\033[0m" : "");
	for (size_t i = 0; i < shown; i++)
		print_site(report, &report->sites[i], width, colours);
	print_zeroers(report, sites_max, width, colours);
	if (lz_report_unlisted_note(report, note, sizeof note))
		lz_print_wrapped(note, 0, 0);
	if (lz_report_unknown_note(report) != NULL)
		puts(lz_report_unknown_note(report));
	if (lz_report_runtime_note(report, note, sizeof note))
		lz_print_wrapped(note, 0, 0);
	if (shown < report->site_count)
		printf("%zu more call site%s; --all shows them\n", report->site_count - shown,
			report->site_count - shown == 1 ? "" : "s");
}

/* --- JSON --- */

static json_t *usage_json(const struct lz_report_usage *sum, enum lz_report_backing backing)
{
	static const char *const names[] = {[LZ_REPORT_BACKING_ZEROPAGE] = "zeropage",
		[LZ_REPORT_BACKING_WINDOW] = "window",
		[LZ_REPORT_BACKING_BOTH] = "both"};
	json_t *object = json_object();

	json_object_set_new(object, "bytes", lz_json_number(sum->bytes));
	json_object_set_new(object, "written", lz_json_number(sum->written));
	json_object_set_new(object, "written_zero_estimate", lz_json_number(sum->written_zero));
	json_object_set_new(object, "zero", lz_json_number(sum->zero));
	json_object_set_new(object, "untouched", lz_json_number(sum->untouched));
	json_object_set_new(object, "page_tables", lz_json_number(sum->tables));
	json_object_set_new(object, "page_tables_on_window", lz_json_number(sum->window_tables));
	json_object_set_new(object, "page_tables_if_touched", lz_json_number(sum->full_tables));
	json_object_set_new(
		object, "backing", json_string(names[backing & LZ_REPORT_BACKING_BOTH ? backing : 1]));
	return object;
}

/* The frames of a stack, innermost first, inlined functions included. */
static json_t *stack_json(const struct lz_report *report, const struct lz_report_site *site)
{
	json_t *stack = json_array();

	for (size_t i = 0; i < site->frame_count; i++) {
		const struct lz_report_address *address = &report->addresses[site->frames[i]];
		size_t place = 0;

		do {
			static const struct lz_report_place unknown = {.line = 0};
			const struct lz_report_place *at =
				address->place_count > 0 ? &address->places[place] : &unknown;
			json_t *frame = json_object();

			json_object_set_new(frame, "module",
				lz_json_string(address->module != SIZE_MAX
						       ? report->modules[address->module].path
						       : NULL));
			json_object_set_new(frame, "offset", lz_json_number(address->offset));
			json_object_set_new(frame, "function", lz_json_string(at->function));
			json_object_set_new(frame, "file", lz_json_string(at->file));
			json_object_set_new(
				frame, "line", at->line > 0 ? json_integer(at->line) : json_null());
			json_object_set_new(frame, "inlined", json_boolean(place + 1 < address->place_count));
			json_array_append_new(stack, frame);
		} while (++place < address->place_count);
	}
	return stack;
}

static json_t *site_json(const struct lz_report *report, const struct lz_report_site *site)
{
	json_t *object = usage_json(&site->sum, site->backing);
	char hint[512];

	lz_report_hint(site, hint, sizeof hint);
	json_object_set_new(object, "call", lz_json_string(site->call));
	json_object_set_new(object, "module", lz_json_string(site->module));
	json_object_set_new(object, "offset", lz_json_number(site->offset));
	json_object_set_new(object, "function", lz_json_string(site->function));
	json_object_set_new(object, "file", lz_json_string(site->file));
	json_object_set_new(object, "line", site->line > 0 ? json_integer(site->line) : json_null());
	json_object_set_new(object, "stack", stack_json(report, site));
	json_object_set_new(object, "regions_made", lz_json_number(site->sum.count));
	json_object_set_new(object, "bytes_asked", lz_json_number(site->sum.asked));
	json_object_set_new(object, "bytes_peak", lz_json_number(site->sum.peak));
	json_object_set_new(object, "bytes_alive", lz_json_number(site->sum.alive));
	json_object_set_new(object, "waste", lz_json_number(site->waste));
	json_object_set_new(object, "hint", json_string(hint));
	return object;
}

/* A place that zeroes memory. */
static json_t *zeroer_json(const struct lz_report *report, const struct lz_report_site *site)
{
	json_t *object = json_object();

	json_object_set_new(object, "module", lz_json_string(site->module));
	json_object_set_new(object, "function", lz_json_string(site->function));
	json_object_set_new(object, "file", lz_json_string(site->file));
	json_object_set_new(object, "line", site->line > 0 ? json_integer(site->line) : json_null());
	json_object_set_new(object, "stack", stack_json(report, site));
	json_object_set_new(object, "calls", lz_json_number(site->sum.count));
	json_object_set_new(object, "bytes", lz_json_number(site->sum.bytes));
	json_object_set_new(object, "written", lz_json_number(site->sum.written));
	return object;
}

static json_t *process_json(const struct lz_report_process *process)
{
	json_t *object = json_object();

	json_object_set_new(object, "pid", lz_json_number(process->pid));
	json_object_set_new(object, "executable", lz_json_string(process->executable));
	json_object_set_new(object, "reason", lz_json_string(process->reason));
	json_object_set_new(object, "complete", json_boolean(process->complete));
	json_object_set_new(object, "regions_alive", lz_json_number(process->alive));
	json_object_set_new(object, "regions_left_out", lz_json_number(process->omitted));
	json_object_set_new(object, "mappings_unlisted", lz_json_number(process->unlisted));
	json_object_set_new(object, "mapping_bytes_unlisted", lz_json_number(process->unlisted_bytes));
	json_object_set_new(
		object, "look_age_seconds", process->age >= 0 ? json_real(process->age) : json_null());
	json_object_set_new(object, "memset_bytes", lz_json_number(process->memset_bytes));
	json_object_set_new(object, "memset_written_bytes", lz_json_number(process->memset_written));
	return object;
}

json_t *lz_report_json(const struct lz_report *report, enum lz_report_by by)
{
	json_t *object = json_object(), *processes = json_array(), *sites = json_array(),
	       *regions = json_array(), *zeroers = json_array();
	char overview[512];

	json_object_set_new(object, "version", json_integer(LZ_REPORT_JSON_VERSION));
	json_object_set_new(object, "by", json_string(lz_report_by_names[by]));
	for (size_t i = 0; i < report->process_count; i++)
		json_array_append_new(processes, process_json(&report->processes[i]));
	for (size_t i = 0; i < report->site_count; i++)
		json_array_append_new(sites, site_json(report, &report->sites[i]));
	for (size_t i = 0; i < report->region_count; i++) {
		const struct lz_report_region *region = &report->regions[i];
		json_t *line = usage_json(&region->sum, region->backing);

		json_object_set_new(line, "address", lz_json_number(region->base));
		json_object_set_new(line, "process", json_integer((json_int_t)region->process));
		json_object_set_new(line, "site", json_integer((json_int_t)region->site));
		json_array_append_new(regions, line);
	}
	for (size_t i = 0; i < report->zeroer_count; i++)
		json_array_append_new(zeroers, zeroer_json(report, &report->zeroers[i]));
	lz_report_overview(report, overview, sizeof overview);
	json_object_set_new(object, "overview", json_string(overview));
	json_object_set_new(object, "processes", processes);
	json_object_set_new(object, "sites", sites);
	json_object_set_new(object, "regions", regions);
	json_object_set_new(object, "memset", zeroers);
	json_object_set_new(object, "lines_not_understood", json_integer((json_int_t)report->unparsed_lines));
	return object;
}

int lz_report_print_json(const struct lz_report *report, enum lz_report_by by)
{
	return lz_json_print(lz_report_json(report, by));
}
