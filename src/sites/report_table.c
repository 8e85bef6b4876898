/* The table of call sites of this process, and its file; see report_internal.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "base/text.h"
#include "sites/report_internal.h"
#include "sites/sites_file.h"
#include "support/path_pattern.h"

void lz_report_log_failure(struct lz_reporter *reporter, const char *what, int error)
{
	char buffer[320];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_string(&text, what);
	lz_text_string(&text, " LAZYZERO_REPORT=\"");
	lz_text_escaped(&text, reporter->options->report);
	lz_text_string(&text, "\": ");
	lz_text_string(&text, error == -ELOOP ? "it is a symbolic link" : lz_error_text(error));
	lz_log_note(reporter->log, buffer);
}

bool lz_report_expand_path(const struct lz_reporter *reporter, struct lz_text *text)
{
	const struct lz_os *os = reporter->os;
	int fd;

	lz_path_pattern_expand(reporter->report->path, os, reporter->report->executable, text);
	fd = os->open(text->buffer, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
	if (fd < 0)
		return false;
	os->close(fd);
	lz_text_string(text, "/lazyzero-report.");
	lz_text_i64(text, os->getpid());
	return true;
}

void lz_report_identify_table(struct lz_reporter *reporter)
{
	struct lz_report *report = reporter->report;
	struct lz_sites_identity *identity = &report->sites.table->identity;
	struct lz_text name = lz_text_init(identity->executable, sizeof identity->executable);

	lz_text_string(&name, report->executable);
	report->sites.table->modules.os = reporter->os;
	identity->pid = (uint64_t)report->pid;
	identity->start_time = report->start_time;
	identity->bytes = sizeof *report->sites.table;
	identity->version = LZ_SITES_FILE_VERSION;
	__atomic_store_n(&identity->magic, LZ_SITES_FILE_MAGIC, __ATOMIC_RELEASE);
}

/* Not at the start of the program: most have no large region. Needs the lock of the books. */
static void create_file(struct lz_reporter *reporter)
{
	struct lz_report *report = reporter->report;
	struct lz_text path = lz_text_init(report->sites_path, sizeof report->sites_path);
	int error;

	report->file_tried = true;
	if (!lz_report_expand_path(reporter, &path)) {
		lz_text_char(&path, '.');
		lz_text_i64(&path, report->pid);
	}
	error = lz_sites_file_create(reporter->os, report->sites.table, &path);
	if (error == 0) {
		lz_report_identify_table(reporter);
		return;
	}
	report->sites_path[0] = '\0';
	if (!report->failure_logged)
		lz_report_log_failure(
			reporter, "no report if the program is killed: cannot write a file beside", error);
	report->failure_logged = true;
}

bool lz_report_has_own_table(struct lz_reporter *reporter)
{
	struct lz_report *report;

	if (!lz_books_lock(reporter->books))
		return reporter->report->pid == reporter->os->getpid();
	report = reporter->report;
	if (report != NULL && !report->file_tried)
		create_file(reporter);
	lz_books_unlock(reporter->books);
	return report != NULL;
}

void lz_report_update_identity(struct lz_reporter *reporter)
{
	struct lz_sites_identity *identity = &reporter->report->sites.table->identity;
	const struct lz_geometry *geometry = reporter->books->geometry;

	if (identity->page == 0 && geometry != NULL) {
		struct lz_text name = lz_text_init(identity->geometry, sizeof identity->geometry);

		lz_text_string(&name, geometry->name);
		identity->page = reporter->books->page;
	}
	atomic_store_explicit(&identity->memset_bytes, lz_stats_get(&reporter->books->stats, memset_bytes),
		memory_order_relaxed);
	atomic_store_explicit(&identity->memset_written,
		lz_stats_get(&reporter->books->stats, memset_written_bytes), memory_order_relaxed);
}
