/*
 * Log messages: one line for each event, as text or JSON, to stderr, a descriptor, syslog or a file.
 *
 * Logging never allocates, uses stdio, waits, or raises SIGPIPE or SIGXFSZ in the program. A descriptor is
 * written only while it refers to the same file as at start-up, because programs close descriptor 2 and open
 * a database on it. The number of lines of each kind and of each call site is limited; further events are
 * counted. Thread-safe and async-signal-safe; no locks.
 */
#ifndef LZ_SUPPORT_LOG_H
#define LZ_SUPPORT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"
#include "support/group.h"
#include "support/log_sites.h"
#include "support/options.h"

#define LZ_LOG_MAX_LINES 20u /* lines written for each kind */

enum lz_log_target { LZ_LOG_NONE, LZ_LOG_DESCRIPTOR, LZ_LOG_SYSLOG, LZ_LOG_FILE };

enum lz_event_kind {
	LZ_EVENT_NOTE,     /* text only: configuration, missing kernel features */
	LZ_EVENT_SERVED,   /* exceeds the budget; served because LAZYZERO_POLICY is log */
	LZ_EVENT_REFUSED,  /* exceeds the budget; refused */
	LZ_EVENT_WINDOWED, /* would exceed the budget; served from a zero window */
	LZ_EVENT_KINDS
};

/* A request that would exceed the budget. Sizes are in bytes. */
struct lz_event {
	enum lz_event_kind kind;
	const char *call;   /* "calloc" */
	uint64_t size;      /* requested size */
	uint64_t cost;      /* page tables needed in addition to those in use */
	uint64_t committed; /* page tables needed if all tracked memory is touched */
	uint64_t actual;    /* VmPTE; UINT64_MAX if /proc could not be read */
	uint64_t budget;
	uint64_t window;                  /* size of the zero window that serves the request, 0 for none */
	uint64_t plain_cost;              /* LZ_EVENT_WINDOWED: page tables needed without the window */
	const char *source;               /* origin of the budget: "5% of RAM 24.0 GiB" */
	const struct lz_group_sum *group; /* what its budget group holds; NULL without one */
	const char *group_name;
	const char *module; /* file name of the caller's module, "" if unknown */
	uint64_t address;   /* of the caller; 0 if unknown */
	uint64_t offset;    /* offset of the caller in its module, or its address if the module is unknown */
};

struct lz_log {
	const struct lz_os *os;
	enum lz_log_target target;
	enum lz_log_format format;
	int fd;
	bool write_failed;    /* a write has failed and was reported */
	struct lz_file_id id; /* file behind fd at start-up */
	struct lz_file_id
		stderr_id; /* file behind descriptor 2 at start-up, where a failed write is reported */
	bool stderr_known;
	char path[2 * LZ_OPTION_TEXT_MAX];      /* absolute path, with % sequences */
	char executable[64];                    /* base name, for %e */
	pid_t pid;                              /* process whose events are counted */
	_Atomic uint64_t count[LZ_EVENT_KINDS]; /* events */
	_Atomic uint64_t shown[LZ_EVENT_KINDS]; /* lines written of them */
	struct lz_log_sites sites;
};

/*
 * Selects the target. executable is a base name. If the target is a file that cannot be opened, the first
 * message reports it. Called once, before there are threads.
 */
void lz_log_open(
	struct lz_log *log, const struct lz_os *os, const struct lz_options *options, const char *executable);

/*
 * Whether the next event of this kind from this address (0: unknown) would be written. If not, the caller
 * need not look up the module of the call site.
 */
bool lz_log_would_show(struct lz_log *log, enum lz_event_kind kind, uint64_t address);

void lz_log_event(struct lz_log *log, const struct lz_event *event);
void lz_log_note(struct lz_log *log, const char *text);

/*
 * Reports why the program is about to be terminated: not limited in number, and written to stderr in any
 * case.
 */
void lz_log_fatal(struct lz_log *log, const char *text);

/* In a forked child: resets the counts. The parent reports its own. */
void lz_log_after_fork(struct lz_log *log);

/* At exit: reports how many events were not shown, if any, by call site and all together. */
void lz_log_close(struct lz_log *log);

/*
 * Returns an untranslated description of an error number, positive or negative ("No space left on device").
 * The pointer stays valid.
 */
const char *lz_error_text(int error);

#endif
