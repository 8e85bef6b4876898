/* The report of LAZYZERO_REPORT; see report.h. */
#include "sites/report_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/scratch.h"
#include "sites/inspect.h"
#include "sites/sites_file.h"
#include "support/path_pattern.h"

#define LINES_MAX 2048u /* most regions that get a line of their own */

/* Written pages whose contents are read for a report, besides at least two for each region. */
#define SAMPLE_PAGES 8192u

/* --- regions --- */

static void list_region(struct lz_reporter *reporter, const struct lz_region_record *region)
{
	lz_sites_list_region(&reporter->report->sites,
		atomic_load_explicit(&region->base, memory_order_relaxed),
		atomic_load_explicit(&region->length, memory_order_relaxed), region->site, region->on_window);
}

void lz_report_region_allocated(struct lz_reporter *reporter, const struct lz_request *request, const void *p)
{
	struct lz_region_record *region = lz_regions_find(&reporter->books->regions, (uintptr_t)p);
	struct lz_sites *sites = &reporter->report->sites;

	if (region == NULL || !lz_report_has_own_table(reporter))
		return;
	region->site = (uint16_t)lz_sites_find(sites, request->caller, request->call);
	lz_sites_note_allocated(sites, region->site,
		atomic_load_explicit(&region->length, memory_order_relaxed), request->size);
	list_region(reporter, region);
	lz_report_update_identity(reporter);
}

void lz_report_region_resized(
	struct lz_reporter *reporter, unsigned site, uintptr_t old_base, const void *p, size_t old_length)
{
	struct lz_region_record *region = lz_regions_find(&reporter->books->regions, (uintptr_t)p);
	size_t length;

	if (region == NULL || site == LZ_SITE_NONE || !lz_report_has_own_table(reporter))
		return;
	length = atomic_load_explicit(&region->length, memory_order_relaxed);
	region->site = (uint16_t)site;
	if (length > old_length)
		lz_sites_note_grown(&reporter->report->sites, site, length - old_length);
	lz_sites_unlist_region(&reporter->report->sites, old_base);
	list_region(reporter, region);
}

void lz_report_before_free(
	struct lz_reporter *reporter, const struct lz_region_record *region, uintptr_t start, uintptr_t end)
{
	struct lz_inspection *inspection;

	if (reporter->books->geometry == NULL || !lz_report_has_own_table(reporter) ||
		region->site == LZ_SITE_NONE)
		return;
	inspection = lz_report_inspect(reporter, start, end,
		region->on_window ? LZ_REGION_ON_WINDOW : LZ_REGION_PLAIN,
		lz_report_freed_sample_pages(end - start));
	if (inspection == NULL)
		return;
	/* A tail that realloc cuts off is not counted as a region. */
	inspection->usage.regions = start == atomic_load_explicit(&region->base, memory_order_relaxed);
	inspection->usage.on_window *= inspection->usage.regions;
	lz_sites_note_freed(&reporter->report->sites, region->site, &inspection->usage,
		inspection->usage.regions ? &inspection->cells : NULL);
	lz_sites_unlist_region(
		&reporter->report->sites, atomic_load_explicit(&region->base, memory_order_relaxed));
	if (!inspection->usage.regions)
		lz_sites_list_region(&reporter->report->sites,
			atomic_load_explicit(&region->base, memory_order_relaxed),
			start - atomic_load_explicit(&region->base, memory_order_relaxed), region->site,
			region->on_window);
	lz_report_update_identity(reporter);
	lz_scratch_release(reporter->os, inspection);
}

void lz_report_zeroed(struct lz_reporter *reporter, const void *caller, uint64_t bytes, uint64_t written)
{
	const struct lz_site_usage usage = {.regions = 1, .bytes = bytes, .written = written};

	if (lz_report_has_own_table(reporter))
		lz_sites_note_zeroed(&reporter->report->sites,
			lz_sites_find(&reporter->report->sites, caller, "memset"), &usage);
}

static void add_live(struct lz_report *report, const struct lz_listed_region *region)
{
	if (report->live_count == LZ_REPORT_LIVE_MAX)
		report->left_out++;
	else
		report->live[report->live_count++] = *region;
}

static void note_live(void *context, struct lz_region_record *region)
{
	struct lz_report *report = context;

	struct lz_listed_region live = {.base = atomic_load_explicit(&region->base, memory_order_relaxed),
		.length = atomic_load_explicit(&region->length, memory_order_relaxed),
		.site = region->site,
		.on_window = region->on_window};

	if (region->site != LZ_SITE_NONE && region->site < LZ_SITES)
		add_live(report, &live);
}

