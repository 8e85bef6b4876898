/* Log messages; see log.h. */
#include "support/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/scratch.h"
#include "support/log_lines.h"
#include "support/path_pattern.h"

#define LINE_BYTES 640u
#define PATH_BYTES (sizeof((struct lz_log *)0)->path + 80)
_Static_assert(PATH_BYTES <= LZ_SCRATCH_BYTES, "a path fits a scratch buffer");

/* musl lacks it, and a program that uses musl may inherit LD_PRELOAD. */
#pragma weak strerrordesc_np

const char *lz_error_text(int error)
{
	/*
	 * strerror may translate the text, and therefore allocate. This function of glibc returns an
	 * untranslated constant.
	 */
	const char *text = strerrordesc_np != NULL ? strerrordesc_np(error < 0 ? -error : error) : NULL;

	return text != NULL ? text : "unknown error";
}

static bool same_file(const struct lz_file_id *a, const struct lz_file_id *b)
{
	return a->device == b->device && a->inode == b->inode && a->type == b->type;
}

/*
 * Writes to a descriptor if it still refers to the file `id`. Drops the line if the write would block or
 * fail.
 */
static int write_descriptor(
	struct lz_log *log, int fd, const struct lz_file_id *id, const char *line, size_t length)
{
	struct lz_file_id now;
	uint64_t saved;
	ssize_t written;
	int error = log->os->identify(fd, &now);

	if (error)
		return error;
	if (id != NULL && !same_file(&now, id))
		return -EBADF;
	if (log->os->poll_writable(fd) != 1)
		return -EAGAIN;
	error = log->os->block_write_signals(&saved);
	if (error)
		return error;
	written = log->os->write(fd, line, length);
	log->os->restore_write_signals(saved);
	return written < 0 ? (int)written : (size_t)written < length ? -ENOSPC : 0;
}

/*
 * The file is opened for each line: events are rare, and programs might close, count or inherit a descriptor
 * that stays open. O_NONBLOCK is for a FIFO without a reader.
 */
static int write_path(struct lz_log *log, char *path, const char *line, size_t length)
{
	struct lz_text text = lz_text_init(path, PATH_BYTES);
	struct lz_file_id id;
	int fd, error;

	lz_path_pattern_expand(log->path, log->os, log->executable, &text);
	fd = log->os->open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return fd;
	error = log->os->identify(fd, &id);
	/* In a shared directory, another user may have created the file in order to read it. */
	if (error == 0 && id.type == S_IFREG && id.owner != 0 && id.owner != log->os->geteuid())
		error = -EPERM;
	if (error == 0)
		error = write_descriptor(log, fd, NULL, line, length);
	log->os->close(fd);
	return error;
}

static int write_file(struct lz_log *log, const char *line, size_t length)
{
	char *path = lz_scratch_take(log->os);
	int error = path == NULL ? -ENOMEM : write_path(log, path, line, length);

	lz_scratch_release(log->os, path);
	return error;
}

/* Reports once, on the standard error with which the program started, that the log cannot be written. */
static void report_write_failure(struct lz_log *log, int error)
{
	struct lz_text text;
	char *buffer;

	if (log->write_failed)
		return;
	log->write_failed = true;
	if (!log->stderr_known)
		return;
	buffer = lz_scratch_take(log->os);
	if (buffer == NULL)
		return;
	text = lz_text_init(buffer, LINE_BYTES);
	lz_log_line_begin(&text, log->os->getpid());
	lz_text_string(&text, "cannot write the log \"");
	lz_text_escaped(&text, log->path);
	lz_text_string(&text, "\": ");
	lz_text_string(&text, lz_error_text(error));
	lz_text_string(&text, "; messages are lost. Set LAZYZERO_LOG to a target that can be written\n");
	write_descriptor(log, STDERR_FILENO, &log->stderr_id, buffer, text.length);
	lz_scratch_release(log->os, buffer);
}

