/* Draws flame graphs; see flame.h. */
#include "cli/report/flame.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/report/folded.h"
#include "cli/report/hints.h"
#include "cli/report/html_escape.h"
#include "cli/report/python.h"

#define WIDTH 1000.0
#define ROW 18.0
#define CHARACTER 6.4   /* width of a character of a name, about */
#define SEGMENTS 12.0   /* least width of a frame that shows each class */
#define DEPTH_MAX 96u   /* rows */
#define NARROWEST 1.0   /* least width of a frame, unless the graph gets too large */
#define NAME_BYTES 160u /* of a name, with its terminator; longer ones are cut */

/* The classes of folded.h, in the order in which they are shown: waste first. */
static const struct {
	unsigned number;
	const char *style;
} classes[LZ_REPORT_CLASSES] = {{3, "u"}, {1, "o"}, {2, "z"}, {0, "w"}};

struct lz_flame {
	char *name;
	uint64_t bytes[LZ_REPORT_CLASSES], total;
	struct lz_flame *first, *next; /* the first callee, the next of the same caller; the largest first */
};

/* --- the tree --- */

static struct lz_flame *new_frame(const char *name)
{
	struct lz_flame *frame = calloc(1, sizeof *frame);

	if (frame != NULL)
		frame->name = strdup(name);
	if (frame != NULL && frame->name == NULL) {
		free(frame);
		frame = NULL;
	}
	return frame;
}

static void add_bytes(struct lz_flame *frame, const uint64_t bytes[LZ_REPORT_CLASSES])
{
	for (unsigned i = 0; i < LZ_REPORT_CLASSES; i++) {
		if (__builtin_add_overflow(frame->bytes[i], bytes[i], &frame->bytes[i]))
			frame->bytes[i] = UINT64_MAX;
		if (__builtin_add_overflow(frame->total, bytes[i], &frame->total))
			frame->total = UINT64_MAX;
	}
}

static struct lz_flame *find_or_add(struct lz_flame *caller, const char *name)
{
	struct lz_flame **at = &caller->first;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if (*at == NULL)
		*at = new_frame(name);
	return *at;
}

/* A frame of a stack that is shown. */
struct shown {
	size_t address, place;
};

/* The frames from the headline outwards, as lz_report_callers() shows them. Returns their number. */
static size_t shown_frames(
	const struct lz_report *report, const struct lz_report_site *site, struct shown frames[DEPTH_MAX])
{
	size_t count = 0, place = site->headline_place;

	for (size_t frame = site->headline_frame; frame < site->frame_count; frame++, place = 0) {
		const struct lz_report_address *address = &report->addresses[site->frames[frame]];
		size_t end = address->place_count > 0 ? address->place_count : 1;

		for (; place < end && count < DEPTH_MAX; place++)
			if (count == 0 || !(address->place_count > 0 ? address->places[place].passes_on
								     : address->passes_on))
				frames[count++] = (struct shown){site->frames[frame], place};
		if (lz_report_is_outermost(report, address))
			break;
	}
	return count;
}

static bool add_site(struct lz_flame *root, const struct lz_report *report, const struct lz_report_site *site)
{
	uint64_t bytes[LZ_REPORT_CLASSES];
	struct shown frames[DEPTH_MAX];
	struct lz_flame *frame = root;
	size_t count = shown_frames(report, site, frames);
	bool known;

	lz_report_classes(site, bytes, &known);
	add_bytes(root, bytes);
	while (count-- > 0 && frame != NULL) {
		char name[NAME_BYTES];

		lz_report_place_name(report, &report->addresses[frames[count].address], frames[count].place,
			name, sizeof name);
		frame = find_or_add(frame, name);
		if (frame != NULL)
			add_bytes(frame, bytes);
	}
	return frame != NULL;
}

static int by_size(const void *a, const void *b)
{
	const struct lz_flame *left = *(struct lz_flame *const *)a, *right = *(struct lz_flame *const *)b;

	return left->total < right->total   ? 1
	       : left->total > right->total ? -1
					    : strcmp(left->name, right->name);
}

static bool sort(struct lz_flame *frame)
{
	size_t count = 0;
	struct lz_flame **sorted, **at;

	for (struct lz_flame *callee = frame->first; callee != NULL; callee = callee->next)
		count++;
	sorted = calloc(count + 1, sizeof *sorted);
	if (sorted == NULL)
		return false;
	at = sorted;
	for (struct lz_flame *callee = frame->first; callee != NULL; callee = callee->next)
		*at++ = callee;
	qsort(sorted, count, sizeof *sorted, by_size);
	frame->first = sorted[0];
	for (size_t i = 0; i < count; i++) {
		sorted[i]->next = sorted[i + 1];
		if (!sort(sorted[i]))
			count = 0;
	}
	free(sorted);
	return true;
}

struct lz_flame *lz_flame_build(const struct lz_report *report)
{
	struct lz_flame *root = new_frame("all call sites");
	bool failed = root == NULL;