static void note_live_mappings(struct lz_report *report)
{
	uint32_t end = atomic_load_explicit(&report->sites.mappings_end, memory_order_relaxed);

	for (uint32_t i = 0; i < end; i++) {
		const struct lz_listed_region *entry = &report->sites.table->live[LZ_SITES_LIVE + i];

		if (entry->base != 0 && entry->length != 0)
			add_live(report, entry);
	}
}

static int open_file(const struct lz_reporter *reporter)
{
	const struct lz_os *os = reporter->os;
	char *path = reporter->report->opened_path;
	struct lz_text text = lz_text_init(path, sizeof reporter->report->opened_path);
	struct lz_file_id id;
	int fd, error;

	lz_report_expand_path(reporter, &text);
	if (text.truncated)
		return -ENAMETOOLONG;
	fd = os->open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return fd;
	error = os->identify(fd, &id);
	/* In a shared directory another user may have created the file in order to read it. */
	if (error == 0 && id.type == S_IFREG && id.owner != 0 && id.owner != os->geteuid())
		error = -EPERM;
	if (error == 0)
		return fd;
	os->close(fd);
	return error;
}

static void log_failure_once(struct lz_reporter *reporter, int error)
{
	if (!reporter->report->failure_logged)
		lz_report_log_failure(reporter, "no report: cannot write", error);
	reporter->report->failure_logged = true;
}

static void clear_site(void *context, struct lz_region_record *region)
{
	(void)context;
	region->site = LZ_SITE_NONE;
}

/*
 * In a forked child: counts and inherited regions belong to the parent's report. Called with the lock of the
 * books.
 */
static void after_fork(void *context)
{
	struct lz_reporter *reporter = context;
	struct lz_report *report = reporter->report;

	report->pid = reporter->os->getpid();
	report->file_tried = false;
	report->sites_path[0] = '\0';
	atomic_store_explicit(&report->sites.mappings_end, 0, memory_order_relaxed);
	lz_regions_for_each(&reporter->books->regions, clear_site, NULL);
	if (lz_sites_file_detach(reporter->os, report->sites.table) != 0) {
		/* The table is the parent's. */
		reporter->report = NULL;
		return;
	}
	report->start_time = lz_stats_process_start_time(reporter->os, (uint64_t)reporter->os->getpid());
	lz_report_identify_table(reporter);
	lz_pythons_examine_again(&report->sites.pythons);
	/* Another thread of the parent may have been writing. */
	atomic_store_explicit(&report->busy, 0, memory_order_relaxed);
}

/* A path that ends in a slash is meant to be a directory, which need not be there yet. */
static void make_directory(struct lz_reporter *reporter)
{
	struct lz_report *report = reporter->report;
	struct lz_text path = lz_text_init(report->opened_path, sizeof report->opened_path);
	size_t length = strlen(report->path);

	if (length == 0 || report->path[length - 1] != '/')
		return;
	lz_path_pattern_expand(report->path, reporter->os, report->executable, &path);
	reporter->os->any_syscall(SYS_mkdirat, AT_FDCWD, (long)report->opened_path, 0700, 0, 0, 0);
}

void lz_report_open(struct lz_reporter *reporter, const char *executable)
{
	struct lz_report *report;
	struct lz_text name;
	intptr_t at, table;
	int fd;

	if (reporter->options->report[0] == '\0')
		return;
	at = reporter->os->mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	table = lz_os_failed(at) ? at : lz_sites_table_create(reporter->os);
	if (lz_os_failed(table)) {
		if (!lz_os_failed(at))
			reporter->os->munmap((void *)at, sizeof *report);
		lz_report_log_failure(reporter, "no report: no memory for", (int)table);
		return;
	}
	report = (struct lz_report *)at;
	lz_sites_init(&report->sites, (struct lz_site_table *)table, reporter->os);
	report->pid = reporter->os->getpid();
	report->start_time = lz_stats_process_start_time(reporter->os, (uint64_t)reporter->os->getpid());
	name = lz_text_init(report->executable, sizeof report->executable);
	lz_text_string(&name, executable);
	lz_path_pattern_make_absolute(
		report->path, sizeof report->path, reporter->os, reporter->options->report);
	reporter->report = report;
	make_directory(reporter);
	lz_report_identify_table(reporter);
	lz_books_register(
		reporter->books, &(struct lz_books_observer){.context = reporter, .after_fork = after_fork});
	/* Open the file now: an error is more useful at the start than at the end of a long run. */
	fd = open_file(reporter);
	if (fd < 0)
		log_failure_once(reporter, fd);
	else
		reporter->os->close(fd);
}

