/* Writes the HTML page; see html.h. */
#include "cli/report/html.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/hints.h"
#include "cli/report/html_escape.h"
#include "cli/report/html_head.h"
#include "cli/report/runtime.h"
#include "cli/report/svg.h"

#define REGIONS_SHOWN 60u /* of a process, the largest */
#define SITES_SHOWN 200u
#define MAPS_SHOWN 25u /* sites with a map of a freed region */
#define CALLERS_BYTES 800u
#define PROCESSES_SHOWN 20u

/* The page is less than 1 MB: what is listed ends when the page has that many bytes. */
#define FLAME_BYTES 250000u
#define SITES_END 650000
#define REGIONS_END 950000

static void write_term(FILE *page, const char *name, uint64_t bytes)
{
	fprintf(page, "<div><dt>%s</dt><dd>", name);
	lz_html_size(page, bytes);
	fputs("</dd></div>", page);
}

/* The name, and what tells sites of the same name apart: a number and the callers. */
static void write_site_heading(
	FILE *page, const struct lz_report *report, const struct lz_report_site *site, size_t number)
{
	char text[CALLERS_BYTES];

	fprintf(page, "<div class=\"card\"><h3>%zu. <code>", number);
	lz_report_site_name(site, text, sizeof text);
	lz_html_escape(page, text);
	fputs("</code>", page);
	if (site->waste != UINT64_MAX && site->waste > 0)
		fprintf(page, " <span class=\"waste\">%s wasted</span>", lz_size_text(site->waste).text);
	fputs("</h3>\n", page);
	lz_report_callers(report, site, text, sizeof text);
	if (*text == '\0')
		return;
	fputs("<p class=\"dim\">", page);
	lz_html_escape(page, text);
	fputs("</p>\n", page);
}

static void write_site(FILE *page, const struct lz_report *report, size_t index)
{
	const struct lz_report_site *site = &report->sites[index];
	char text[512];

	write_site_heading(page, report, site, index + 1);
	lz_svg_usage_bar(page, &site->sum);
	lz_report_hint(site, text, sizeof text);
	if (*text != '\0') {
		fputs("<p class=\"hint\">", page);
		lz_html_escape(page, text);
		fputs("</p>\n", page);
	}
	fputs("<dl>", page);
	write_term(page, "waste", site->waste);
	write_term(page, "at the peak", site->sum.peak);
	write_term(page, "written zeros (estimated)", lz_report_scale_to_peak(site, site->sum.written_zero));
	write_term(page, "page tables", lz_report_scale_to_peak(site, site->sum.tables));
	write_term(page, "on a window", lz_report_scale_to_peak(site, site->sum.window_tables));
	write_term(page, "if all were touched", lz_report_scale_to_peak(site, site->sum.full_tables));
	fprintf(page, "<div><dt>regions created, by</dt><dd>%" PRIu64 ", ",
		site->sum.count != UINT64_MAX ? site->sum.count : 0);
	lz_html_escape(page, site->call);
	fputs("</dd></div></dl>\n", page);
	if (site->freed.written[0] != '\0' && index < MAPS_SHOWN) {
		fputs("<p class=\"dim\">The largest freed region, ", page);
		lz_html_size(page, site->freed_bytes);
		fputs(", by address:</p>", page);
		lz_svg_touch_map(page, &site->freed);
	}
	if (site->module != NULL) {
		fputs("<p class=\"dim\"><code>", page);
		lz_html_escape(page, site->module);
		if (site->offset != UINT64_MAX)
			fprintf(page, "+0x%" PRIx64, site->offset);
		if (site->file != NULL && strcmp(site->file, site->module) == 0) {
			fprintf(page, ":%d", site->line);
		} else if (site->file != NULL) {
			fputs("</code>, <code>", page);
			lz_html_escape(page, site->file);
			fprintf(page, ":%d", site->line);
		}
		fputs("</code></p>", page);
	}
	fputs("</div>\n", page);
}

static int by_address(const void *a, const void *b)
{
	const struct lz_report_region *left = a, *right = b;

	if (left->process != right->process)
		return left->process < right->process ? -1 : 1;
	return left->base < right->base ? -1 : left->base > right->base;
}

static int by_size(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? 1 : left > right ? -1 : 0;
}

/* The size of the smallest region to be shown, so that about REGIONS_SHOWN are. */
static uint64_t smallest_shown(const struct lz_report *report, size_t process, size_t *count)
{
	uint64_t *sizes = calloc(report->region_count + 1, sizeof *sizes), least = 0;

	*count = 0;
	for (size_t i = 0; i < report->region_count; i++) {
		if (report->regions[i].process == process && sizes != NULL)
			sizes[*count] = report->regions[i].sum.bytes;
		*count += report->regions[i].process == process;
	}
	if (sizes != NULL && *count > REGIONS_SHOWN) {
		qsort(sizes, *count, sizeof *sizes, by_size);
		least = sizes[REGIONS_SHOWN - 1];
	}
	free(sizes);
	return least;
}