	for (size_t i = 0; !failed && i < report->site_count; i++)
		failed = !add_site(root, report, &report->sites[i]);
	if (failed || !sort(root)) {
		lz_flame_free(root);
		return NULL;
	}
	return root;
}

void lz_flame_free(struct lz_flame *flame)
{
	while (flame != NULL) {
		struct lz_flame *next = flame->next;

		lz_flame_free(flame->first);
		free(flame->name);
		free(flame);
		flame = next;
	}
}

/* --- drawing --- */

struct drawing {
	FILE *page;
	double per_byte, narrowest;
};

static unsigned depth_of(const struct drawing *drawing, const struct lz_flame *frame)
{
	unsigned deepest = 0;

	for (const struct lz_flame *callee = frame->first; callee != NULL; callee = callee->next) {
		unsigned depth = (double)callee->total * drawing->per_byte < drawing->narrowest
					 ? 1
					 : depth_of(drawing, callee);

		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + 1;
}

static void draw_rectangle(const struct drawing *drawing, const char *style, double x, double y, double width)
{
	fprintf(drawing->page, "<rect class=\"%s\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\"/>",
		style, x, y, width, ROW - 1);
}

/* The title is shown by browsers when the pointer is on the frame. */
static void draw_frame(
	const struct drawing *drawing, const struct lz_flame *frame, const char *name, double x, double y)
{
	double width = (double)frame->total * drawing->per_byte, at = x, scale;
	unsigned most = 0;
	bool begun = false;

	fputs("<g><title>", drawing->page);
	lz_html_escape(drawing->page, name);
	fprintf(drawing->page, ": %s", lz_size_text(frame->total).text);
	for (unsigned i = 0; i < LZ_REPORT_CLASSES; i++) {
		uint64_t bytes = frame->bytes[classes[i].number];

		if (bytes > frame->bytes[classes[most].number])
			most = i;
		if (bytes == 0 || width < SEGMENTS)
			continue;
		fprintf(drawing->page, "%s%s %s", begun ? ", " : " (", lz_size_text(bytes).text,
			lz_report_class_names[classes[i].number]);
		begun = true;
	}
	fputs(begun ? ")</title>" : "</title>", drawing->page);
	/* A gap between the frames of a row, which tells them from the parts of one. */
	scale = (width - fmin(1.5, width / 4)) / width;
	if (width < SEGMENTS)
		draw_rectangle(drawing, classes[most].style, x, y, width * scale);
	for (unsigned i = 0; width >= SEGMENTS && i < LZ_REPORT_CLASSES; i++) {
		double part = (double)frame->bytes[classes[i].number] * drawing->per_byte * scale;

		if (part > 0)
			draw_rectangle(drawing, classes[i].style, at, y, part);
		at += part;
	}
	if (width >= 5 * CHARACTER) {
		size_t room = (size_t)((width - 6) / CHARACTER), length = strlen(name);
		char text[NAME_BYTES + 8];

		snprintf(text, sizeof text, "%.*s%s", (int)(length > room ? room - 2 : length), name,
			length > room ? ".." : "");
		fprintf(drawing->page, "<text x=\"%.1f\" y=\"%.0f\">", x + 3, y + ROW - 5);
		lz_html_escape(drawing->page, text);
		fputs("</text>", drawing->page);
	}
	fputs("</g>\n", drawing->page);
}

static void draw(const struct drawing *drawing, const struct lz_flame *frame, double x, double y)
{
	struct lz_flame rest = {.total = 0};
	size_t merged = 0;
	char name[64];

	draw_frame(drawing, frame, frame->name, x, y);
	for (const struct lz_flame *callee = frame->first; callee != NULL; callee = callee->next) {
		double width = (double)callee->total * drawing->per_byte;

		if (width < drawing->narrowest) {
			add_bytes(&rest, callee->bytes);
			merged++;
			continue;
		}
		draw(drawing, callee, x, y + ROW);
		x += width;
	}
	if ((double)rest.total * drawing->per_byte < drawing->narrowest / 2)
		return;
	snprintf(name, sizeof name, "%zu narrow frame%s", merged, merged == 1 ? "" : "s");
	draw_frame(drawing, &rest, name, x, y + ROW);
}

void lz_flame_draw(FILE *page, const struct lz_flame *flame, size_t bytes_max)
{
	struct drawing drawing = {.per_byte = WIDTH / (double)flame->total, .narrowest = NARROWEST};
	char *text = NULL;
	size_t length = bytes_max + 1;

	for (; flame->total > 0 && length > bytes_max && drawing.narrowest < WIDTH; drawing.narrowest *= 2) {
		free(text);
		text = NULL;
		drawing.page = open_memstream(&text, &length);
		if (drawing.page == NULL)
			return;
		fprintf(drawing.page,
			"<div class=\"wide\"><svg class=\"flame\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
			"aria-label=\"flame graph\">\n",
			WIDTH, ROW * depth_of(&drawing, flame));
		draw(&drawing, flame, 0, 0);
		fputs("</svg></div>\n", drawing.page);
		if (fclose(drawing.page) != 0)
			length = 0;
	}
	if (text != NULL)
		fwrite(text, 1, length, page);
	free(text);
}
