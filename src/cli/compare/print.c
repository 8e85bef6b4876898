/* What `lazyzero compare` prints and draws; see compare.h. */
#include "cli/compare/comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/common/command.h"
#include "cli/process/columns.h"
#include "cli/common/gnuplot.h"
#include "cli/common/json.h"

const char *const lz_figure_names[LZ_FIGURES] = {"time", "minor faults", "peak RSS (largest process)",
	"peak PSS (all processes)", "peak page tables (all processes)"};
const char *const lz_figure_keys[LZ_FIGURES] = {
	"seconds", "minor_faults", "rss_peak_bytes", "pss_peak_bytes", "page_tables_peak_bytes"};
static const char *const short_names[LZ_FIGURES] = {"time", "faults", "RSS", "PSS", "page tables"};

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

bool lz_spread_of(const struct lz_contender *contender, enum lz_figure figure, struct lz_spread *spread)
{
	double *values = calloc(contender->count + 1, sizeof *values);
	size_t known = 0;

	if (values == NULL)
		return false;
	for (size_t i = 0; i < contender->count; i++)
		if (contender->runs[i].figure[figure] >= 0)
			values[known++] = contender->runs[i].figure[figure];
	qsort(values, known, sizeof *values, ascending);
	if (known > 0)
		*spread = (struct lz_spread){
			(values[(known - 1) / 2] + values[known / 2]) / 2, values[0], values[known - 1]};
	free(values);
	return known > 0;
}

static struct lz_display figure_text(enum lz_figure figure, double value)
{
	struct lz_display text;

	if (figure == LZ_FIGURE_SECONDS)
		snprintf(text.text, sizeof text.text, value < 10 ? "%.3f s" : "%.1f s", value);
	else if (figure == LZ_FIGURE_FAULTS)
		snprintf(text.text, sizeof text.text, "%.0f", value);
	else
		text = lz_size_text_in((uint64_t)value, LZ_UNITS_AUTO);
	return text;
}

/* To bare; below 0 where it is not known. */
static double ratio_to_bare(
	const struct lz_comparison *comparison, const struct lz_contender *contender, enum lz_figure figure)
{
	struct lz_spread own, bare;

	if (!lz_spread_of(contender, figure, &own) ||
		!lz_spread_of(&comparison->contenders[0], figure, &bare) || bare.median <= 0)
		return -1;
	return own.median / bare.median;
}

static void print_row(
	const struct lz_comparison *comparison, const struct lz_contender *contender, enum lz_figure figure)
{
	double ratio = ratio_to_bare(comparison, contender, figure);
	struct lz_spread spread;

	printf("  %-28.28s", contender->name);
	if (!lz_spread_of(contender, figure, &spread)) {
		printf(" %11s\n", "-");
		return;
	}
	printf(" %11s", figure_text(figure, spread.median).text);
	if (ratio >= 0)
		printf(ratio < 0.01 ? " %8.4f" : " %8.2f", ratio);
	else
		printf(" %8s", "-");
	printf("  %11s %11s\n", figure_text(figure, spread.least).text,
		figure_text(figure, spread.greatest).text);
}

void lz_compare_print(const struct lz_comparison *comparison)
{
	const struct lz_contender *bare = &comparison->contenders[0];

	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		if (figure == 0)
			printf("%-30s %11s %8s  %11s %11s\n", lz_figure_names[figure], "median", "of bare",
				"least", "greatest");
		else
			printf("%s\n", lz_figure_names[figure]);
		for (size_t i = 0; i < comparison->count; i++)
			if (comparison->contenders[i].count > 0)
				print_row(comparison, &comparison->contenders[i], figure);
	}
	printf("%zu run%s of each\n", bare->count, bare->count == 1 ? "" : "s");
	for (size_t i = 0; i < comparison->count; i++) {
		const struct lz_contender *contender = &comparison->contenders[i];

		if (contender->problem[0] != '\0')
			lz_warning("%s: %s", lz_printable(contender->name).text,
				lz_printable(contender->problem).text);
	}
}

static json_t *figure_json(enum lz_figure figure, double value)
{
	if (value < 0)
		return json_null();
	return figure == LZ_FIGURE_SECONDS ? json_real(value) : json_integer((json_int_t)value);
}

