/* Compares two reports; see diff.h. */
#include "cli/report/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "cli/common/display.h"
#include "cli/common/help.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"
#include "cli/report/diff_rows.h"
#include "cli/report/hints.h"

#define JSON_VERSION 1
#define TOLERANCE_DEFAULT 5
#define TOLERANCE_MAX 1000
#define FIGURES_WIDTH 52 /* columns of a row before the name */

/*
 * Differences below this size never count: where a region begins in its page tables differs from run to run.
 */
#define FLOOR (UINT64_C(64) << 10)

enum change { GREW, NEW, SHRANK, GONE, SAME, CHANGES };

static const char *const change_names[] = {
	[GREW] = "grew", [NEW] = "new", [SHRANK] = "shrank", [GONE] = "gone", [SAME] = "same"};

int lz_report_diff_parse_tolerance(struct lz_report_diff *options, const char *given)
{
	const char *cursor = given;
	uint64_t number = TOLERANCE_DEFAULT;

	if (given != NULL && (lz_scan_u64(&cursor, &number) != 0 || number > TOLERANCE_MAX ||
				     (strcmp(cursor, "") != 0 && strcmp(cursor, "%") != 0)))
		return lz_fail_usage("report", "--tolerance: \"%s\" is not accepted: it takes %s",
			lz_printable(given).text, LZ_REPORT_TOLERANCE_ACCEPTED);
	options->tolerance = (unsigned)number;
	return 0;
}

/* Whether a figure is above another by more than the tolerance, in percent of the old one. */
static bool exceeds(uint64_t figure, uint64_t other, uint64_t old, unsigned tolerance)
{
	return figure > other && figure - other >= FLOOR &&
	       (double)(figure - other) > (double)old * tolerance / 100;
}

static enum change change_of(const struct lz_diff_row *row, unsigned tolerance)
{
	const uint64_t *old = (const uint64_t *)&row->figures[LZ_DIFF_OLD];
	const uint64_t *new = (const uint64_t *)&row->figures[LZ_DIFF_NEW];
	bool grew = false, shrank = false;

	for (size_t i = 0; i < LZ_DIFF_FIGURES; i++) {
		if (old[i] == UINT64_MAX || new[i] == UINT64_MAX)
			continue;
		grew = grew || exceeds(new[i], old[i], old[i], tolerance);
		shrank = shrank || exceeds(old[i], new[i], old[i], tolerance);
	}
	if (grew)
		return row->site[LZ_DIFF_OLD] != NULL ? GREW : NEW;
	if (shrank)
		return row->site[LZ_DIFF_NEW] != NULL ? SHRANK : GONE;
	return SAME;
}

/* --- text --- */

/* A figure and its difference: "96.0M  +32.0M". */
static void print_figure(uint64_t old, uint64_t new)
{
	bool known = old != UINT64_MAX && new != UINT64_MAX;
	bool less = old > new;
	char difference[300] = "";

	if (known && old != new)
		snprintf(difference, sizeof difference, "%c%s", less ? '-' : '+',
			lz_size_text_in(less ? old - new : new - old, LZ_UNITS_AUTO).text);
	printf(" %6s %7s", new != UINT64_MAX ? lz_size_text_in(new, LZ_UNITS_AUTO).text : "?", difference);
}

static void print_figures(const char *change, const struct lz_diff_figures figures[LZ_DIFF_SIDES])
{
	printf("%-6s", change);
	print_figure(figures[LZ_DIFF_OLD].asked, figures[LZ_DIFF_NEW].asked);
	print_figure(figures[LZ_DIFF_OLD].waste, figures[LZ_DIFF_NEW].waste);
	print_figure(figures[LZ_DIFF_OLD].tables, figures[LZ_DIFF_NEW].tables);
}

static const char *text_or_null(const json_t *site, const char *key)
{
	return json_string_value(json_object_get(site, key));
}

/* The functions of the stack up to main, so that sites of one name can be told apart. */
static void print_stack(const json_t *site)
{
	const json_t *frame, *stack = json_object_get(site, "stack");
	char text[4096] = "";
	size_t i, length = 0;

	json_array_foreach(stack, i, frame)
	{
		const char *function = text_or_null(frame, "function");

		snprintf(text + length, sizeof text - length, "%s%s", length > 0 ? " < " : "",
			function != NULL ? lz_printable(function).text : "?");
		length += strlen(text + length);
		if (function != NULL && strcmp(function, "main") == 0)
			break;
	}
	if (length > 0)
		lz_print_wrapped(text, 7, 0);
}

static void print_row(const struct lz_report_diff *options, const struct lz_diff_row *row,
	enum lz_report_by by, enum change change)
{
	const json_t *site = row->site[row->site[LZ_DIFF_NEW] != NULL ? LZ_DIFF_NEW : LZ_DIFF_OLD];
	json_int_t line = json_integer_value(json_object_get(site, "line"));
	const json_t *offset = json_object_get(site, "offset");
	struct lz_report_site named = {.function = text_or_null(site, "function"),
		.file = text_or_null(site, "file"),
		.module = text_or_null(site, "module"),
		.line = line > 0 && line <= INT32_MAX ? (int)line : 0,
		.offset = json_is_integer(offset) ? (uint64_t)json_integer_value(offset) : UINT64_MAX};
	const char *call = text_or_null(site, "call");
	char name[512];

	if (by == LZ_REPORT_BY_MODULE)
		named.function = NULL;
	if (by >= LZ_REPORT_BY_FUNCTION) {
		named.file = NULL;
		named.offset = UINT64_MAX;
	}
	snprintf(named.call, sizeof named.call, "%s", call != NULL ? call : "");
	lz_report_site_name(&named, name, sizeof name);
	print_figures(change_names[change], row->figures);
	if (options->width != SIZE_MAX)
		printf("  %.*s\n", (int)(options->width - FIGURES_WIDTH), name);
	else
		printf("  %s\n", name);
	if (by == LZ_REPORT_BY_STACK)
		print_stack(site);
}