void lz_log_after_fork(struct lz_log *log)
{
	log->pid = log->os->getpid();
	for (size_t i = 0; i < LZ_EVENT_KINDS; i++) {
		atomic_store_explicit(&log->count[i], 0, memory_order_relaxed);
		atomic_store_explicit(&log->shown[i], 0, memory_order_relaxed);
	}
	lz_log_sites_reset(&log->sites);
}

void lz_log_open(
	struct lz_log *log, const struct lz_os *os, const struct lz_options *options, const char *executable)
{
	uint64_t fd = STDERR_FILENO;
	int error;
	struct lz_text name = lz_text_init(log->executable, sizeof log->executable);

	log->os = os;
	log->format = (enum lz_log_format)options->log_format;
	log->target = LZ_LOG_DESCRIPTOR;
	log->write_failed = false;
	lz_log_after_fork(log);
	lz_text_string(&name, executable);
	log->stderr_known = os->identify(STDERR_FILENO, &log->stderr_id) == 0;
	if (strcmp(options->log, "none") == 0) {
		log->target = LZ_LOG_NONE;
	} else if (strcmp(options->log, "syslog") == 0) {
		log->target = LZ_LOG_SYSLOG;
	} else if (strncmp(options->log, "fd:", 3) == 0) {
		lz_parse_u64(options->log + 3, &fd);
	} else if (strcmp(options->log, "stderr") != 0) {
		log->target = LZ_LOG_FILE;
		lz_path_pattern_make_absolute(log->path, sizeof log->path, os, options->log);
	}
	log->fd = (int)fd;
	if (log->target != LZ_LOG_DESCRIPTOR)
		return;
	error = os->identify(log->fd, &log->id);
	if (error) {
		struct lz_text path = lz_text_init(log->path, sizeof log->path);

		lz_text_string(&path, options->log);
		report_write_failure(log, error);
		log->target = LZ_LOG_NONE;
	}
}

static void emit(struct lz_log *log, struct lz_text *text)
{
	int error = 0;

	if (log->target == LZ_LOG_SYSLOG) {
		log->os->send_datagram("/dev/log", text->buffer, text->length);
		return;
	}
	lz_text_char(text, '\n');
	text->buffer[text->length - 1] = '\n';
	if (log->target == LZ_LOG_DESCRIPTOR)
		write_descriptor(log, log->fd, &log->id, text->buffer, text->length);
	else if (log->target == LZ_LOG_FILE)
		error = write_file(log, text->buffer, text->length);
	if (error != 0 && error != -EAGAIN)
		report_write_failure(log, error);
}

static void begin_syslog(const struct lz_log *log, struct lz_text *text, int priority)
{
	if (log->target != LZ_LOG_SYSLOG)
		return;
	lz_text_char(text, '<');
	lz_text_i64(text, LOG_USER | priority);
	lz_text_char(text, '>');
}

bool lz_log_would_show(struct lz_log *log, enum lz_event_kind kind, uint64_t address)
{
	struct lz_log_site *site = lz_log_site_find(&log->sites, address, kind, false);

	return log->target != LZ_LOG_NONE &&
	       atomic_load_explicit(&log->shown[kind], memory_order_relaxed) < LZ_LOG_MAX_LINES &&
	       (site == NULL || atomic_load_explicit(&site->shown, memory_order_relaxed) < LZ_LOG_SITE_LINES);
}

/* Counts an event. Returns whether it is to be written. */
static bool count_event(struct lz_log *log, const struct lz_event *event)
{
	struct lz_log_site *site = lz_log_site_find(&log->sites, event->address, event->kind, true);

	atomic_fetch_add_explicit(&log->count[event->kind], 1, memory_order_relaxed);
	if (site != NULL && atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed) == 0) {
		struct lz_text place = lz_text_init(site->place, sizeof site->place);

		site->call = event->call;
		lz_log_line_place(&place, event);
	}
	if (!lz_log_would_show(log, event->kind, event->address)) {
		if (site != NULL)
			atomic_fetch_add_explicit(&site->bytes, event->size, memory_order_relaxed);
		return false;
	}
	if (site != NULL)
		atomic_fetch_add_explicit(&site->shown, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&log->shown[event->kind], 1, memory_order_relaxed);
	return true;
}

