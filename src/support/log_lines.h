/*
 * The words of log lines, as text or JSON. A line is appended to a text of the caller, without a newline.
 * `pid` is the process that logs. No system calls; thread-safe.
 */
#ifndef LZ_SUPPORT_LOG_LINES_H
#define LZ_SUPPORT_LOG_LINES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"
#include "support/log.h"

/* "lazyzero[PID] ", with which each line of text begins. */
void lz_log_line_begin(struct lz_text *text, pid_t pid);

/* The place of the call in the program: "module+0x1257", or an address if the module is unknown. */
void lz_log_line_place(struct lz_text *text, const struct lz_event *event);

/* A request that would exceed the budget. */
void lz_log_line_event(
	struct lz_text *text, enum lz_log_format format, pid_t pid, const struct lz_event *event);

/* A message without figures. */
void lz_log_line_note(struct lz_text *text, enum lz_log_format format, pid_t pid, const char *message);

/* At exit: `more` events of a call site were not shown. */
void lz_log_line_repeated(struct lz_text *text, enum lz_log_format format, pid_t pid,
	const struct lz_log_site *site, uint64_t more);

/* At exit: the number of events that were not shown, by kind. */
void lz_log_line_not_shown(
	struct lz_text *text, enum lz_log_format format, pid_t pid, const uint64_t hidden[LZ_EVENT_KINDS]);

#endif
