/* Draws SVG; see svg.h. */
#include "cli/report/svg.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/common/display.h"

/* A chart of the timeline, in CSS pixels; narrow enough for a phone. */
#define WIDTH 360.0
#define HEIGHT 132.0
#define LEFT 62.0
#define RIGHT 8.0
#define TOP 10.0
#define BOTTOM 22.0
#define POINTS_MAX 1200u

/* --- the timeline --- */

struct curve {
	const char *title, *colour;
	int size; /* index of struct lz_sample's sizes; -1: faults per second */
};

static const struct curve curves[] = {
	{"Address space", "c1", LZ_RECORD_VIRTUAL},
	{"RSS", "c2", LZ_RECORD_RSS},
	{"PSS", "c3", LZ_RECORD_PSS},
	{"Page tables", "c4", LZ_RECORD_TABLES},
	{"Minor faults per second", "c5", -1},
};

static double value_of(const struct curve *curve, const struct lz_sample *sample)
{
	return curve->size >= 0 ? sample->size[curve->size] : sample->faults;
}

/* The next power of two for a size; for another number, the next 1, 2 or 5 times a power of ten. */
static double round_up(double value, bool is_size)
{
	double unit = is_size ? 4096 : 1;

	if (is_size) {
		while (unit < value)
			unit *= 2;
		return unit;
	}
	for (;; unit *= 10) {
		if (value <= unit)
			return unit;
		if (value <= unit * 2)
			return unit * 2;
		if (value <= unit * 5)
			return unit * 5;
	}
}

static void tick_label(FILE *page, double value, bool is_size)
{
	if (is_size)
		fputs(lz_size_text((uint64_t)value).text, page);
	else if (value >= 1e6)
		fprintf(page, "%.3gM", value / 1e6);
	else if (value >= 1e3)
		fprintf(page, "%.3gk", value / 1e3);
	else
		fprintf(page, "%.3g", value);
}

static void draw_axes(FILE *page, double top, double end, bool is_size)
{
	for (int i = 0; i <= 2; i++) {
		double y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * i / 2;

		fprintf(page,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
			LEFT, WIDTH - RIGHT, y, y, LEFT - 5, y + 4);
		tick_label(page, top * i / 2, is_size);
		fputs("</text>", page);
	}
	fprintf(page,
		"<text x=\"%.1f\" y=\"%.1f\">0</text><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.3g "
		"s</text>",
		LEFT, HEIGHT - 6, WIDTH - RIGHT, HEIGHT - 6, end);
}

static void draw_curve(FILE *page, const struct lz_record *record, const struct curve *curve)
{
	double top = 0, end = record->samples[record->count - 1].t;
	size_t step = record->count / POINTS_MAX + 1;
	bool down = false;

	for (size_t i = 0; i < record->count; i++)
		top = fmax(top, value_of(curve, &record->samples[i])); /* fmax ignores NAN */
	if (!(end > 0))
		end = 1e-3;
	top = round_up(fmin(top, 1e19), curve->size >= 0);
	fprintf(page,
		"<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
		"aria-label=\"%s\">",
		curve->title, WIDTH, HEIGHT, curve->title);
	draw_axes(page, top, end, curve->size >= 0);
	fprintf(page, "<path class=\"%s\" d=\"", curve->colour);
	for (size_t i = 0; i < record->count; i += step) {
		/* The maximum of the samples that share a point, so that no peak is lost. */
		double value = NAN;

		for (size_t j = i; j < i + step && j < record->count; j++)
			value = fmax(value, value_of(curve, &record->samples[j]));
		if (isnan(value)) {
			down = false;
			continue;
		}
		fprintf(page, "%c%.1f %.1f", down ? 'L' : 'M',
			LEFT + (WIDTH - LEFT - RIGHT) * record->samples[i].t / end,
			HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * fmin(value / top, 1));
		down = true;
	}
	fputs("\"/></svg></figure>\n", page);
}

