/* Sets up the rooms of a process before the first request, and closes them at exit; see core.h. */
#include "core/core.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backing/backings.h"
#include "base/text.h"
#include "os/descriptors.h"

static void warn(void *context, const char *text)
{
	lz_log_note(context, text);
}

static void ignore(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static const char *base_name(const char *path)
{
	const char *base = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

static void log_stats_failure(struct lz_core *core, int error)
{
	char buffer[256];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);
	size_t length = strlen(core->options.stats);

	/*
	 * The path ends in a slash, so it was a directory, and it is gone. Nobody reads the statistics any
	 * more: this process has outlived `lazyzero run`.
	 */
	if (core->options.stats[length - 1] == '/' && (error == -EISDIR || error == -ENOENT))
		return;
	lz_text_string(&text, "no statistics: cannot write LAZYZERO_STATS=\"");
	lz_text_escaped(&text, core->options.stats);
	lz_text_string(&text, "\": ");
	lz_text_string(&text, lz_error_text(error));
	lz_log_note(&core->log, buffer);
}

/* LAZYZERO_ONLY may name a program as it was started (a script) or as it is (its interpreter). */
static bool is_wanted(struct lz_core *core, const char *executable)
{
	char path[LZ_OPTION_TEXT_MAX];

	if (core->options.disable)
		return false;
	return lz_options_match_executable(&core->options, executable) ||
	       (core->os->readlink("/proc/self/exe", path, sizeof path) > 0 &&
		       lz_options_match_executable(&core->options, path));
}

/* Gives each room the rooms that it uses. */
static void wire(struct lz_core *core)
{
	const struct lz_os *os = core->os;
	struct lz_books *books = &core->books;
	struct lz_options *options = &core->options;
	struct lz_log *log = &core->log;

	core->backings = (struct lz_backings){.os = os,
		.next = os,
		.books = books,
		.options = options,
		.log = log,
		.windows = &core->windows};
	core->cache.os = os;
	core->cache.books = books;
	core->cache.backings = &core->backings;
	core->cache.options = options;
	core->budget = (struct lz_budget){.os = os,
		.books = books,
		.backings = &core->backings,
		.cache = &core->cache,
		.options = options,
		.log = log};
	core->reporter = (struct lz_reporter){.os = os, .books = books, .options = options, .log = log};
	core->zeroing.os = os;
	core->zeroing.books = books;
	core->heap = (struct lz_heap){.os = os,
		.books = books,
		.backings = &core->backings,
		.cache = &core->cache,
		.budget = &core->budget,
		.reporter = &core->reporter,
		.zeroing = &core->zeroing,
		.options = options,
		.log = log};
	core->calls = (struct lz_calls){.os = os,
		.next = os,
		.books = books,
		.backings = &core->backings,
		.cache = &core->cache,
		.budget = &core->budget,
		.zeroing = &core->zeroing,
		.reporter = &core->reporter,
		.options = options};
}

/*
 * bash takes every close-on-exec descriptor from 10 on for one that it saved itself, and after `exec
 * 1023>file` it would restore ours (bash 5.2, redir.c). So no descriptors are kept in bash.
 */
static bool is_bash(struct lz_core *core)
{
	char path[LZ_OPTION_TEXT_MAX];
	const char *name;

	if (core->os->readlink("/proc/self/exe", path, sizeof path) <= 0)
		return false;
	name = base_name(path);
	return strcmp(name, "bash") == 0 || strcmp(name, "rbash") == 0;
}

int lz_core_init(struct lz_core *core, const struct lz_os *os, char *const *envp, const char *executable)
{
	bool wanted;
	int error;

	core->os = os;
	lz_books_init(&core->books, os, &core->options, &core->log);
	wire(core);
	/* Parsed twice: the log's own options must be known before problems with any option can be logged. */
	lz_options_from_environment(&core->options, envp, ignore, NULL);
	lz_log_open(&core->log, os, &core->options, base_name(executable));
	wanted = is_wanted(core, executable);
	if (wanted && !is_bash(core))
		lz_descriptors_open(os);
	if (wanted) {
		lz_options_from_environment(&core->options, envp, warn, &core->log);
	}
	error = lz_stats_open(&core->books.stats, os, wanted, core->options.stats, base_name(executable));
	if (error)
		log_stats_failure(core, error);
	error = lz_lock_init(&core->books.lock, os);
	core->active = wanted && error == 0;
	/* In the order in which they must be called after a fork. */
	lz_backings_init(&core->backings);
	lz_cache_init(&core->cache);
	if (core->active)
		lz_report_open(&core->reporter, base_name(executable));
	core->cache.drops_pages = core->reporter.report != NULL;
	return error;
}

void lz_core_set_next(struct lz_core *core, const struct lz_os *next)
{
	core->backings.next = core->calls.next = next;
}

void lz_core_after_fork(struct lz_core *core)
{
	lz_group_after_fork(&core->books.group);
	lz_window_wipe_after_fork(&core->backings);
}

void lz_core_close(struct lz_core *core)
{
	if (atomic_load(&core->books.disabled))
		return;
	lz_report_write_at_exit(&core->reporter);
	/*
	 * Without a statistics file nobody reads the last figures, and a sandboxed program may not be able to
	 * open /proc. In a forked child the file is the parent's until the lock has been taken once.
	 */
	if (lz_stats_in_file(&core->books.stats)) {
		lz_backings_sample_resident(&core->backings, true);
		if (!lz_books_lock(&core->books))
			return;
		lz_books_read_vmpte(&core->books, 0);
		lz_books_unlock(&core->books);
	}
	lz_group_leave(&core->books.group);
	lz_log_close(&core->log);
	lz_stats_close(&core->books.stats);
}