int lz_report_signal(const struct lz_reporter *reporter)
{
	static const int signals[] = {
		[LZ_REPORT_NONE] = 0,
		[LZ_REPORT_HUP] = SIGHUP,
		[LZ_REPORT_USR1] = SIGUSR1,
		[LZ_REPORT_USR2] = SIGUSR2,
	};

	return reporter->report != NULL ? signals[reporter->options->report_signal] : 0;
}

/* --- writing --- */

/* A live region is part of its site's usage, and has a line of its own. */
static void write_region(struct lz_reporter *reporter, const struct lz_listed_region *region, bool has_line)
{
	struct lz_report_writer *writer = &reporter->report->writer;
	uint64_t pages = lz_max_u64(SAMPLE_PAGES / reporter->report->live_count, 2);
	struct lz_inspection *inspection =
		lz_report_inspect(reporter, region->base, region->base + region->length,
			lz_region_kind_of(region), (unsigned)lz_min_u64(pages, LZ_ZERO_SAMPLE_MAX));

	if (inspection == NULL)
		return;
	lz_site_usage_add(&writer->live_usage[region->site], &inspection->usage);
	if (has_line)
		lz_report_write_region(
			writer, region->base, region->site, &inspection->usage, &inspection->cells);
	lz_scratch_release(reporter->os, inspection);
}

/* Writes all lines to the file. */
static void write_lines(struct lz_reporter *reporter, const char *reason)
{
	struct lz_report *report = reporter->report;
	struct lz_report_writer *writer = &report->writer;

	lz_report_update_identity(reporter);
	lz_report_count_unlisted(reporter, &writer->unlisted, &writer->unlisted_bytes);
	lz_report_write_header(writer, reason, report->live_count, report->left_out);
	lz_report_write_modules(writer);
	/* Regions first: their usage is part of their sites'. */
	for (size_t i = 0; i < report->live_count; i++)
		write_region(reporter, &report->live[i], i < LINES_MAX);
	lz_report_write_sites(writer);
	lz_report_write_end(writer);
}

/* `is_last`: the process ends, and the file of its table is of no more use. */
static void write_report(struct lz_reporter *reporter, const char *reason, bool is_last)
{
	struct lz_report *report = reporter->report;
	struct lz_report_writer *writer;
	uint64_t saved;
	bool entered;

	if (!lz_report_is_active(reporter))
		return;
	/*
	 * A signal handler may have interrupted the holder of the lock; then the report is written without
	 * it. In a forked child, taking the lock resets the report first.
	 */
	entered = lz_books_lock(reporter->books);
	if (reporter->report == NULL) {
		lz_books_unlock(reporter->books);
		return;
	}
	if (atomic_exchange_explicit(&report->busy, 1, memory_order_acquire) != 0) {
		if (entered)
			lz_books_unlock(reporter->books);
		return;
	}
	report->live_count = 0;
	report->left_out = 0;
	lz_regions_for_each(&reporter->books->regions, note_live, report);
	note_live_mappings(report);
	if (entered)
		lz_books_unlock(reporter->books);
	writer = &report->writer;
	memset(writer->live_usage, 0, sizeof writer->live_usage);
	writer->os = reporter->os;
	writer->table = report->sites.table;
	writer->lines = writer->used = 0;
	writer->error = 0;
	writer->fd = open_file(reporter);
	if (writer->fd >= 0 && reporter->os->block_write_signals(&saved) == 0) {
		write_lines(reporter, reason);
		reporter->os->restore_write_signals(saved);
	} else if (writer->fd >= 0) {
		writer->error = -EIO;
	}
	if (writer->fd >= 0)
		reporter->os->close(writer->fd);
	if (writer->fd < 0 || writer->error != 0)
		log_failure_once(reporter, writer->fd < 0 ? writer->fd : writer->error);
	else if (is_last && report->sites_path[0] != '\0')
		lz_sites_file_remove(reporter->os, report->sites_path);
	atomic_store_explicit(&report->busy, 0, memory_order_release);
}

void lz_report_write(struct lz_reporter *reporter)
{
	write_report(reporter, "signal", false);
}

void lz_report_write_at_exit(struct lz_reporter *reporter)
{
	write_report(reporter, "exit", true);
}

void lz_report_write_at_immediate_exit(struct lz_reporter *reporter)
{
	/* A child of vfork shares this memory, and a forked child that has no region yet has no table. */
	if (lz_report_is_active(reporter) && reporter->report->pid == reporter->os->getpid())
		lz_report_write_at_exit(reporter);
}
