/*
 * `lazyzero plot`: the record of a run (record.h) as a picture: sizes above, on a logarithmic axis, and minor
 * faults a second below.
 *
 * A record may be cut, by a kill, or be none at all: a line that is not understood is left out and counted.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/gnuplot.h"
#include "cli/json.h"
#include "cli/record.h"

#define LINE_MAX_BYTES (64u << 20) /* 200,000 processes */

enum { FLAG_OUTPUT };

static const struct lz_flag flags[] = {
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "FILE",
		.help = "The picture: its name ends in .svg or .png. Default: that of the record, and .svg",
		.accepts = "the name of a file"},
};

static const char *const sizes[] = {"virtual", "rss", "pss", "shmem", "tables"};
static const char *const titles[] = {
	"address space", "RSS", "PSS", "of RSS: shared memory, zero window", "page tables"};
static const char *const colours[] = {"#999999", "#0072b2", "#009e73", "#56b4e9", "#d55e00"};

#define SIZES (sizeof sizes / sizeof *sizes)

/* Sums over the processes of one look; NAN: not known. */
struct sample {
	double t;
	double size[SIZES];
	double faults; /* a second since the look before */
};

struct record {
	char program[sizeof(struct lz_shown)];
	bool has_head;
	struct sample *samples;
	size_t count, room;
	size_t left_out;
	json_t *faults_before; /* by pid, as text */
	double end;            /* seconds; below 0 when the record does not say */
};

static double number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	double number = json_is_number(value) ? json_number_value(value) : NAN;

	return number >= 0 ? number : NAN;
}

/* Minor faults since the look before, of one process; those of one that is new are all its own. */
static double new_faults(struct record *record, const json_t *process)
{
	double now = number_of(process, "minflt"), before;
	char pid[32];

	if (isnan(now))
		return 0;
	snprintf(pid, sizeof pid, "%.0f", number_of(process, "pid"));
	before = number_of(record->faults_before, pid);
	json_object_set_new(record->faults_before, pid, json_real(now));
	return isnan(before) ? now : now > before ? now - before : 0;
}

static bool add_sample(struct record *record, double t, const json_t *processes)
{
	const struct sample *last = record->count > 0 ? &record->samples[record->count - 1] : NULL;
	struct sample sample = {.t = t};
	double faults = 0;
	size_t i;
	json_t *process;

	if (last != NULL && !(t > last->t))
		return false;
	for (size_t j = 0; j < SIZES; j++)
		sample.size[j] = NAN;
	json_array_foreach(processes, i, process)
	{
		for (size_t j = 0; j < SIZES; j++) {
			double value = number_of(process, sizes[j]);

			if (!isnan(value))
				sample.size[j] = isnan(sample.size[j]) ? value : sample.size[j] + value;
		}
		faults += new_faults(record, process);
	}
	sample.faults = last != NULL ? faults / (t - last->t) : t > 0 ? faults / t : NAN;
	if (record->count == record->room) {
		struct sample *larger =
			realloc(record->samples, (record->room = record->room * 2 + 256) * sizeof *larger);

		if (larger == NULL)
			return false;
		record->samples = larger;
	}
	record->samples[record->count++] = sample;
	return true;
}

/* Takes the first line. Returns 0, or the exit status after saying why this is no record. */
static int take_head(struct record *record, const json_t *line, const char *path)
{
	const json_t *version = json_object_get(line, "lazyzero_record");
	const json_t *program = json_array_get(json_object_get(line, "program"), 0);
	const char *slash;

	if (!json_is_integer(version))
		return lz_fail("'%s' is not a record of 'lazyzero run --record'", lz_shown(path).text);
	if (json_integer_value(version) != LZ_RECORD_VERSION)
		return lz_fail("'%s' is a record of version %lld; this command reads version %d",
			lz_shown(path).text, (long long)json_integer_value(version), LZ_RECORD_VERSION);
	if (json_is_string(program)) {
		slash = strrchr(json_string_value(program), '/');
		snprintf(record->program, sizeof record->program, "%s",
			lz_shown(slash != NULL ? slash + 1 : json_string_value(program)).text);
	}
	record->has_head = true;
	return 0;
}

static int take_line(struct record *record, const char *text, size_t length, const char *path)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *processes = json_object_get(line, "processes");
	double t = number_of(line, "t");
	int status = 0;

	if (!record->has_head)
		status = take_head(record, line, path);
	else if (!isnan(number_of(line, "end")))
		record->end = number_of(line, "end");
	else if (!json_is_array(processes) || isnan(t) || !add_sample(record, t, processes))
		record->left_out++;
	json_decref(line);
	return status;
}

