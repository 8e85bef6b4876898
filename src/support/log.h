/*
 * Messages to a person: one line an event, text or JSON, to stderr, a descriptor, syslog or a file.
 *
 * Never allocates, never uses stdio, never waits, never raises SIGPIPE or SIGXFSZ in the program. A
 * descriptor is written only while it is the file it was at start-up: programs close fd 2 and open a database
 * on it. Lines of one kind are capped; what is not shown is counted. Thread-safe and async-signal-safe.
 */
#ifndef LZ_SUPPORT_LOG_H
#define LZ_SUPPORT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"
#include "support/options.h"

#define LZ_LOG_MAX_LINES 20u /* lines shown of each kind */

enum lz_log_target { LZ_LOG_NONE, LZ_LOG_DESCRIPTOR, LZ_LOG_SYSLOG, LZ_LOG_FILE };

enum lz_event_kind {
	LZ_EVENT_NOTE,     /* text only: configuration, what this machine cannot do */
	LZ_EVENT_SERVED,   /* over the budget and served, by policy log */
	LZ_EVENT_REFUSED,  /* over the budget and refused */
	LZ_EVENT_WINDOWED, /* would have been over the budget, and was served from a zero window */
	LZ_EVENT_KINDS
};

/* What happened to a request that would exceed the budget. Sizes in bytes. */
struct lz_event {
	enum lz_event_kind kind;
	const char *call;   /* "calloc" */
	uint64_t size;      /* asked for */
	uint64_t cost;      /* page tables it would need beyond those in use */
	uint64_t committed; /* page tables that all tracked memory would need */
	uint64_t actual;    /* VmPTE; UINT64_MAX when /proc could not be read */
	uint64_t budget;
	uint64_t window;     /* the zero window that serves it, 0 for none */
	uint64_t plain_cost; /* WINDOWED: what it would cost without */
	const char *source;  /* where the budget comes from: "5% of RAM 24.0 GiB" */
	const char *module;  /* the caller's file name, "" when unknown */
	uint64_t offset;     /* of the caller in its module; its address when that is unknown */
};

struct lz_log {
	const struct lz_os *os;
	enum lz_log_target target;
	enum lz_log_format format;
	int fd;
	bool write_failed;           /* the file could not be written; said once */
	struct lz_file_id id;        /* of fd at start-up */
	struct lz_file_id stderr_id; /* of fd 2 at start-up: where a write_failed log is reported */
	bool stderr_known;
	char path[2 * LZ_OPTION_TEXT_MAX]; /* absolute, with its % sequences */
	char executable[64];               /* base name, for %e */
	pid_t pid;                         /* whose events are counted */
	_Atomic uint64_t count[LZ_EVENT_KINDS];
};

/* Chooses the target. executable is a base name. What cannot be opened is reported by the first message. */
void lz_log_open(
	struct lz_log *log, const struct lz_os *os, const struct lz_options *options, const char *executable);

/* Whether the next event of this kind would be shown: one need not find its caller's name otherwise. */
bool lz_log_would_show(const struct lz_log *log, enum lz_event_kind kind);

void lz_log_event(struct lz_log *log, const struct lz_event *event);
void lz_log_note(struct lz_log *log, const char *text);

/* What the program is about to end for: not capped, and on stderr in any case. */
void lz_log_fatal(struct lz_log *log, const char *text);

/* In a forked child: what the parent counted is the parent's to tell. */
void lz_log_after_fork(struct lz_log *log);

/* At exit: how many events were not shown, if any. */
void lz_log_close(struct lz_log *log);

/* An error number as text ("No space left on device"); pointers stay valid. */
const char *lz_error_text(int error);

#endif
