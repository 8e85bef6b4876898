/* The lines of a report; see report.h. */
#include "sites/report_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/scratch.h"

#define LINES_MAX 2048u /* most regions that get a line of their own */
#define SAMPLE_PAGES                                                                                         \
	8192u /* written pages whose contents are read for a report, besides at least two for each region */

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

/* Ends a line. Only whole lines are written to the file, because other processes may write to it too. */
static void end_line(struct lz_reporter *reporter, struct lz_text *line)
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

static void begin_object(struct lz_reporter *reporter, struct lz_text *line, const char *kind, uint64_t value)
{
	lz_text_char(line, '{');
	lz_text_char(line, '"');
	lz_text_string(line, kind);
	lz_text_string(line, "\":");
	lz_text_u64(line, value);
	lz_text_string(line, ",\"pid\":");
	lz_text_i64(line, reporter->os->getpid());
}

static void write_header(struct lz_reporter *reporter, const char *reason)
{
	struct lz_report *report = reporter->report;
	struct lz_text line = begin_line(reporter->report);

	begin_object(reporter, &line, "lazyzero_report", LZ_REPORT_VERSION);
	member_u64(&line, "start_time", report->start_time);
	member_string(&line, "executable", report->executable);
	member_string(&line, "reason", reason);
	member_string(
		&line, "geometry", reporter->books->geometry != NULL ? reporter->books->geometry->name : "");
	member_u64(&line, "page", reporter->books->page);
	member_u64(&line, "alive", report->live_count);
	member_u64(&line, "left_out", report->left_out);
	member_u64(&line, "memset_bytes", lz_stats_get(&reporter->books->stats, memset_bytes));
	member_u64(&line, "memset_written", lz_stats_get(&reporter->books->stats, memset_written_bytes));
	end_line(reporter, &line);
}

static void member_build_id(struct lz_text *line, const struct lz_site_module *module)
{
	member(line, "build_id");
	lz_text_char(line, '"');
	for (unsigned i = 0; i < module->build_id_length; i++) {
		lz_text_char(line, "0123456789abcdef"[module->build_id[i] >> 4]);
		lz_text_char(line, "0123456789abcdef"[module->build_id[i] & 15]);
	}
	lz_text_char(line, '"');
}

static void write_modules(struct lz_reporter *reporter)
{
	const struct lz_site_modules *modules = &reporter->report->sites.modules;

	for (unsigned i = 0; i < LZ_MODULES; i++) {
		const struct lz_site_module *module = &modules->entry[i];
		struct lz_text line = begin_line(reporter->report);

		if (!atomic_load_explicit(&module->known, memory_order_acquire))
			continue;
		begin_object(reporter, &line, "module", i);
		member_string(&line, "path", module->module.path);
		member_u64(&line, "inode", module->module.inode);
		member(&line, "deleted");
		lz_text_string(&line, module->module.deleted ? "true" : "false");
		member_build_id(&line, module);
		end_line(reporter, &line);
	}
}

static void write_python_places(struct lz_reporter *reporter)
{
	for (unsigned i = 0; i < LZ_PYTHON_PLACES; i++) {
		const struct lz_python_place *place = &reporter->report->sites.places.place[i];
		struct lz_text line = begin_line(reporter->report);

		if (!atomic_load_explicit(&place->known, memory_order_acquire))
			continue;
		begin_object(reporter, &line, "python", i);
		member_string(&line, "file", place->file);
		member_string(&line, "function", place->function);
		member_u64(&line, "line", (uint64_t)place->line);
		end_line(reporter, &line);
	}
}

static void text_module(struct lz_text *line, unsigned module)
{
	if (module != LZ_MODULE_NONE)
		lz_text_u64(line, module);
	else
		lz_text_string(line, "null");
}

/* The innermost frame, and all frames, those of Python apart. */
static void member_stack(struct lz_text *line, const struct lz_site *site)
{
	member(line, "module");
	text_module(line, site->frames > 0 ? site->frame[0].module : LZ_MODULE_NONE);
	member_u64(line, "offset", site->frame[0].offset);
	member(line, "stack");
	lz_text_char(line, '[');
	for (unsigned i = 0; i < site->frames; i++) {
		lz_text_string(line, i > 0 ? ",[" : "[");
		text_module(line, site->frame[i].module);
		lz_text_char(line, ',');
		lz_text_u64(line, site->frame[i].offset);
		if (site->frame[i].python_frames > 0) {
			lz_text_char(line, ',');
			lz_text_u64(line, site->frame[i].python_frames);
		}
		lz_text_char(line, ']');
	}
	lz_text_char(line, ']');
	for (unsigned i = 0; i < site->python_frames; i++) {
		if (i == 0)
			member(line, "python");
		lz_text_char(line, i == 0 ? '[' : ',');
		lz_text_u64(line, site->python[i]);
		if (i + 1 == site->python_frames)
			lz_text_char(line, ']');
	}
}