static void write_region(FILE *page, const struct lz_report *report, const struct lz_report_region *region)
{
	char name[512];

	lz_report_site_name(&report->sites[region->site], name, sizeof name);
	fprintf(page, "<p><code>0x%" PRIx64 "</code> ", region->base);
	lz_html_size(page, region->sum.bytes);
	fputs(region->backing == LZ_REPORT_BACKING_WINDOW ? " on a window, " : ", ", page);
	lz_html_escape(page, name);
	fprintf(page, " <span class=\"dim\">(%zu), page tables ", region->site + 1);
	lz_html_size(page, region->sum.tables);
	fputs("</span></p>", page);
	lz_svg_touch_map(page, &region->map);
}

static void write_process(FILE *page, const struct lz_report *report, size_t process)
{
	size_t count, shown = 0;
	uint64_t alive, least = smallest_shown(report, process, &count);

	if (count == 0)
		return;
	fputs("<div class=\"card\"><h3>", page);
	lz_html_escape(page, report->processes[process].executable);
	fprintf(page,
		" <span class=\"dim\">%" PRIu64 "</span></h3>\n<p class=\"dim\">Regions by address; the "
		"width is proportional to the size:</p>",
		report->processes[process].pid);
	lz_svg_regions(page, report, process);
	for (size_t i = 0; i < report->region_count && shown < REGIONS_SHOWN && ftell(page) < REGIONS_END;
		i++)
		if (report->regions[i].process == process && report->regions[i].sum.bytes >= least) {
			write_region(page, report, &report->regions[i]);
			shown++;
		}
	alive = report->processes[process].alive;
	if (alive != UINT64_MAX && shown < alive)
		fprintf(page, "<p class=\"dim\">%" PRIu64 " others are not shown.</p>", alive - shown);
	fputs("</div>\n", page);
}

static void write_sites(FILE *page, const struct lz_report *report)
{
	size_t shown = 0;
	char note[512];

	fputs("<h2>Call sites</h2>\n<p class=\"dim\">In descending order of waste.</p>\n", page);
	if (lz_report_unknown_note(report) != NULL)
		fprintf(page, "<p class=\"hint\">%s</p>\n", lz_report_unknown_note(report));
	if (lz_report_memset_note(report, note, sizeof note))
		fprintf(page, "<p>%s.</p>\n", note);
	if (lz_report_runtime_note(report, note, sizeof note))
		fprintf(page, "<p class=\"dim\">%s</p>\n", note);
	lz_html_legend(page);
	while (shown < report->site_count && shown < SITES_SHOWN && ftell(page) < SITES_END)
		write_site(page, report, shown++);
	if (report->site_count == 0)
		fputs("<p>No region was created.</p>\n", page);
	if (report->site_count > shown)
		fprintf(page,
			"<p class=\"dim\">%zu more are not shown; they are part of the graph above.</p>\n",
			report->site_count - shown);
}

static void write_page(FILE *page, const struct lz_report *report, const struct lz_record *record,
	const struct lz_flame *flame)
{
	lz_html_head(page, report, record);
	if (report->site_count > 0) {
		fputs("<h2>What became of the memory, by call stack</h2>\n", page);
		lz_html_legend(page);
		lz_flame_draw(page, flame, FLAME_BYTES);
		fputs("<p class=\"dim\">The width of a frame is the memory that it asked for, at the peak; "
		      "below it are "
		      "those it called.</p>\n",
			page);
	}
	if (record != NULL && record->count > 0) {
		fputs("<h2>Timeline of the run</h2>\n", page);
		lz_svg_timeline(page, record);
	}
	write_sites(page, report);
	fputs("<h2>The address space</h2>\n", page);
	if (report->region_count == 0)
		fputs("<p>No region was live at the end. LAZYZERO_REPORT_SIGNAL makes a running program "
		      "write a report.</p>\n",
			page);
	else
		lz_html_legend(page);
	if (report->region_count > 0)
		qsort(report->regions, report->region_count, sizeof *report->regions, by_address);
	for (size_t i = 0; i < report->process_count && i < PROCESSES_SHOWN && ftell(page) < REGIONS_END; i++)
		write_process(page, report, i);
	fputs("</body></html>\n", page);
}

int lz_report_write_html(const struct lz_report *report, const struct lz_record *record,
	const struct lz_flame *flame, const char *path)
{
	char *text = NULL;
	size_t length;
	/* In memory first: its size is limited, and the file may be a pipe, which has no position. */
	FILE *page = open_memstream(&text, &length), *file;
	int status = 0;

	if (page == NULL)
		return lz_fail_memory();
	write_page(page, report, record, flame);
	if (fclose(page) != 0) {
		free(text);
		return lz_fail_memory();
	}
	file = fopen(path, "we");
	if (file == NULL) {
		free(text);
		return lz_fail_write(path, errno);
	}
	fwrite(text, 1, length, file);
	if (ferror(file) | (fflush(file) != 0))
		status = lz_fail("cannot write '%s': %s", lz_printable(path).text, lz_write_error_text(file));
	fclose(file);
	free(text);
	return status;
}