static int read_record(struct record *record, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	int status = 0;

	if (file == NULL)
		return lz_fail("cannot read '%s': %s", lz_shown(path).text, strerror(errno));
	while (status == 0 && (length = getline(&line, &capacity, file)) > 0) {
		if ((size_t)length > LINE_MAX_BYTES)
			status = lz_fail("'%s': a line of %s is none of a record", lz_shown(path).text,
				lz_shown_size((uint64_t)length).text);
		else
			status = take_line(record, line, (size_t)length, path);
	}
	if (status == 0 && ferror(file))
		status = lz_fail("cannot read '%s': %s", lz_shown(path).text, strerror(errno));
	free(line);
	fclose(file);
	if (status == 0 && !record->has_head)
		status = lz_fail("'%s' is empty", lz_shown(path).text);
	else if (status == 0 && record->count == 0)
		status = lz_fail("'%s' holds no sample: the program ended too soon", lz_shown(path).text);
	return status;
}

static void write_data(const struct lz_gnuplot *plot, const struct record *record)
{
	fputs("$samples << EOD\n", plot->script);
	for (size_t i = 0; i < record->count; i++) {
		const struct sample *sample = &record->samples[i];

		fprintf(plot->script, "%.6f", sample->t);
		for (size_t j = 0; j < SIZES; j++)
			/* A logarithmic axis has no 0. */
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

static bool is_known(const struct record *record, size_t size)
{
	for (size_t i = 0; i < record->count; i++)
		if (record->samples[i].size[size] > 0)
			return true;
	return false;
}

/* gnuplot's own binary prefixes are rounded down: "1023 MiB". */
static void write_size_tics(const struct lz_gnuplot *plot)
{
	fputs("set ytics nomirror (", plot->script);
	for (unsigned shift = 8; shift < 64; shift += 4)
		fprintf(plot->script, "%s'%u %.1s%s' %llu", shift > 8 ? ", " : "", 1u << shift % 10,
			&"BKMGTPE"[shift / 10], shift < 10 ? "" : "iB", 1ull << shift);
	fputs(")\n", plot->script);
}

static int draw(const struct record *record, const char *path)
{
	struct lz_gnuplot plot;
	bool any = false;

	if (lz_gnuplot_start(&plot, path, 900, 600) != 0)
		return LZ_EXIT_OURS;
	write_data(&plot, record);
	write_size_tics(&plot);
	/* One sample alone makes no line. */
	fprintf(plot.script,
		"set multiplot\nset lmargin 12\nset rmargin 3\nset border 3\nset xtics nomirror\n"
		"set grid lc rgb '#dddddd'\nset style data %s\nset xrange [0:%g]\nset origin 0, 0.32\n"
		"set size 1, 0.68\nset logscale y 2\nset key outside top center horizontal\n"
		"set format x ''\nset bmargin 0.5\nset title ",
		record->count > 1 ? "lines" : "points",
		record->end > 0 ? record->end : record->samples[record->count - 1].t * 1.01 + 1e-3);
	lz_gnuplot_text(&plot, record->program);
	fputs(" noenhanced\nplot ", plot.script);
	for (size_t i = 0; i < SIZES; i++)
		if (is_known(record, i)) {
			fprintf(plot.script, "%s$samples using 1:%zu lw 2 lc rgb '%s' title '%s'",
				any ? ", " : "", i + 2, colours[i], titles[i]);
			any = true;
		}
	fprintf(plot.script,
		"%s\nunset title\nset bmargin 3\nset tmargin 1\nset origin 0, 0\nset size 1, 0.32\n"
		"unset logscale y\nset format y '%%.1s%%c'\nset ytics autofreq\nset yrange [0:*]\nset format "
		"x "
		"'%%g'\nset xlabel 'seconds'\nset ylabel 'minor faults/s' offset 1\nunset key\n"
		"plot $samples using 1:%zu with %s lw 1.5 lc rgb '#000000'\nunset multiplot\n",
		any ? "" : "NaN notitle", SIZES + 2, record->count > 1 ? "fsteps" : "points");
	return lz_gnuplot_finish(&plot);
}

static int run(const struct lz_arguments *arguments)
{
	const char *path = arguments->operands[0];
	const char *output = arguments->values[FLAG_OUTPUT];
	struct record record = {.end = -1};
	char *standard = NULL;
	int status;

	if (path == NULL)
		return lz_fail_usage("plot", "no record given");
	record.faults_before = json_object();
	status = read_record(&record, path);
	if (status == 0 && record.left_out > 0)
		lz_warn("%zu line%s of '%s' could not be understood, and %s left out", record.left_out,
			record.left_out == 1 ? "" : "s", lz_shown(path).text,
			record.left_out == 1 ? "is" : "are");
	if (status == 0 && output == NULL && asprintf(&standard, "%s.svg", path) < 0)
		status = lz_fail("out of memory");
	if (status == 0)
		status = draw(&record, output != NULL ? output : standard);
	free(standard);
	free(record.samples);
	json_decref(record.faults_before);
	return status;
}

const struct lz_command lz_command_plot = {
	.name = "plot",
	.summary = "draw the record of a run",
	.usage = "[OPTION]... RECORD",
	.description = "Draws what 'lazyzero run --record=RECORD' has written, with gnuplot: address space, "
		       "resident "
		       "memory, PSS and page tables of all processes together, and their minor faults.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = 1,
	.run = run,
};
