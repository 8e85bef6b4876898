/* Writes the head of the HTML report; see html_head.h. */
#include "cli/report/html_head.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/common/display.h"
#include "cli/report/hints.h"
#include "cli/report/html_escape.h"
#include "cli/report/overview.h"
#include "config.h"

/*
 * What is wasted has strong colours: never touched (u), written with zeros (o), only read (z). Data (w) is
 * pale.
 */
static const char style[] =
	":root{--bg:#fff;--fg:#1d2129;--dim:#5c6470;--line:#d8dce2;--card:#f6f7f9;--w:#bccad6;--z:#f2ae2e;"
	"--o:#d868a4;--u:#ee6a2c;--edge:#fff;--alarm:#b8400b;color-scheme:light dark}"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e6e8eb;--dim:#9aa3af;--line:#333a44;"
	"--card:#1c2027;--w:#71849a;--edge:#14171c;--alarm:#ff8a50}}"
	"*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:16px;background:var(--bg);"
	"color:var(--fg);font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}"
	"h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.2rem;margin:1.6em 0 .5em}p{margin:.4em 0}"
	".dim,figcaption{color:var(--dim)}code{font:.92em ui-monospace,monospace}"
	".tiles,.charts{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),"
	"1fr))}"
	".tiles{grid-template-columns:repeat(auto-fill,minmax(165px,1fr));margin:1em 0}"
	".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}"
	".tile b{display:block;font-size:1.3rem}.card{margin:12px 0}.card h3{font-size:1.05rem;margin:0 0 "
	".3em}.waste{color:var(--alarm)}.tile.alarm{border:2px solid var(--u)}.tile.alarm b{font-size:1.9rem;"
	"color:var(--alarm)}"
	"figure{margin:0}svg{display:block;width:100%}svg text{font:11px "
	"system-ui,sans-serif;fill:var(--dim)}"
	".wide{overflow-x:auto}.flame{min-width:860px}.flame text{fill:#111;pointer-events:none}"
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

void lz_html_size(FILE *page, uint64_t bytes)
{
	fputs(bytes == UINT64_MAX ? "?" : lz_size_text(bytes).text, page);
}

void lz_html_legend(FILE *page)
{
	fputs("<p class=\"key\"><span><i class=\"u\"></i>never touched</span><span><i "
	      "class=\"o\"></i>written, and "
	      "all zero (estimated)</span><span><i class=\"z\"></i>only read: maps the zero "
	      "page</span><span><i class=\"w\"></i>written with data</span></p>\n",
		page);
}

static void write_tile(FILE *page, const char *class, const char *name, uint64_t bytes)
{
	fprintf(page, "<div class=\"tile%s\"><b>", class);
	lz_html_size(page, bytes);
	fprintf(page, "</b><span class=\"dim\">%s</span></div>\n", name);
}

static uint64_t add_saturating(uint64_t sum, uint64_t value)
{
	return value == UINT64_MAX || __builtin_add_overflow(sum, value, &sum) ? UINT64_MAX : sum;
}

static void write_sums(FILE *page, const struct lz_report *report)
{
	uint64_t peak = 0, waste = 0, tables = 0;

	for (size_t i = 0; i < report->site_count; i++) {
		peak = add_saturating(peak, report->sites[i].sum.peak);
		waste = add_saturating(waste, report->sites[i].waste);
		tables = add_saturating(
			tables, lz_report_scale_to_peak(&report->sites[i], report->sites[i].sum.tables));
	}
	fputs("<div class=\"tiles\">\n", page);
	write_tile(page, waste > 0 ? " alarm" : "", "wasted: not written, or only with zeros", waste);
	write_tile(page, "", "requested at the peak", peak);
	write_tile(page, "", "page tables", tables);
	fputs("</div>\n", page);
}

/* --- what ran --- */

static void write_time(FILE *page, const char *what, time_t seconds)
{
	struct tm local;
	char text[64];

	if (localtime_r(&seconds, &local) != NULL &&
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &local) > 0)
		fprintf(page, "%s %s", what, text);
}

static void write_member(FILE *page, const json_t *object, const char *key, const char *before)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL)
		return;
	fputs(before, page);
	lz_html_escape(page, text);
}

static void write_command(FILE *page, const struct lz_record *record)
{
	const json_t *argument;
	size_t i;

	fputs("<p><code>", page);
	json_array_foreach(json_object_get(record->header, "program"), i, argument)
	{
		const char *text = json_string_value(argument);
		/* Quoted as for a shell, if it has to be. */
		bool quoted =
			text != NULL && (*text == '\0' || strpbrk(text, " \t\n\"'\\$&|;<>()*?[]`#~") != NULL);

		if (text == NULL)
			continue;
		fputs(i > 0 ? " " : "", page);
		fputs(quoted ? "'" : "", page);
		for (const char *quote; quoted && (quote = strchr(text, '\'')) != NULL; text = quote + 1) {
			char *part = strndup(text, (size_t)(quote - text));

			lz_html_escape(page, part != NULL ? part : "");
			fputs("&#39;\\&#39;&#39;", page);
			free(part);
		}
		lz_html_escape(page, text);
		fputs(quoted ? "'" : "", page);
	}
	fputs("</code></p>\n", page);
}

static void write_end(FILE *page, const struct lz_record *record)
{
	const json_t *status = json_object_get(record->last, "exit_status"),
		     *signal = json_object_get(record->last, "signal");

	if (record->end >= 0)
		fprintf(page, ", ran for %.3g s", record->end);
	if (json_is_integer(status))
		fprintf(page, ", exit status %d", (int)json_integer_value(status));
	else if (json_is_integer(signal))
		fprintf(page, ", <b class=\"waste\">killed by signal %d (%s)</b>",
			(int)json_integer_value(signal), strsignal((int)json_integer_value(signal)));
}

/* The command line, when, where and how it ended, as far as the record of the run says; else when it was
 * reported. */
static void write_run(FILE *page, const struct lz_report *report, const struct lz_record *record)
{
	const struct lz_report_process *first = &report->processes[0];

	if (record != NULL)
		write_command(page, record);
	fputs("<p class=\"dim\">", page);
	if (record != NULL && json_is_integer(json_object_get(record->header, "unix_time"))) {
		write_time(page, "Started",
			(time_t)json_integer_value(json_object_get(record->header, "unix_time")));
		write_member(page, record->header, "host", " on ");
		write_member(page, record->header, "kernel", ", ");
		write_end(page, record);
	} else {
		write_time(page, "Reported", first->report_time.tv_sec);
	}
	fprintf(page, ".</p>\n<p class=\"dim\">");
	if (report->process_count == 1)
		fprintf(page, "Process %" PRIu64 ", ", first->pid);
	else
		fprintf(page, "%zu processes, ", report->process_count);
	fprintf(page, "%zu call site%s that allocated large memory. Written by lazyzero %s.</p>\n",
		report->site_count, report->site_count == 1 ? "" : "s", PACKAGE_VERSION);
}

void lz_html_head(FILE *page, const struct lz_report *report, const struct lz_record *record)
{
	const char *executable = report->processes[0].executable;
	char overview[512];

	fprintf(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		      "'unsafe-inline'\"><title>lazyzero report: ");
	lz_html_escape(page, executable);
	fprintf(page, "</title><style>%s</style></head><body>\n<h1>", style);
	lz_html_escape(page, executable);
	fputs("</h1>\n", page);
	lz_report_overview(report, overview, sizeof overview);
	fputs("<p>", page);
	lz_html_escape(page, overview);
	fputs("</p>\n", page);
	write_run(page, report, record);
	write_sums(page, report);
}
