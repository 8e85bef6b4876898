/* The report of LAZYZERO_REPORT; see report.h. */
#include "sites/report_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/scratch.h"
#include "support/pattern.h"

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

struct lz_look *lz_report_look(struct lz_core *core, uintptr_t start, uintptr_t end, bool on_window)
{
	struct lz_look *look = lz_scratch_take(core->os);
	struct lz_census *census;

	_Static_assert(sizeof *look <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	if (look == NULL)
		return NULL;
	census = &look->census;
	look->fate = (struct lz_fate){.regions = 1, .bytes = end - start, .on_window = on_window};
	memset(&look->cells, 0, sizeof look->cells);
	look->fate.full_tables = lz_census_share(core->geometry, end - start, 0);
	lz_census_begin(census, core->geometry, start, end);
	lz_census_map_begin(&look->map, end - start, core->page);
	census->map = &look->map;
	if (lz_census_walk(census, core->os) != 0) {
		look->fate.unseen = look->fate.bytes;
		return look;
	}
	look->fate.written = census->written;
	look->fate.zero = census->zero_mapped + census->window;
	look->fate.tables = census->table_share;
	look->fate.window_tables = census->window_share;
	draw(&look->cells, &look->map, end - start, core->page);
	return look;
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
	struct lz_look *look;

	if (region->site == LZ_SITE_NONE || core->geometry == NULL)
		return;
	look = lz_report_look(core, start, end, region->on_window);
	if (look == NULL)
		return;
	/* What is cut off is no region of its own. */
	look->fate.regions = start == atomic_load_explicit(&region->base, memory_order_relaxed);
	look->fate.on_window *= look->fate.regions;
	lz_sites_ended(&core->report->sites, region->site, &look->fate,
		look->fate.regions ? &look->cells : NULL);
	lz_scratch_release(core->os, look);
}

static void note_alive(void *context, struct lz_served *region)
{
	struct lz_report *report = context;

	if (region->site == LZ_SITE_NONE || region->site >= LZ_SITES)
		return;
	if (report->alive_count == LZ_REPORT_ALIVE) {
		report->left_out++;
		return;
	}
	report->alive[report->alive_count++] = (struct lz_alive){
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
	char *path = core->report->opened;
	struct lz_text text = lz_text_in(path, sizeof core->report->opened);
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
		lz_report_put(core, reason);
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
