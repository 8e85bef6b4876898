/* The lines of a report; see report_lines.h. */
#include "sites/report_lines.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"

static void flush(struct lz_report_writer *writer)
{
	const char *at = writer->buffer;

	while (writer->used > 0 && writer->error == 0) {
		ssize_t written = writer->os->write(writer->fd, at, writer->used);

		if (written == -EINTR)
			continue;
		if (written <= 0) {
			writer->error = written == 0 ? -ENOSPC : (int)written;
			break;
		}
		at += written;
		writer->used -= (size_t)written;
	}
	writer->used = 0;
}

/* Ends a line. Only whole lines are written to the file, because other processes may write to it too. */
static void end_line(struct lz_report_writer *writer, struct lz_text *line)
{
	lz_text_string(line, "}\n");
	if (line->truncated || writer->error != 0)
		return;
	if (writer->used + line->length > sizeof writer->buffer)
		flush(writer);
	memcpy(writer->buffer + writer->used, line->buffer, line->length);
	writer->used += line->length;
	writer->lines++;
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

static struct lz_text begin_line(struct lz_report_writer *writer)
{
	return lz_text_init(writer->line, sizeof writer->line);
}

static void begin_object(
	struct lz_report_writer *writer, struct lz_text *line, const char *kind, uint64_t value)
{
	lz_text_char(line, '{');
	lz_text_char(line, '"');
	lz_text_string(line, kind);
	lz_text_string(line, "\":");
	lz_text_u64(line, value);
	lz_text_string(line, ",\"pid\":");
	lz_text_u64(line, writer->table->identity.pid);
}

void lz_report_write_header(
	struct lz_report_writer *writer, const char *reason, uint64_t alive, uint64_t left_out)
{
	const struct lz_sites_identity *identity = &writer->table->identity;
	struct lz_text line = begin_line(writer);

	begin_object(writer, &line, "lazyzero_report", LZ_REPORT_VERSION);
	member_u64(&line, "start_time", identity->start_time);
	member_string(&line, "executable", identity->executable);
	member_string(&line, "reason", reason);
	member_string(&line, "geometry", identity->geometry);
	member_u64(&line, "page", identity->page);
	member_u64(&line, "alive", alive);
	member_u64(&line, "left_out", left_out);
	if (writer->unlisted != UINT64_MAX) {
		member_u64(&line, "unlisted", writer->unlisted);
		member_u64(&line, "unlisted_bytes", writer->unlisted_bytes);
	}
	member_u64(
		&line, "memset_bytes", atomic_load_explicit(&identity->memset_bytes, memory_order_relaxed));
	member_u64(&line, "memset_written",
		atomic_load_explicit(&identity->memset_written, memory_order_relaxed));
	end_line(writer, &line);
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

static void write_python_places(struct lz_report_writer *writer)
{
	for (unsigned i = 0; i < LZ_PYTHON_PLACES; i++) {
		const struct lz_python_place *place = &writer->table->places.place[i];
		struct lz_text line = begin_line(writer);

		if (!atomic_load_explicit(&place->known, memory_order_acquire))
			continue;
		begin_object(writer, &line, "python", i);
		member_string(&line, "file", place->file);
		member_string(&line, "function", place->function);
		member_u64(&line, "line", (uint64_t)place->line);
		end_line(writer, &line);
	}
}

void lz_report_write_modules(struct lz_report_writer *writer)
{
	const struct lz_site_modules *modules = &writer->table->modules;

	for (unsigned i = 0; i < LZ_MODULES; i++) {
		const struct lz_site_module *module = &modules->entry[i];
		struct lz_text line = begin_line(writer);

		if (!atomic_load_explicit(&module->known, memory_order_acquire))
			continue;
		begin_object(writer, &line, "module", i);
		member_string(&line, "path", module->module.path);
		member_u64(&line, "inode", module->module.inode);
		member(&line, "deleted");
		lz_text_string(&line, module->module.deleted ? "true" : "false");
		member_build_id(&line, module);
		end_line(writer, &line);
	}
	write_python_places(writer);
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

static void write_site(struct lz_report_writer *writer, unsigned number)
{
	const struct lz_site *site = &writer->table->site[number];
	struct lz_site_usage usage = site->freed;
	struct lz_text line = begin_line(writer);

	lz_site_usage_add(&usage, &writer->live_usage[number]);
	if (!atomic_load_explicit(&site->known, memory_order_acquire) ||
		(site->count == 0 && usage.bytes == 0))
		return;
	begin_object(writer, &line, "site", number);
	member_string(&line, "call", site->call);
	member_stack(&line, site);
	if (site->is_shared)
		member_u64(&line, "shared", 1);
	member_u64(&line, "count", site->count);
	member_u64(&line, "asked", site->requested);
	member_u64(&line, "peak", site->peak);
	member_u64(&line, "alive", writer->live_usage[number].bytes);
	member_usage(&line, &usage);
	if (site->largest != 0) {
		member_u64(&line, "freed", site->largest);
		member_digits(&line, "freed_written", site->cells.written, site->cells.count);
		member_digits(&line, "freed_zero", site->cells.zero, site->cells.count);
	}
	end_line(writer, &line);
}

void lz_report_write_region(struct lz_report_writer *writer, uint64_t base, unsigned site,
	const struct lz_site_usage *usage, const struct lz_cell_map *cells)
{
	struct lz_text line = begin_line(writer);

	begin_object(writer, &line, "region", base);
	member_u64(&line, "site", site);
	member_usage(&line, usage);
	member_digits(&line, "map_written", cells->written, cells->count);
	member_digits(&line, "map_zero", cells->zero, cells->count);
	end_line(writer, &line);
}

void lz_report_write_sites(struct lz_report_writer *writer)
{
	for (unsigned i = LZ_SITE_OTHER; i < LZ_SITES; i++)
		write_site(writer, i);
}

void lz_report_write_end(struct lz_report_writer *writer)
{
	struct lz_text line = begin_line(writer);

	begin_object(writer, &line, "end", writer->lines);
	end_line(writer, &line);
	flush(writer);
}