static void print_text(
	const struct lz_report_diff *options, const struct lz_diff *diff, const size_t counts[CHANGES])
{
	bool colours = lz_colours_enabled(stdout);

	printf("by %s: %zu grew, %zu new, %zu shrank, %zu gone, %zu within %u%%\n",
		lz_report_by_names[diff->by], counts[GREW], counts[NEW], counts[SHRANK], counts[GONE],
		counts[SAME], options->tolerance);
	printf("%sCHANGE  ASKED   (+/-)  WASTE   (+/-) TABLES   (+/-)  CALL SITE%s\n",
		colours ? "\033[7m" : "", colours ? "\033[0m" : "");
	for (enum change change = 0; change < (options->all ? CHANGES : SAME); change++)
		for (size_t i = 0; i < diff->count; i++)
			if (diff->rows[i].name != NULL &&
				change_of(&diff->rows[i], options->tolerance) == change)
				print_row(options, &diff->rows[i], diff->by, change);
	print_figures("total", diff->total);
	puts("  all call sites");
}

/* --- JSON --- */

static json_t *pair_json(uint64_t old, uint64_t new)
{
	json_t *pair = json_object();

	json_object_set_new(pair, "old", lz_json_number(old));
	json_object_set_new(pair, "new", lz_json_number(new));
	return pair;
}

static json_t *figures_json(const struct lz_diff_figures figures[LZ_DIFF_SIDES])
{
	const struct lz_diff_figures *old = &figures[LZ_DIFF_OLD], *new = &figures[LZ_DIFF_NEW];
	json_t *object = json_object();

	json_object_set_new(object, "bytes_asked", pair_json(old->asked, new->asked));
	json_object_set_new(object, "waste", pair_json(old->waste, new->waste));
	json_object_set_new(object, "page_tables_at_peak", pair_json(old->tables, new->tables));
	return object;
}

static int print_json(
	const struct lz_report_diff *options, const struct lz_diff *diff, const size_t counts[CHANGES])
{
	static const char *const keys[] = {"call", "module", "offset", "function", "file", "line", "stack"};
	json_t *object = json_object(), *sites = json_array();

	json_object_set_new(object, "version", json_integer(JSON_VERSION));
	json_object_set_new(object, "by", json_string(lz_report_by_names[diff->by]));
	json_object_set_new(object, "tolerance_percent", json_integer(options->tolerance));
	for (enum change change = 0; change < CHANGES; change++)
		json_object_set_new(object, change_names[change], json_integer((json_int_t)counts[change]));
	json_object_set_new(object, "total", figures_json(diff->total));
	for (size_t i = 0; i < diff->count; i++) {
		const struct lz_diff_row *row = &diff->rows[i];
		const json_t *site = row->site[row->site[LZ_DIFF_NEW] != NULL ? LZ_DIFF_NEW : LZ_DIFF_OLD];
		json_t *entry;

		if (row->name == NULL)
			continue;
		entry = figures_json(row->figures);
		json_object_set_new(
			entry, "change", json_string(change_names[change_of(row, options->tolerance)]));
		for (size_t key = 0; key < sizeof keys / sizeof *keys; key++)
			json_object_set(entry, keys[key], json_object_get(site, keys[key]));
		json_array_append_new(sites, entry);
	}
	json_object_set_new(object, "sites", sites);
	return lz_json_print(object);
}

int lz_report_diff_print(const struct lz_report_diff *options, json_t *report, enum lz_report_by by)
{
	struct lz_diff diff = {.reports = {[LZ_DIFF_NEW] = report}, .by = by};
	size_t counts[CHANGES] = {0};
	int status = LZ_EXIT_FAILURE;

	diff.reports[LZ_DIFF_OLD] = lz_diff_load(options->old_path);
	if (diff.reports[LZ_DIFF_OLD] != NULL)
		status = lz_diff_match(&diff);
	for (size_t i = 0; i < diff.count && status == 0; i++)
		if (diff.rows[i].name != NULL)
			counts[change_of(&diff.rows[i], options->tolerance)]++;
	if (status == 0 && options->json)
		status = print_json(options, &diff, counts);
	else if (status == 0)
		print_text(options, &diff, counts);
	if (status == 0 && counts[GREW] + counts[NEW] > 0)
		status = 1;
	lz_diff_free(&diff);
	return status;
}

int lz_report_diff_check(const char *path)
{
	json_t *report = lz_diff_load(path);

	json_decref(report);
	return report != NULL ? 0 : LZ_EXIT_FAILURE;
}

bool lz_report_is_printed(const char *path)
{
	json_t *report = json_load_file(path, LZ_DIFF_LOAD_FLAGS, NULL);
	bool printed = json_is_array(json_object_get(report, "sites"));

	json_decref(report);
	return printed;
}

int lz_report_diff_files(const struct lz_report_diff *options, char *const paths[], enum lz_report_by by)
{
	json_t *report = lz_diff_load(*paths);

	while (report != NULL && *++paths != NULL) {
		json_t *further = lz_diff_load(*paths);
		enum lz_report_by further_by = lz_diff_printed_by(further);

		by = further_by > by ? further_by : by;
		if (further != NULL)
			json_array_extend(
				json_object_get(report, "sites"), json_object_get(further, "sites"));
		else
			json_decref(report);
		report = further != NULL ? report : NULL;
		json_decref(further);
	}
	return report != NULL ? lz_report_diff_print(options, report, by) : LZ_EXIT_FAILURE;
}
