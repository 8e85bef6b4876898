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
#include "cli/report/runtime.h"
#include "cli/report/svg.h"
#include "config.h"

#define REGIONS_SHOWN 60u /* of a process, the largest */
#define SITES_SHOWN 200u
#define PROCESSES_SHOWN 20u

static const char style[] =
	":root{--bg:#fff;--fg:#1d2129;--dim:#5c6470;--line:#d8dce2;--card:#f6f7f9;--w:#d1495b;--z:#3d8fd1;"
	"--o:#e9a3ab;--u:#dfe3e8;--edge:#fff;color-scheme:light dark}"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e6e8eb;--dim:#9aa3af;--line:#333a44;"
	"--card:#1c2027;--u:#3a424d;--edge:#14171c}}"
	"*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:16px;background:var(--bg);"
	"color:var(--fg);font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}"
	"h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.2rem;margin:1.6em 0 .5em}p{margin:.4em 0}"
	".dim,figcaption{color:var(--dim)}code{font:.92em ui-monospace,monospace}"
	".tiles,.charts{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),"
	"1fr))}"
	".tiles{grid-template-columns:repeat(auto-fill,minmax(165px,1fr));margin:1em 0}"
	".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}"
	".tile b{display:block;font-size:1.3rem}.card{margin:12px 0}.card h3{font-size:1.05rem;margin:0 0 "
	".3em}"
	"figure{margin:0}svg{display:block;width:100%}svg text{font:11px "
	"system-ui,sans-serif;fill:var(--dim)}"
	".strip{height:22px;border-radius:4px;margin:.35em 0}.tall{height:44px}.grid{stroke:var(--line)}"
	"path{fill:none;stroke-width:2;stroke-linejoin:round}.c1{stroke:#8a8f98}.c2{stroke:#3d8fd1}"
	".c3{stroke:#2a9d7a}.c4{stroke:#d1495b}.c5{stroke:#b07d2b}"
	".w{fill:var(--w);background:var(--w)}.o{fill:var(--o);background:var(--o)}.z{fill:var(--z);"
	"background:var(--z)}"
	".u{fill:var(--u);background:var(--u)}.edge{fill:var(--edge)}"
	".key i{display:inline-block;width:.9em;height:.9em;border-radius:3px;margin:0 .35em 0 0;"
	"vertical-align:-.1em}.key span{margin-right:1.2em;white-space:nowrap}"
	"dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:4px 14px;margin:.5em "
	"0 0}"
	"dt{color:var(--dim);font-size:.85rem}dd{margin:0}.hint{font-weight:600}";

static void write_size(FILE *page, uint64_t bytes)
{
	fputs(bytes == UINT64_MAX ? "?" : lz_size_text(bytes).text, page);
}

static void write_tile(FILE *page, const char *name, uint64_t bytes)
{
	fputs("<div class=\"tile\"><b>", page);
	write_size(page, bytes);
	fprintf(page, "</b><span class=\"dim\">%s</span></div>\n", name);
}

static void write_legend(FILE *page)
{
	fputs("<p class=\"key\"><span><i class=\"w\"></i>written</span><span><i class=\"o\"></i>written, and "
	      "all zero (estimated)</span><span><i class=\"z\"></i>only read: maps the zero "
	      "page</span><span><i class=\"u\"></i>never touched</span></p>\n",
		page);
}

static uint64_t add_saturating(uint64_t sum, uint64_t value)
{
	return value == UINT64_MAX || __builtin_add_overflow(sum, value, &sum) ? UINT64_MAX : sum;
}

static void write_header(FILE *page, const struct lz_report *report)
{
	const struct lz_report_process *first = &report->processes[0];
	uint64_t peak = 0, waste = 0, tables = 0;

	fprintf(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		      "'unsafe-inline'\"><title>lazyzero report: ");
	lz_html_escape(page, first->executable);
	fprintf(page, "</title><style>%s</style></head><body>\n<h1>", style);
	lz_html_escape(page, first->executable);
	fputs("</h1>\n<p class=\"dim\">", page);
	if (report->process_count == 1)
		fprintf(page, "Process %" PRIu64 ", ", first->pid);
	else
		fprintf(page, "%zu processes, ", report->process_count);
	fprintf(page, "%zu call sites that allocated large memory. Written by lazyzero %s.</p>\n",
		report->site_count, PACKAGE_VERSION);
	for (size_t i = 0; i < report->site_count; i++) {
		peak = add_saturating(peak, report->sites[i].sum.peak);
		waste = add_saturating(waste, report->sites[i].waste);
		tables = add_saturating(
			tables, lz_report_scale_to_peak(&report->sites[i], report->sites[i].sum.tables));
	}
	fputs("<div class=\"tiles\">\n", page);
	write_tile(page, "requested at the peak", peak);
	write_tile(page, "of it not written, or only with zeros", waste);
	write_tile(page, "page tables", tables);
	fputs("</div>\n", page);
}

