/* The report of LAZYZERO_REPORT; see report.h. */
#include "core/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/text.h"
#include "core/inside.h"
#include "support/pattern.h"

#define ALIVE_MAX 65536u /* regions that are looked at; as many mappings as a process may have */
#define LINES_MAX 2048u  /* of them, that have a line of their own */
#define LINE_BYTES 2048u

struct alive {
	uintptr_t base;
	size_t length;
	uint16_t site;
	bool on_window;
};

/* A mapping of its own, most of which is never touched. */
struct lz_report {
	struct lz_sites sites;
	_Atomic uint32_t busy; /* somebody writes a report, and what follows is theirs */
	bool broken;           /* that the file cannot be written was said */
	uint64_t start_time;
	char path[2 * LZ_OPTION_TEXT_MAX]; /* absolute, with its % sequences */
	char executable[64];
	int fd, error;
	uint64_t lines, left_out;
	size_t alive_count;
	struct alive alive[ALIVE_MAX];
	struct lz_fate alive_fate[LZ_SITES];
	size_t used;
	char buffer[16384];
};

/* --- looking --- */

/* The share of a cell, rounded up: a page that was written shows. */
static uint8_t digit(uint64_t part, uint64_t whole)
{
	return (uint8_t)lz_min_u64((part * 9 + whole - 1) / whole, 9);
}

static void draw(struct lz_cells *cells, const struct lz_census_map *map, uint64_t bytes, uint64_t page)
{
	for (uint64_t at = 0; at < bytes && cells->count < LZ_CENSUS_CELLS; at += map->cell_bytes) {
		uint64_t whole = lz_min_u64(map->cell_bytes, bytes - at);
		unsigned i = cells->count++;

		cells->written[i] = digit(map->written[i] * page, whole);
		cells->zero[i] = digit(map->zero[i] * page, whole);
	}
}

/* The fate of one region, and its picture. */
static void look(struct lz_core *core, uintptr_t start, uintptr_t end, bool on_window, struct lz_fate *fate,
	struct lz_cells *cells)
{
	struct lz_census census;
	struct lz_census_map map;

	*fate = (struct lz_fate){.regions = 1, .bytes = end - start, .on_window = on_window};
	memset(cells, 0, sizeof *cells);
	fate->full_tables = lz_census_share(core->geometry, end - start, 0);
	lz_census_begin(&census, core->geometry, start, end);
	lz_census_map_begin(&map, end - start, core->page);
	census.map = &map;
	if (lz_census_walk(&census, core->os) != 0) {
		fate->unseen = fate->bytes;
		return;
	}
	fate->written = census.written;
	fate->zero = census.zero_mapped + census.window;
	fate->tables = census.table_share;
	fate->window_tables = census.window_share;
	draw(cells, &map, end - start, core->page);
}

void lz_report_made(struct lz_core *core, const struct lz_request *request, const void *p)
{
	struct lz_served *region = lz_regions_find(&core->regions, (uintptr_t)p);
	struct lz_sites *sites = &core->report->sites;

	if (region == NULL)
		return;
	region->site = (uint16_t)lz_sites_find(sites, request->caller, request->call);
	lz_sites_made(sites, region->site, atomic_load_explicit(&region->length, memory_order_relaxed),
		request->size);
}

void lz_report_resized(struct lz_core *core, unsigned site, const void *p, size_t old_length)
{
	struct lz_served *region = lz_regions_find(&core->regions, (uintptr_t)p);
	size_t length;

	if (region == NULL || site == LZ_SITE_NONE)
		return;
	length = atomic_load_explicit(&region->length, memory_order_relaxed);
	region->site = (uint16_t)site;
	if (length > old_length)
		lz_sites_grew(&core->report->sites, site, length - old_length);
}

void lz_report_going(struct lz_core *core, const struct lz_served *region, uintptr_t start, uintptr_t end)
{
	struct lz_fate fate;
	struct lz_cells cells;

	if (region->site == LZ_SITE_NONE || core->geometry == NULL)
		return;
	look(core, start, end, region->on_window, &fate, &cells);
	/* What is cut off is no region of its own. */
	fate.regions = start == atomic_load_explicit(&region->base, memory_order_relaxed);
	fate.on_window *= fate.regions;
	lz_sites_ended(&core->report->sites, region->site, &fate, fate.regions ? &cells : NULL);
}

/* --- writing --- */

