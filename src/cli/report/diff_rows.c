/* Reads and matches printed reports; see diff_rows.h. */
#include "cli/report/diff_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/line.h"
#include "cli/report/print.h"

/* --- reading --- */

json_t *lz_diff_load(const char *path)
{
	struct lz_display shown = lz_printable(path);
	FILE *file = fopen(path, "re");
	json_t *report, *version;

	if (file == NULL) {
		lz_fail_read(path, errno);
		return NULL;
	}
	report = json_loadf(file, LZ_DIFF_LOAD_FLAGS, NULL);
	fclose(file);
	version = json_object_get(report, "version");
	if (json_object_get(report, "lazyzero_report") != NULL)
		lz_fail("'%s' is a report of the library; --diff takes what 'lazyzero report --json %s' "
			"prints",
			shown.text, shown.text);
	else if (!json_is_array(json_object_get(report, "sites")))
		lz_fail("'%s' is not a report that 'lazyzero report --json' printed", shown.text);
	else if (version == NULL)
		lz_fail("'%s' has no version, so an older lazyzero printed it; print it again with 'lazyzero "
			"report --json'",
			shown.text);
	else if (!json_is_integer(version) || json_integer_value(version) != LZ_REPORT_JSON_VERSION)
		lz_fail("'%s' is of version %" JSON_INTEGER_FORMAT "; this command reads version %d",
			shown.text, json_integer_value(version), LZ_REPORT_JSON_VERSION);
	else
		return report;
	json_decref(report);
	return NULL;
}

enum lz_report_by lz_diff_printed_by(const json_t *report)
{
	const char *name = lz_report_line_text(report, "by");

	for (unsigned by = 0; lz_report_by_names[by] != NULL; by++)
		if (strcmp(lz_report_by_names[by], name) == 0)
			return by;
	return LZ_REPORT_BY_STACK;
}

/* --- names --- */

/*
 * Appends the name of a place: with its file and line, or with its offset, unless `loose`. Lines have a fixed
 * width, so that the order of names is that of lines.
 */
static void write_place(FILE *name, const json_t *place, bool loose, enum lz_report_by by)
{
	const char *function = lz_report_line_text(place, "function");
	const char *file = lz_report_line_text(place, "file");
	const char *module = lz_base_name(lz_report_line_text(place, "module"));
	uint64_t line = lz_report_line_u64(place, "line");

	if (by == LZ_REPORT_BY_MODULE || *function == '\0')
		fputs(module, name);
	else
		fputs(function, name);
	if (loose || by == LZ_REPORT_BY_MODULE)
		return;
	if (by == LZ_REPORT_BY_FUNCTION)
		fprintf(name, " %s", module);
	else if (*file != '\0')
		fprintf(name, " %s:%09" PRIu64, lz_base_name(file), line != UINT64_MAX ? line : 0);
	if (*function == '\0')
		fprintf(name, "+%016" PRIx64, lz_report_line_u64(place, "offset"));
}

/* The name of a site; NULL: no memory. */
static char *site_name(const json_t *site, bool loose, enum lz_report_by by)
{
	const json_t *stack = json_object_get(site, "stack");
	char *text = NULL;
	size_t length;
	FILE *name = open_memstream(&text, &length);

	if (name == NULL)
		return NULL;
	if (by != LZ_REPORT_BY_STACK || json_array_size(stack) == 0)
		write_place(name, site, loose, by);
	else
		for (size_t i = 0; i < json_array_size(stack); i++) {
			write_place(name, json_array_get(stack, i), loose, by);
			fputc('\n', name);
		}
	if (fclose(name) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- matching --- */

static struct lz_diff_figures figures_of(const json_t *site)
{
	uint64_t bytes = lz_report_line_u64(site, "bytes"), peak = lz_report_line_u64(site, "bytes_peak");
	uint64_t tables = lz_report_line_u64(site, "page_tables");

	/* The tables of all regions, in proportion to those at the peak. */
	if (tables != UINT64_MAX && bytes != UINT64_MAX && bytes > 0 && peak != UINT64_MAX)
		tables = (uint64_t)((unsigned __int128)tables * peak / bytes);
	return (struct lz_diff_figures){
		lz_report_line_u64(site, "bytes_asked"), lz_report_line_u64(site, "waste"), tables};
}

static void add(struct lz_diff_figures *sum, const struct lz_diff_figures *figures)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)figures;

	for (size_t i = 0; i < LZ_DIFF_FIGURES; i++)
		if (to[i] == UINT64_MAX || from[i] == UINT64_MAX ||
			__builtin_add_overflow(to[i], from[i], &to[i]))
			to[i] = UINT64_MAX;
}