static void write_term(FILE *page, const char *name, uint64_t bytes)
{
	fprintf(page, "<div><dt>%s</dt><dd>", name);
	write_size(page, bytes);
	fputs("</dd></div>", page);
}

static void write_site(FILE *page, const struct lz_report_site *site)
{
	char text[512];

	fputs("<div class=\"card\"><h3><code>", page);
	lz_report_site_name(site, text, sizeof text);
	lz_html_escape(page, text);
	fputs("</code></h3>\n", page);
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
	if (site->freed.written[0] != '\0') {
		fputs("<p class=\"dim\">The largest freed region, ", page);
		write_size(page, site->freed_bytes);
		fputs(", by address:</p>", page);
		lz_svg_touch_map(page, &site->freed);
	}
	if (site->module != NULL) {
		fputs("<p class=\"dim\"><code>", page);
		lz_html_escape(page, site->module);
		fprintf(page, "+0x%" PRIx64, site->offset);
		if (site->file != NULL) {
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
	write_size(page, region->sum.bytes);
	fputs(region->backing == LZ_REPORT_BACKING_WINDOW ? " on a window, " : ", ", page);
	lz_html_escape(page, name);
	fputs(" <span class=\"dim\">page tables ", page);
	write_size(page, region->sum.tables);
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
	for (size_t i = 0; i < report->region_count && shown < REGIONS_SHOWN; i++)
		if (report->regions[i].process == process && report->regions[i].sum.bytes >= least) {
			write_region(page, report, &report->regions[i]);
			shown++;
		}
	alive = report->processes[process].alive;
	if (alive != UINT64_MAX && shown < alive)
		fprintf(page, "<p class=\"dim\">%" PRIu64 " others are not shown.</p>", alive - shown);
	fputs("</div>\n", page);
}

static void write_page(FILE *page, const struct lz_report *report, const struct lz_record *record)
{
	char note[512];

	write_header(page, report);
	if (record != NULL) {
		fputs("<h2>Timeline of the run</h2>\n", page);
		lz_svg_timeline(page, record);
	}
	fputs("<h2>Call sites</h2>\n<p class=\"dim\">In descending order of waste.</p>\n", page);
	if (lz_report_unknown_note(report) != NULL)
		fprintf(page, "<p class=\"hint\">%s</p>\n", lz_report_unknown_note(report));
	if (lz_report_memset_note(report, note, sizeof note))
		fprintf(page, "<p>%s.</p>\n", note);
	if (lz_report_runtime_note(report, note, sizeof note))
		fprintf(page, "<p class=\"dim\">%s</p>\n", note);
	write_legend(page);
	for (size_t i = 0; i < report->site_count && i < SITES_SHOWN; i++)
		write_site(page, &report->sites[i]);
	if (report->site_count == 0)
		fputs("<p>No region was created.</p>\n", page);
	if (report->site_count > SITES_SHOWN)
		fprintf(page, "<p class=\"dim\">%zu more are not shown.</p>\n",
			report->site_count - SITES_SHOWN);
	fputs("<h2>The address space</h2>\n", page);
	if (report->region_count == 0)
		fputs("<p>No region was live at the end. LAZYZERO_REPORT_SIGNAL makes a running program "
		      "write a report.</p>\n",
			page);
	else
		write_legend(page);
	if (report->region_count > 0)
		qsort(report->regions, report->region_count, sizeof *report->regions, by_address);
	for (size_t i = 0; i < report->process_count && i < PROCESSES_SHOWN; i++)
		write_process(page, report, i);
	fputs("</body></html>\n", page);
}

int lz_report_write_html(const struct lz_report *report, const struct lz_record *record, const char *path)
{
	FILE *page = fopen(path, "we");
	int status = 0;

	if (page == NULL)
		return lz_fail_write(path, errno);
	write_page(page, report, record);
	if (ferror(page) | (fflush(page) != 0))
		status = lz_fail("cannot write '%s': %s", lz_printable(path).text, lz_write_error_text(page));
	fclose(page);
	return status;
}
