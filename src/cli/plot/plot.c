/*
 * `lazyzero plot`: draws the record of a run: sizes in the upper part, on a logarithmic axis, and minor
 * faults per second below.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/common/commands.h"
#include "cli/common/gnuplot.h"
#include "cli/common/messages.h"
#include "cli/record/record.h"

enum { FLAG_OUTPUT };

static const struct lz_flag flags[] = {
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "FILE",
		.help = "The picture, whose name ends in .svg or .png. Default: the name of the record with "
			".svg added",
		.accepts = "the name of a file"},
};

static const char *const titles[] = {
	"address space", "RSS", "PSS", "of RSS: shared memory, zero window", "page tables"};
static const char *const colours[] = {"#999999", "#0072b2", "#009e73", "#56b4e9", "#d55e00"};

static void write_data(const struct lz_gnuplot *plot, const struct lz_record *record)
{
	fputs("$samples << EOD\n", plot->script);
	for (size_t i = 0; i < record->count; i++) {
		const struct lz_sample *sample = &record->samples[i];

		fprintf(plot->script, "%.6f", sample->t);
		for (size_t j = 0; j < LZ_RECORD_SIZES; j++)
			/* 0 cannot be drawn on a logarithmic axis. */
			if (sample->size[j] > 0)
				fprintf(plot->script, " %.0f", sample->size[j]);
			else
				fputs(" NaN", plot->script);
		if (isnan(sample->faults))
			fputs(" NaN\n", plot->script);
		else
			fprintf(plot->script, " %.3f\n", sample->faults);
	}
	fputs("EOD\n", plot->script);
}

static bool has_size(const struct lz_record *record, size_t size)
{
	for (size_t i = 0; i < record->count; i++)
		if (record->samples[i].size[size] > 0)
			return true;
	return false;
}

static bool has_faults(const struct lz_record *record)
{
	for (size_t i = 0; i < record->count; i++)
		if (!isnan(record->samples[i].faults))
			return true;
	return false;
}

/* Explicit, since gnuplot rounds its binary prefixes down: "1023 MiB". */
static void write_size_tics(const struct lz_gnuplot *plot)
{
	fputs("set ytics nomirror (", plot->script);
	for (unsigned shift = 8; shift < 64; shift += 4)
		fprintf(plot->script, "%s'%u %.1s%s' %llu", shift > 8 ? ", " : "", 1u << shift % 10,
			&"BKMGTPE"[shift / 10], shift < 10 ? "" : "iB", 1ull << shift);
	fputs(")\n", plot->script);
}

static int draw(const struct lz_record *record, const char *path)
{
	struct lz_gnuplot plot;
	bool any = false;

	if (lz_gnuplot_start(&plot, path, 900, 600) != 0)
		return LZ_EXIT_FAILURE;
	write_data(&plot, record);
	write_size_tics(&plot);
	/* A single sample is drawn as points, since it makes no line. */
	fprintf(plot.script,
		"set multiplot\nset lmargin 12\nset rmargin 3\nset border 3\nset xtics nomirror\n"
		"set grid lc rgb '#dddddd'\nset style data %s\nset xrange [0:%g]\nset origin 0, 0.32\n"
		"set size 1, 0.68\nset logscale y 2\nset key outside top center horizontal\n"
		"set format x ''\nset bmargin 0.5\nset title ",
		record->count > 1 ? "lines" : "points",
		record->end > 0 ? record->end : record->samples[record->count - 1].t * 1.01 + 1e-3);
	lz_gnuplot_text(&plot, record->program);
	/*
	 * gnuplot fails on a plot without values. If there are none, a constant outside a fixed range is
	 * plotted, which is not drawn.
	 */
	fputs(" noenhanced\nplot ", plot.script);
	for (size_t i = 0; i < LZ_RECORD_SIZES; i++)
		if (has_size(record, i)) {
			fprintf(plot.script, "%s$samples using 1:%zu lw 2 lc rgb '%s' title '%s'",
				any ? ", " : "", i + 2u, colours[i], titles[i]);
			any = true;
		}
	fprintf(plot.script,
		"%s\nunset title\nset bmargin 3\nset tmargin 1\nset origin 0, 0\nset size 1, 0.32\n"
		"unset logscale y\nset format y '%%.1s%%c'\nset ytics autofreq\nset yrange [0:%s]\nset "
		"format "
		"x "
		"'%%g'\nset xlabel 'seconds'\nset ylabel 'minor faults/s' offset 1\nunset key\nplot ",
		any ? "" : "[][1:1024] 0.5 notitle", has_faults(record) ? "*" : "1");
	if (has_faults(record))
		fprintf(plot.script, "$samples using 1:%d with %s lw 1.5 lc rgb '#000000'",
			LZ_RECORD_SIZES + 2, record->count > 1 ? "fsteps" : "points");
	else
		fputs("-1", plot.script);
	fputs("\nunset multiplot\n", plot.script);
	return lz_gnuplot_finish(&plot);
}

static int run(const struct lz_arguments *arguments)
{
	const char *path = arguments->operands[0];
	const char *output = arguments->values[FLAG_OUTPUT];
	struct lz_record record;
	char *standard = NULL;
	int status;

	if (path == NULL)
		return lz_fail_usage("plot", "no record given");
	status = lz_record_read(&record, path);
	if (status == 0 && record.count == 0)
		status = lz_fail(
			"'%s' contains no sample: the program ended too soon", lz_printable(path).text);
	if (status == 0 && output == NULL && asprintf(&standard, "%s.svg", path) < 0)
		status = lz_fail_memory();
	if (status == 0)
		status = draw(&record, output != NULL ? output : standard);
	free(standard);
	lz_record_free(&record);
	return status;
}

const struct lz_command lz_command_plot = {
	.name = "plot",
	.summary = "draw the record of a run",
	.usage = "[OPTION]... RECORD",
	.description =
		"Draws, with gnuplot, the file that 'lazyzero run --record=RECORD' has written: the address "
		"space, resident memory, PSS, page tables and minor faults of all processes together.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = 1,
	.run = run,
};