static void flush(struct lz_core *core)
{
	struct lz_report *report = core->report;
	const char *at = report->buffer;

	while (report->used > 0 && report->error == 0) {
		ssize_t written = core->os->write(report->fd, at, report->used);

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
static void put(struct lz_core *core, struct lz_text *line)
{
	struct lz_report *report = core->report;

	lz_text_string(line, "}\n");
	if (line->cut || report->error != 0)
		return;
	if (report->used + line->length > sizeof report->buffer)
		flush(core);
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
	lz_text_json(line, value);
}

static void begin(struct lz_core *core, struct lz_text *line, const char *kind, uint64_t value)
{
	lz_text_char(line, '{');
	lz_text_char(line, '"');
	lz_text_string(line, kind);
	lz_text_string(line, "\":");
	lz_text_u64(line, value);
	lz_text_string(line, ",\"pid\":");
	lz_text_i64(line, core->os->getpid());
}

static void put_header(struct lz_core *core, const char *reason)
{
	struct lz_report *report = core->report;
	char buffer[LINE_BYTES];
	struct lz_text line = lz_text_in(buffer, sizeof buffer);

	begin(core, &line, "lazyzero_report", LZ_REPORT_VERSION);
	member_u64(&line, "start_time", report->start_time);
	member_string(&line, "executable", report->executable);
	member_string(&line, "reason", reason);
	member_string(&line, "geometry", core->geometry != NULL ? core->geometry->name : "");
	member_u64(&line, "page", core->page);
	member_u64(&line, "alive", report->alive_count);
	member_u64(&line, "left_out", report->left_out);
	put(core, &line);
}

static void put_modules(struct lz_core *core)
{
	struct lz_sites *sites = &core->report->sites;

	for (unsigned i = 0; i < LZ_SITE_MODULES; i++) {
		char buffer[LINE_BYTES];
		struct lz_text line = lz_text_in(buffer, sizeof buffer);

		if (!atomic_load_explicit(&sites->module[i].known, memory_order_acquire))
			continue;
		begin(core, &line, "module", i);
		member_string(&line, "path", sites->module[i].module.path);
		member_u64(&line, "inode", sites->module[i].module.inode);
		member(&line, "deleted");
		lz_text_string(&line, sites->module[i].module.deleted ? "true" : "false");
		put(core, &line);
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

static void put_site(struct lz_core *core, unsigned number)
{
	const struct lz_site *site = &core->report->sites.site[number];
	struct lz_fate fate = site->ended;
	char buffer[LINE_BYTES];
	struct lz_text line = lz_text_in(buffer, sizeof buffer);

	lz_fate_add(&fate, &core->report->alive_fate[number]);
	if (!atomic_load_explicit(&site->known, memory_order_acquire) ||
		(site->count == 0 && fate.bytes == 0))
		return;
	begin(core, &line, "site", number);
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
	member_u64(&line, "alive", core->report->alive_fate[number].bytes);
	member_fate(&line, &fate);
	if (site->largest != 0) {
		member_u64(&line, "freed", site->largest);
		member_digits(&line, "freed_written", site->cells.written, site->cells.count);
		member_digits(&line, "freed_zero", site->cells.zero, site->cells.count);
	}
	put(core, &line);
}

/* A region that is alive is part of what its site comes to, and has a line of its own. */
static void put_region(struct lz_core *core, const struct alive *region, bool has_line)
{
	char buffer[LINE_BYTES];
	struct lz_text line = lz_text_in(buffer, sizeof buffer);
	struct lz_fate fate;
	struct lz_cells cells;

	look(core, region->base, region->base + region->length, region->on_window, &fate, &cells);
	lz_fate_add(&core->report->alive_fate[region->site], &fate);
	if (!has_line)
		return;
	begin(core, &line, "region", region->base);
	member_u64(&line, "site", region->site);
	member_fate(&line, &fate);
	member_digits(&line, "map_written", cells.written, cells.count);
	member_digits(&line, "map_zero", cells.zero, cells.count);
	put(core, &line);
}

static void put_end(struct lz_core *core)
{
	char buffer[128];
	struct lz_text line = lz_text_in(buffer, sizeof buffer);

	begin(core, &line, "end", core->report->lines);
	put(core, &line);
}

static void note_alive(void *context, struct lz_served *region)
{
	struct lz_report *report = context;

	if (region->site == LZ_SITE_NONE || region->site >= LZ_SITES)
		return;
	if (report->alive_count == ALIVE_MAX) {
		report->left_out++;
		return;
	}
	report->alive[report->alive_count++] = (struct alive){
		.base = atomic_load_explicit(&region->base, memory_order_relaxed),
		.length = atomic_load_explicit(&region->length, memory_order_relaxed),
		.site = region->site,
		.on_window = region->on_window,
	};
}

/* --- the file --- */

static int open_file(const struct lz_core *core)
{
	const struct lz_os *os = core->os;
	char path[sizeof core->report->path + 96];
	struct lz_text text = lz_text_in(path, sizeof path);
	struct lz_file_id id;
	int fd, error;

	lz_pattern_expand(core->report->path, os, core->report->executable, &text);
	fd = os->open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
	if (fd >= 0) {
		os->close(fd);
		lz_text_string(&text, "/lazyzero-report.");
		lz_text_i64(&text, os->getpid());
	}
	if (text.cut)
		return -ENAMETOOLONG;
	fd = os->open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return fd;
	error = os->identify(fd, &id);
	/* In a shared directory somebody may have made the file before us, to read it. */
	if (error == 0 && id.type == S_IFREG && id.owner != 0 && id.owner != os->geteuid())
		error = -EPERM;
	if (error == 0)
		return fd;
	os->close(fd);
	return error;
}

static void say_broken(struct lz_core *core, int error)
{
	char buffer[320];
	struct lz_text text = lz_text_in(buffer, sizeof buffer);

	lz_text_string(&text, "no report: cannot write LAZYZERO_REPORT=\"");
	lz_text_foreign(&text, core->options.report);
	lz_text_string(&text, "\": ");
	lz_text_string(&text, error == -ELOOP ? "it is a symbolic link" : lz_error_text(error));
	lz_log_note(&core->log, buffer);
}

static void say_broken_once(struct lz_core *core, int error)
{
	if (!core->report->broken)
		say_broken(core, error);
	core->report->broken = true;
}

void lz_report_open(struct lz_core *core, const char *executable)
{
	struct lz_report *report;
	struct lz_text name;
	intptr_t at;
	int fd;

	if (core->options.report[0] == '\0')
		return;
	at = core->os->mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at)) {
		say_broken(core, (int)at);
		return;
	}
	report = (struct lz_report *)at;
	report->sites.os = core->os;
	report->start_time = lz_start_time(core->os, (uint64_t)core->os->getpid());
	name = lz_text_in(report->executable, sizeof report->executable);
	lz_text_string(&name, executable);
	lz_pattern_keep(report->path, sizeof report->path, core->os, core->options.report);
	/* What was kept would be told as written by who gets it next. */
	core->options.cache = 0;
	core->report = report;
	/* What is wrong is worth more now than at the end of a long run. */
	fd = open_file(core);
	if (fd < 0)
		say_broken_once(core, fd);
	else
		core->os->close(fd);
}

int lz_report_signal(const struct lz_core *core)
{
	static const int signals[] = {
		[LZ_REPORT_NONE] = 0,
		[LZ_REPORT_HUP] = SIGHUP,
		[LZ_REPORT_USR1] = SIGUSR1,
		[LZ_REPORT_USR2] = SIGUSR2,
	};

	return core->report != NULL ? signals[core->options.report_signal] : 0;
}

static void write_all(struct lz_core *core, const char *reason)
{
	struct lz_report *report = core->report;

	put_header(core, reason);
	put_modules(core);
	/* These first: what they come to is part of their sites'. */
	for (size_t i = 0; i < report->alive_count; i++)
		put_region(core, &report->alive[i], i < LINES_MAX);
	for (unsigned i = LZ_SITE_OTHER; i < LZ_SITES; i++)
		put_site(core, i);
	put_end(core);
	flush(core);
}

void lz_report_write(struct lz_core *core, const char *reason)
{
	struct lz_report *report = core->report;
	uint64_t saved;
	bool entered;

	if (report == NULL)
		return;
	/* A signal handler may have interrupted who holds the lock. In a forked child this makes all anew. */
	entered = lz_core_enter(core);
	if (atomic_exchange_explicit(&report->busy, 1, memory_order_acquire) != 0) {
		if (entered)
			lz_core_leave(core);
		return;
	}
	report->alive_count = 0;
	report->left_out = report->lines = report->used = 0;
	report->error = 0;
	memset(report->alive_fate, 0, sizeof report->alive_fate);
	lz_regions_each(&core->regions, note_alive, report);
	if (entered)
		lz_core_leave(core);
	report->fd = open_file(core);
	if (report->fd >= 0 && core->os->quiet_begin(&saved) == 0) {
		write_all(core, reason);
		core->os->quiet_end(saved);
	} else if (report->fd >= 0) {
		report->error = -EIO;
	}
	if (report->fd >= 0)
		core->os->close(report->fd);
	if (report->fd < 0 || report->error != 0)
		say_broken_once(core, report->fd < 0 ? report->fd : report->error);
	atomic_store_explicit(&report->busy, 0, memory_order_release);
}

static void forget_site(void *context, struct lz_served *region)
{
	(void)context;
	region->site = LZ_SITE_NONE;
}

void lz_report_after_fork(struct lz_core *core)
{
	struct lz_report *report = core->report;

	if (report == NULL)
		return;
	lz_sites_forget(&report->sites);
	lz_regions_each(&core->regions, forget_site, NULL);
	report->start_time = lz_start_time(core->os, (uint64_t)core->os->getpid());
	/* Another thread of the parent may have been writing. */
	atomic_store_explicit(&report->busy, 0, memory_order_relaxed);
}