void lz_svg_timeline(FILE *page, const struct lz_record *record)
{
	fputs("<div class=\"charts\">\n", page);
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
		draw_curve(page, record, &curves[i]);
	fputs("</div>\n", page);
}

/* --- bars and maps --- */

static double share(uint64_t part, uint64_t whole)
{
	return part == UINT64_MAX || whole == UINT64_MAX || whole == 0
		       ? 0
		       : fmin((double)part / (double)whole, 1);
}

static void rectangle(FILE *page, const char *class, double x, double y, double width, double height)
{
	if (width > 0 && height > 0)
		fprintf(page, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
			class, x, y, width, height);
}

static void open_strip(FILE *page, double width, double height, const char *label)
{
	fprintf(page,
		"<svg class=\"strip\" viewBox=\"0 0 %.0f %.0f\" preserveAspectRatio=\"none\" role=\"img\" "
		"aria-label=\"%s\"><rect class=\"u\" width=\"%.0f\" height=\"%.0f\"/>",
		width, height, label, width, height);
}

void lz_svg_usage_bar(FILE *page, const struct lz_report_usage *sum)
{
	double written = 1000 * share(sum->written, sum->bytes), zero = 1000 * share(sum->zero, sum->bytes);
	double zeros = fmin(1000 * share(sum->written_zero, sum->bytes), written);

	/* Keep a small written part visible. */
	if (written > 0 && written < 3)
		written = 3;
	/* Waste first: what nothing is drawn over was never touched. */
	open_strip(page, 1000, 10, "never touched, written with zeros, only read, written with data");
	rectangle(page, "o", fmax(1000 - written - zero, 0), 0, zeros, 10);
	rectangle(page, "z", fmax(1000 - written - zero, 0) + zeros, 0, zero, 10);
	rectangle(page, "w", 1000 - written + zeros, 0, written - zeros, 10);
	fputs("</svg>", page);
}

void lz_svg_touch_map(FILE *page, const struct lz_touch_map *map)
{
	size_t count = strlen(map->written);

	if (count == 0)
		return;
	open_strip(page, (double)count, 9, "touched parts by address");
	for (size_t i = 0, next; i < count; i = next) {
		int written = map->written[i] - '0', zero = map->zero[i] - '0';

		for (next = i + 1; next < count && map->written[next] == map->written[i] &&
				   map->zero[next] == map->zero[i];
			next++)
			;
		if (written + zero > 9)
			zero = 9 - written;
		rectangle(page, "w", (double)i, 9 - written, (double)(next - i), written);
		rectangle(page, "z", (double)i, 9 - written - zero, (double)(next - i), zero);
	}
	fputs("</svg>", page);
}

void lz_svg_regions(FILE *page, const struct lz_report *report, size_t process)
{
	double total = 0, x = 0;

	for (size_t i = 0; i < report->region_count; i++)
		if (report->regions[i].process == process && report->regions[i].sum.bytes != UINT64_MAX)
			total += (double)report->regions[i].sum.bytes;
	if (!(total > 0))
		return;
	open_strip(page, 1000, 30, "all regions by address");
	for (size_t i = 0; i < report->region_count; i++) {
		const struct lz_report_usage *sum = &report->regions[i].sum;
		double width, written, zeros, zero;

		if (report->regions[i].process != process || sum->bytes == UINT64_MAX)
			continue;
		width = 1000 * (double)sum->bytes / total;
		written = 30 * share(sum->written, sum->bytes);
		zeros = fmin(30 * share(sum->written_zero, sum->bytes), written);
		zero = 30 * share(sum->zero, sum->bytes);
		if (written > 0 && written < 1)
			written = 1;
		rectangle(page, "w", x, 30 - written + zeros, width, written - zeros);
		rectangle(page, "o", x, 30 - written, width, zeros);
		rectangle(page, "z", x, fmax(30 - written - zero, 0), width, zero);
		x += width;
		rectangle(page, "edge", x - 0.5, 0, 1, 30);
	}
	fputs("</svg>", page);
}
