/* The lines of a report; see report.h. */
#include "sites/report_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/scratch.h"

#define LINES_MAX 2048u /* regions that have a line of their own */

static void flush(struct lz_reporter *reporter)
{
	struct lz_report *report = reporter->report;
	const char *at = report->buffer;

	while (report->used > 0 && report->error == 0) {
		ssize_t written = reporter->os->write(report->fd, at, report->used);

		if (written == -EINTR)
			continue;
		if (written <= 0) {
			report->error = written == 0 ? -ENOSPC : (int)written;
			break;
		}
		at += written;
		report->used -= (size_t)written;
	}
	report->used = 0;
}

/* Whole lines go to the file at once: other processes may write there, too. */
static void put(struct lz_reporter *reporter, struct lz_text *line)
{
	struct lz_report *report = reporter->report;

	lz_text_string(line, "}\n");
	if (line->truncated || report->error != 0)
		return;
	if (report->used + line->length > sizeof report->buffer)
		flush(reporter);
	memcpy(report->buffer + report->used, line->buffer, line->length);
	report->used += line->length;
	report->lines++;
}

static void member(struct lz_text *line, const char *name)
{
	lz_text_string(line, ",\"");
	lz_text_string(line, name);
	lz_text_string(line, "\":");
}

static void member_u64(struct lz_text *line, const char *name, uint64_t value)
{
	member(line, name);
	lz_text_u64(line, value);
}

static void member_string(struct lz_text *line, const char *name, const char *value)
{
	member(line, name);
	lz_text_json_string(line, value);
}

static struct lz_text begin_line(struct lz_report *report)
{
	return lz_text_init(report->line, sizeof report->line);
}

static void begin(struct lz_reporter *reporter, struct lz_text *line, const char *kind, uint64_t value)
{
	lz_text_char(line, '{');
	lz_text_char(line, '"');
	lz_text_string(line, kind);
	lz_text_string(line, "\":");
	lz_text_u64(line, value);
	lz_text_string(line, ",\"pid\":");
	lz_text_i64(line, reporter->os->getpid());
}

static void put_header(struct lz_reporter *reporter, const char *reason)
{
	struct lz_report *report = reporter->report;
	struct lz_text line = begin_line(reporter->report);

	begin(reporter, &line, "lazyzero_report", LZ_REPORT_VERSION);
	member_u64(&line, "start_time", report->start_time);
	member_string(&line, "executable", report->executable);
	member_string(&line, "reason", reason);
	member_string(
		&line, "geometry", reporter->books->geometry != NULL ? reporter->books->geometry->name : "");
	member_u64(&line, "page", reporter->books->page);
	member_u64(&line, "alive", report->alive_count);
	member_u64(&line, "left_out", report->left_out);
	put(reporter, &line);
}

static void put_modules(struct lz_reporter *reporter)
{
	struct lz_sites *sites = &reporter->report->sites;

	for (unsigned i = 0; i < LZ_SITE_MODULES; i++) {
		struct lz_text line = begin_line(reporter->report);

		if (!atomic_load_explicit(&sites->module[i].known, memory_order_acquire))
			continue;
		begin(reporter, &line, "module", i);
		member_string(&line, "path", sites->module[i].module.path);
		member_u64(&line, "inode", sites->module[i].module.inode);
		member(&line, "deleted");
		lz_text_string(&line, sites->module[i].module.deleted ? "true" : "false");
		put(reporter, &line);
	}
}

static void member_seen(struct lz_text *line, const char *name, uint64_t value, const struct lz_fate *fate)
{
	member(line, name);
	if (fate->unseen != 0)
		lz_text_string(line, "null");
	else
		lz_text_u64(line, value);
}

static void member_fate(struct lz_text *line, const struct lz_fate *fate)
{
	member_u64(line, "regions", fate->regions);
	member_u64(line, "bytes", fate->bytes);
	member_seen(line, "written", fate->written, fate);
	member_seen(line, "zero", fate->zero, fate);
	member_seen(line, "untouched", lz_sub_clamped(fate->bytes, fate->written + fate->zero), fate);
	member_seen(line, "tables", fate->tables, fate);
	member_seen(line, "window_tables", fate->window_tables, fate);
	member_u64(line, "full_tables", fate->full_tables);
	member_string(line, "backing",
		fate->on_window == 0               ? "zeropage"
		: fate->on_window >= fate->regions ? "window"
						   : "both");
}

static void member_digits(struct lz_text *line, const char *name, const uint8_t *digits, unsigned count)
{
	member(line, name);
	lz_text_char(line, '"');
	for (unsigned i = 0; i < count; i++)
		lz_text_char(line, (char)('0' + digits[i]));
	lz_text_char(line, '"');
}

static void put_site(struct lz_reporter *reporter, unsigned number)
{
	const struct lz_site *site = &reporter->report->sites.site[number];
	struct lz_fate fate = site->ended;
	struct lz_text line = begin_line(reporter->report);

	lz_fate_add(&fate, &reporter->report->alive_fate[number]);
	if (!atomic_load_explicit(&site->known, memory_order_acquire) ||
		(site->count == 0 && fate.bytes == 0))
		return;
	begin(reporter, &line, "site", number);
	member_string(&line, "call", site->call);
	member(&line, "module");
	if (site->module != 0)
		lz_text_u64(&line, site->module - 1u);
	else
		lz_text_string(&line, "null");
	member_u64(&line, "offset", site->offset);
	member_u64(&line, "count", site->count);
	member_u64(&line, "asked", site->asked);
	member_u64(&line, "peak", site->peak);
	member_u64(&line, "alive", reporter->report->alive_fate[number].bytes);
	member_fate(&line, &fate);
	if (site->largest != 0) {
		member_u64(&line, "freed", site->largest);
		member_digits(&line, "freed_written", site->cells.written, site->cells.count);
		member_digits(&line, "freed_zero", site->cells.zero, site->cells.count);
	}
	put(reporter, &line);
}

static void put_look(struct lz_reporter *reporter, const struct lz_alive *region, const struct lz_look *look)
{
	struct lz_text line = begin_line(reporter->report);

	begin(reporter, &line, "region", region->base);
	member_u64(&line, "site", region->site);
	member_fate(&line, &look->fate);
	member_digits(&line, "map_written", look->cells.written, look->cells.count);
	member_digits(&line, "map_zero", look->cells.zero, look->cells.count);
	put(reporter, &line);
}

/* A region that is alive is part of what its site comes to, and has a line of its own. */
static void put_region(struct lz_reporter *reporter, const struct lz_alive *region, bool has_line)
{
	struct lz_look *look =
		lz_report_look(reporter, region->base, region->base + region->length, region->on_window);

	if (look == NULL)
		return;
	lz_fate_add(&reporter->report->alive_fate[region->site], &look->fate);
	if (has_line)
		put_look(reporter, region, look);
	lz_scratch_release(reporter->os, look);
}

static void put_end(struct lz_reporter *reporter)
{
	struct lz_text line = begin_line(reporter->report);

	begin(reporter, &line, "end", reporter->report->lines);
	put(reporter, &line);
}

void lz_report_put(struct lz_reporter *reporter, const char *reason)
{
	struct lz_report *report = reporter->report;

	put_header(reporter, reason);
	put_modules(reporter);
	/* These first: what they come to is part of their sites'. */
	for (size_t i = 0; i < report->alive_count; i++)
		put_region(reporter, &report->alive[i], i < LINES_MAX);
	for (unsigned i = LZ_SITE_OTHER; i < LZ_SITES; i++)
		put_site(reporter, i);
	put_end(reporter);
	flush(reporter);
}