static void member_if_known(
	struct lz_text *line, const char *name, uint64_t value, const struct lz_site_usage *usage)
{
	member(line, name);
	if (usage->unknown_bytes != 0)
		lz_text_string(line, "null");
	else
		lz_text_u64(line, value);
}

/* Unknown if there are written pages, but none of them could be read. */
static void member_written_zero(struct lz_text *line, const struct lz_site_usage *usage)
{
	member(line, "written_zero");
	if (usage->unknown_bytes != 0 || (usage->written != 0 && usage->sampled == 0))
		lz_text_string(line, "null");
	else
		lz_text_u64(line, lz_min_u64(usage->written_zero, usage->written));
}

static void member_usage(struct lz_text *line, const struct lz_site_usage *usage)
{
	member_u64(line, "regions", usage->regions);
	member_u64(line, "bytes", usage->bytes);
	member_if_known(line, "written", usage->written, usage);
	member_written_zero(line, usage);
	member_if_known(line, "zero", usage->zero, usage);
	member_if_known(line, "untouched", lz_sub_clamped(usage->bytes, usage->written + usage->zero), usage);
	member_if_known(line, "tables", usage->tables, usage);
	member_if_known(line, "window_tables", usage->window_tables, usage);
	member_u64(line, "full_tables", usage->full_tables);
	member_string(line, "backing",
		usage->on_window == 0                ? "zeropage"
		: usage->on_window >= usage->regions ? "window"
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

static void write_site(struct lz_reporter *reporter, unsigned number)
{
	const struct lz_site *site = &reporter->report->sites.site[number];
	struct lz_site_usage usage = site->freed;
	struct lz_text line = begin_line(reporter->report);

	lz_site_usage_add(&usage, &reporter->report->live_usage[number]);
	if (!atomic_load_explicit(&site->known, memory_order_acquire) ||
		(site->count == 0 && usage.bytes == 0))
		return;
	begin_object(reporter, &line, "site", number);
	member_string(&line, "call", site->call);
	member_stack(&line, site);
	member_u64(&line, "count", site->count);
	member_u64(&line, "asked", site->requested);
	member_u64(&line, "peak", site->peak);
	member_u64(&line, "alive", reporter->report->live_usage[number].bytes);
	member_usage(&line, &usage);
	if (site->largest != 0) {
		member_u64(&line, "freed", site->largest);
		member_digits(&line, "freed_written", site->cells.written, site->cells.count);
		member_digits(&line, "freed_zero", site->cells.zero, site->cells.count);
	}
	end_line(reporter, &line);
}

static void write_region_line(struct lz_reporter *reporter, const struct lz_live_region *region,
	const struct lz_inspection *inspection)
{
	struct lz_text line = begin_line(reporter->report);

	begin_object(reporter, &line, "region", region->base);
	member_u64(&line, "site", region->site);
	member_usage(&line, &inspection->usage);
	member_digits(&line, "map_written", inspection->cells.written, inspection->cells.count);
	member_digits(&line, "map_zero", inspection->cells.zero, inspection->cells.count);
	end_line(reporter, &line);
}

/* A live region is part of its site's usage, and has a line of its own. */
static void write_region(struct lz_reporter *reporter, const struct lz_live_region *region, bool has_line)
{
	uint64_t pages = lz_max_u64(SAMPLE_PAGES / reporter->report->live_count, 2);
	struct lz_inspection *inspection =
		lz_report_inspect(reporter, region->base, region->base + region->length, region->on_window,
			(unsigned)lz_min_u64(pages, LZ_ZERO_SAMPLE_MAX));

	if (inspection == NULL)
		return;
	lz_site_usage_add(&reporter->report->live_usage[region->site], &inspection->usage);
	if (has_line)
		write_region_line(reporter, region, inspection);
	lz_scratch_release(reporter->os, inspection);
}

static void write_end(struct lz_reporter *reporter)
{
	struct lz_text line = begin_line(reporter->report);

	begin_object(reporter, &line, "end", reporter->report->lines);
	end_line(reporter, &line);
}

void lz_report_write_lines(struct lz_reporter *reporter, const char *reason)
{
	struct lz_report *report = reporter->report;

	write_header(reporter, reason);
	write_modules(reporter);
	write_python_places(reporter);
	/* Regions first: their usage is part of their sites'. */
	for (size_t i = 0; i < report->live_count; i++)
		write_region(reporter, &report->live[i], i < LINES_MAX);
	for (unsigned i = LZ_SITE_OTHER; i < LZ_SITES; i++)
		write_site(reporter, i);
	write_end(reporter);
	flush(reporter);
}
