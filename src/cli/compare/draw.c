/* Draws the ratios; see draw.h. */
#include "cli/compare/draw.h"

#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/gnuplot.h"
#include "cli/common/messages.h"

static const char *const short_names[LZ_FIGURES] = {"time", "faults", "RSS", "PSS", "page tables"};

/*
 * Writes the bars of one contender, which start at ratio 1: number `place` of the `of` bars for each figure.
 */
static void write_bars(const struct lz_gnuplot *plot, const struct lz_comparison *comparison,
	const struct lz_contender *contender, size_t place, size_t of)
{
	double width = 0.8 / (double)of;

	fprintf(plot->script, "$bars%zu << EOD\n", place);
	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		double ratio = lz_ratio_to_bare(comparison, contender, figure);
		double left = (double)figure - 0.4 + (double)place * width;

		if (ratio > 0)
			fprintf(plot->script, "%g %g %g %g\n", left, left + width * 0.95,
				ratio < 1 ? ratio : 1, ratio > 1 ? ratio : 1);
	}
	fputs("EOD\n", plot->script);
}

/* Ratios on a logarithmic axis, in groups by figure. The bare program is the line at 1. */
int lz_compare_draw(const struct lz_comparison *comparison, const char *path)
{
	const struct lz_contender *drawn[32];
	struct lz_gnuplot plot;
	size_t count = 0;
	double least = 0.5, greatest = 2;

	for (size_t i = 1; i < comparison->count; i++)
		if (comparison->contenders[i].count > 0)
			drawn[count++] = &comparison->contenders[i];
	for (size_t i = 0; i < count; i++)
		for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
			double ratio = lz_ratio_to_bare(comparison, drawn[i], figure);

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
	lz_gnuplot_text(&plot, lz_base_name(comparison->argv[0]));
	fputs(" noenhanced\nset ylabel 'ratio to bare (medians, logarithmic)'\nset logscale y\nset style "
	      "fill "
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