static int by_name(const void *a, const void *b)
{
	const struct lz_diff_row *left = a, *right = b;
	int order = strcmp(left->loose_name, right->loose_name);

	return order != 0 ? order : strcmp(left->name, right->name);
}

/* Adds what `from` has to `row`, and removes it. */
static void merge(struct lz_diff_row *row, struct lz_diff_row *from)
{
	for (int side = 0; side < LZ_DIFF_SIDES; side++) {
		add(&row->figures[side], &from->figures[side]);
		if (row->site[side] == NULL)
			row->site[side] = from->site[side];
	}
	free(from->name);
	from->name = NULL;
}

/* The next row from `at` on, below `end`, that only one report has; `end` if there is none. */
static size_t next_alone(const struct lz_diff *diff, enum lz_diff_side side, size_t at, size_t end)
{
	while (at < end && (diff->rows[at].name == NULL || diff->rows[at].site[side] == NULL ||
				   diff->rows[at].site[!side] != NULL))
		at++;
	return at;
}

/* Merges sites of the same name; then those of the same name but for lines, one of each report. */
static void match_rows(struct lz_diff *diff)
{
	struct lz_diff_row *rows = diff->rows;

	for (size_t i = 0, next; i < diff->count; i = next)
		for (next = i + 1; next < diff->count && by_name(&rows[i], &rows[next]) == 0; next++)
			merge(&rows[i], &rows[next]);
	for (size_t i = 0, next; i < diff->count; i = next) {
		size_t old = i, new = i;

		for (next = i + 1; next < diff->count; next++)
			if (strcmp(rows[i].loose_name, rows[next].loose_name) != 0)
				break;
		while ((old = next_alone(diff, LZ_DIFF_OLD, old, next)) < next &&
			(new = next_alone(diff, LZ_DIFF_NEW, new, next)) < next)
			merge(&rows[old], &rows[new]);
	}
}

static int add_sites(struct lz_diff *diff, enum lz_diff_side side)
{
	const json_t *site;
	size_t i;

	json_array_foreach(json_object_get(diff->reports[side], "sites"), i, site)
	{
		struct lz_diff_row *row = &diff->rows[diff->count];

		*row = (struct lz_diff_row){.name = site_name(site, false, diff->by),
			.loose_name = site_name(site, true, diff->by)};
		row->site[side] = site;
		row->figures[side] = figures_of(site);
		diff->count++;
		if (row->name == NULL || row->loose_name == NULL)
			return lz_fail_memory();
		add(&diff->total[side], &row->figures[side]);
	}
	return 0;
}

int lz_diff_match(struct lz_diff *diff)
{
	size_t most = 0;
	int status = 0;

	for (int side = 0; side < LZ_DIFF_SIDES; side++) {
		enum lz_report_by by = lz_diff_printed_by(diff->reports[side]);

		diff->by = by > diff->by ? by : diff->by;
		most += json_array_size(json_object_get(diff->reports[side], "sites"));
	}
	diff->rows = calloc(most + 1, sizeof *diff->rows);
	if (diff->rows == NULL)
		return lz_fail_memory();
	for (enum lz_diff_side side = 0; side < LZ_DIFF_SIDES && status == 0; side++)
		status = add_sites(diff, side);
	if (status == 0) {
		qsort(diff->rows, diff->count, sizeof *diff->rows, by_name);
		match_rows(diff);
	}
	return status;
}

void lz_diff_free(struct lz_diff *diff)
{
	for (size_t i = 0; i < diff->count; i++) {
		free(diff->rows[i].name);
		free(diff->rows[i].loose_name);
	}
	free(diff->rows);
	for (int side = 0; side < LZ_DIFF_SIDES; side++)
		json_decref(diff->reports[side]);
}