static json_t *contender_json(const struct lz_comparison *comparison, const struct lz_contender *contender)
{
	json_t *object = json_object();
	json_t *runs = json_array();

	json_object_set_new(object, "name", lz_json_string(contender->name));
	json_object_set_new(object, "problem",
		contender->problem[0] != '\0' ? lz_json_string(contender->problem) : json_null());
	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		json_t *item = json_object();
		struct lz_spread spread;
		double ratio = ratio_to_bare(comparison, contender, figure);

		if (lz_spread_of(contender, figure, &spread)) {
			json_object_set_new(item, "median", figure_json(figure, spread.median));
			json_object_set_new(item, "least", figure_json(figure, spread.least));
			json_object_set_new(item, "greatest", figure_json(figure, spread.greatest));
			json_object_set_new(item, "of_bare", ratio >= 0 ? json_real(ratio) : json_null());
		}
		json_object_set_new(object, lz_figure_keys[figure], item);
	}
	json_object_set_new(object, "runs", runs);
	for (size_t i = 0; i < contender->count; i++) {
		json_t *run = json_object();

		for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++)
			json_object_set_new(run, lz_figure_keys[figure],
				figure_json(figure, contender->runs[i].figure[figure]));
		json_array_append_new(runs, run);
	}
	return object;
}

int lz_compare_print_json(const struct lz_comparison *comparison)
{
	json_t *object = json_object();
	json_t *argv = json_array();
	json_t *contenders = json_array();

	for (size_t i = 0; comparison->argv[i] != NULL; i++)
		json_array_append_new(argv, lz_json_string(comparison->argv[i]));
	for (size_t i = 0; i < comparison->count; i++)
		json_array_append_new(contenders, contender_json(comparison, &comparison->contenders[i]));
	json_object_set_new(object, "program", argv);
	json_object_set_new(object, "rounds", lz_json_number(comparison->rounds));
	json_object_set_new(object, "contenders", contenders);
	return lz_json_print(object);
}

/* The bars of one contender: from 1 up or down, in each figure's group of `of` bars the one at `place`. */
static void write_bars(const struct lz_gnuplot *plot, const struct lz_comparison *comparison,
	const struct lz_contender *contender, size_t place, size_t of)
{
	double width = 0.8 / (double)of;

	fprintf(plot->script, "$bars%zu << EOD\n", place);
	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		double ratio = ratio_to_bare(comparison, contender, figure);
		double left = (double)figure - 0.4 + (double)place * width;

		if (ratio > 0)
			fprintf(plot->script, "%g %g %g %g\n", left, left + width * 0.95,
				ratio < 1 ? ratio : 1, ratio > 1 ? ratio : 1);
	}
	fputs("EOD\n", plot->script);
}

/* Ratios on a logarithmic axis, in groups by figure; bare is the line at 1. */
int lz_compare_draw(const struct lz_comparison *comparison, const char *path)
{
	const char *slash = strrchr(comparison->argv[0], '/');
	const struct lz_contender *drawn[32];
	struct lz_gnuplot plot;
	size_t count = 0;
	double least = 0.5, greatest = 2;

	for (size_t i = 1; i < comparison->count; i++)
		if (comparison->contenders[i].count > 0)
			drawn[count++] = &comparison->contenders[i];
	for (size_t i = 0; i < count; i++)
		for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
			double ratio = ratio_to_bare(comparison, drawn[i], figure);

			least = ratio > 0 && ratio < least ? ratio : least;
			greatest = ratio > greatest ? ratio : greatest;
		}
	if (count == 0)
		return lz_fail("nothing to draw");
	if (lz_gnuplot_start(&plot, path, 900, 480) != 0)
		return LZ_EXIT_FAILURE;
	for (size_t i = 0; i < count; i++)
		write_bars(&plot, comparison, drawn[i], i, count);
	fputs("set title ", plot.script);
	lz_gnuplot_text(&plot, slash != NULL ? slash + 1 : comparison->argv[0]);
	fputs(" noenhanced\nset ylabel 'times bare (medians, logarithmic)'\nset logscale y\nset style fill "
	      "solid 0.9 noborder\nset ytics nomirror add "
	      "(0.5, 2, 5)\n"
	      "set grid ytics lc rgb '#dddddd'\nset key outside bottom center horizontal noenhanced\n"
	      "set border 3\nset xrange [-0.6:4.6]\nset xtics nomirror scale 0 (",
		plot.script);
	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++)
		fprintf(plot.script, "%s'%s' %d", figure > 0 ? ", " : "", short_names[figure], (int)figure);
	fprintf(plot.script, ")\nset yrange [%g:%g]\nplot ", least / 1.1, greatest * 1.1);
	for (size_t i = 0; i < count; i++) {
		fprintf(plot.script,
			"$bars%zu using (($1+$2)/2):(($3+$4)/2):1:2:3:4 with boxxyerror lt %zu title ", i,
			i + 1);
		lz_gnuplot_text(&plot, drawn[i]->name);
		fputs(", ", plot.script);
	}
	fputs("1 with lines lc rgb 'black' title 'bare'\n", plot.script);
	return lz_gnuplot_finish(&plot);
}