void lz_log_event(struct lz_log *log, const struct lz_event *event)
{
	struct lz_text text;
	char *buffer;

	if (!count_event(log, event))
		return;
	buffer = lz_scratch_take(log->os);
	if (buffer == NULL)
		return;
	text = lz_text_init(buffer, LINE_BYTES);
	begin_syslog(log, &text, LOG_WARNING);
	lz_log_line_event(&text, log->format, log->os->getpid(), event);
	emit(log, &text);
	lz_scratch_release(log->os, buffer);
}

static void emit_note(struct lz_log *log, const char *message)
{
	char *buffer = lz_scratch_take(log->os);
	struct lz_text text;

	if (buffer == NULL)
		return;
	text = lz_text_init(buffer, LINE_BYTES);
	begin_syslog(log, &text, LOG_NOTICE);
	lz_log_line_note(&text, log->format, log->os->getpid(), message);
	emit(log, &text);
	lz_scratch_release(log->os, buffer);
}

void lz_log_note(struct lz_log *log, const char *message)
{
	uint64_t before = atomic_fetch_add_explicit(&log->count[LZ_EVENT_NOTE], 1, memory_order_relaxed);

	if (log->target != LZ_LOG_NONE && before < LZ_LOG_MAX_LINES)
		emit_note(log, message);
}

/*
 * This is the only function with its buffer on the stack: the line must be written whatever the state of the
 * scratch buffers.
 */
void lz_log_fatal(struct lz_log *log, const char *message)
{
	char buffer[LINE_BYTES];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	if (log->target != LZ_LOG_NONE)
		emit_note(log, message);
	if ((log->target == LZ_LOG_DESCRIPTOR && log->fd == STDERR_FILENO) || !log->stderr_known)
		return;
	lz_log_line_begin(&text, log->os->getpid());
	lz_text_string(&text, message);
	lz_text_char(&text, '\n');
	write_descriptor(log, STDERR_FILENO, &log->stderr_id, buffer, text.length);
}

/* Writes a line for a call site of which not all events were shown. */
static void close_site(struct lz_log *log, const struct lz_log_site *site, char *buffer)
{
	struct lz_text text = lz_text_init(buffer, LINE_BYTES);
	uint64_t more = atomic_load_explicit(&site->count, memory_order_relaxed) -
			atomic_load_explicit(&site->shown, memory_order_relaxed);

	if (more == 0)
		return;
	begin_syslog(log, &text, LOG_NOTICE);
	lz_log_line_repeated(&text, log->format, log->os->getpid(), site, more);
	emit(log, &text);
}

void lz_log_close(struct lz_log *log)
{
	uint64_t hidden[LZ_EVENT_KINDS] = {0};
	struct lz_text text;
	char *buffer;

	for (size_t i = 0; i < LZ_EVENT_KINDS; i++) {
		hidden[i] = atomic_load_explicit(&log->count[i], memory_order_relaxed) -
			    atomic_load_explicit(&log->shown[i], memory_order_relaxed);
	}
	/* Avoid the system call if there is nothing to report: a seccomp filter may kill on it. */
	if (log->target == LZ_LOG_NONE ||
		(hidden[LZ_EVENT_SERVED] == 0 && hidden[LZ_EVENT_REFUSED] == 0 &&
			hidden[LZ_EVENT_WINDOWED] == 0) ||
		log->os->getpid() != log->pid)
		return;
	buffer = lz_scratch_take(log->os);
	if (buffer == NULL)
		return;
	for (size_t i = 0; i < LZ_LOG_SITES; i++)
		close_site(log, &log->sites.site[i], buffer);
	text = lz_text_init(buffer, LINE_BYTES);
	begin_syslog(log, &text, LOG_NOTICE);
	lz_log_line_not_shown(&text, log->format, log->os->getpid(), hidden);
	emit(log, &text);
	lz_scratch_release(log->os, buffer);
}
