/* The words of log lines; see log_lines.h. */
#include "support/log_lines.h"

#include <stdatomic.h>

#include "base/text.h"

static const char *const kind_names[LZ_EVENT_KINDS] = {"note", "served", "refused", "windowed"};

void lz_log_line_begin(struct lz_text *text, pid_t pid)
{
	lz_text_string(text, "lazyzero[");
	lz_text_i64(text, pid);
	lz_text_string(text, "] ");
}

static void member_u64(struct lz_text *text, const char *name, uint64_t value)
{
	lz_text_string(text, ",\"");
	lz_text_string(text, name);
	lz_text_string(text, "\":");
	if (value == UINT64_MAX)
		lz_text_string(text, "null");
	else
		lz_text_u64(text, value);
}

static void member_string(struct lz_text *text, const char *name, const char *value)
{
	lz_text_string(text, ",\"");
	lz_text_string(text, name);
	lz_text_string(text, "\":");
	lz_text_json_string(text, value);
}

static void begin_json(struct lz_text *text, pid_t pid, const char *event)
{
	lz_text_string(text, "{\"event\":");
	lz_text_json_string(text, event);
	lz_text_string(text, ",\"pid\":");
	lz_text_i64(text, pid);
}

/* A group of one process says nothing more than the figures of the process. */
static bool has_group(const struct lz_event *event)
{
	return event->group != NULL && event->group->members > 1;
}

static void event_json(struct lz_text *text, pid_t pid, const struct lz_event *event)
{
	begin_json(text, pid, kind_names[event->kind]);
	member_string(text, "call", event->call);
	member_u64(text, "size", event->size);
	member_u64(text, "cost", event->cost);
	if (event->window != 0)
		member_u64(text, "window", event->window);
	if (event->kind == LZ_EVENT_WINDOWED)
		member_u64(text, "plain_cost", event->plain_cost);
	member_u64(text, "committed", event->committed);
	member_u64(text, "actual", event->actual);
	if (has_group(event)) {
		member_string(text, "group", event->group_name);
		member_u64(text, "group_processes", event->group->members);
		member_u64(text, "group_page_tables", event->group->bytes);
		member_u64(text, "group_largest", event->group->largest);
		member_u64(text, "group_largest_pid", event->group->largest_pid);
	}
	member_u64(text, "budget", event->budget);
	member_string(text, "budget_source", event->source);
	member_string(text, "module", event->module);
	member_u64(text, "offset", event->offset);
	lz_text_char(text, '}');
}

/* The size of a window is a multiple of 2 MiB with 4 KiB pages, so whole MiB are exact. */
static void text_window(struct lz_text *text, const struct lz_event *event)
{
	lz_text_u64(text, event->window >> 20);
	lz_text_string(text, " MiB zero window");
}

/* "60.0 MiB in use by 3 processes of "run 1234" (24.0 MiB by the largest, process 77; by this one " */
static void text_group(struct lz_text *text, const struct lz_event *event)
{
	lz_text_size(text, event->group->bytes);
	lz_text_string(text, " in use by ");
	lz_text_u64(text, event->group->members);
	lz_text_string(text, " processes of group \"");
	lz_text_escaped(text, event->group_name);
	lz_text_string(text, "\", ");
	lz_text_size(text, event->group->largest);
	lz_text_string(text, " by the largest, process ");
	lz_text_u64(text, event->group->largest_pid);
	lz_text_string(text, ", ");
}

static void text_in_use(struct lz_text *text, const struct lz_event *event)
{
	uint64_t in_use = event->committed;

	if (event->actual != UINT64_MAX && event->actual > in_use)
		in_use = event->actual;
	lz_text_string(text, " of page tables needed, ");
	if (has_group(event))
		text_group(text, event);
	lz_text_size(text, in_use);
	lz_text_string(text, has_group(event) ? " by this one (" : " in use (");
	lz_text_size(text, event->committed);
	lz_text_string(text, " committed, ");
	if (event->actual == UINT64_MAX)
		lz_text_string(text, "unknown");
	else
		lz_text_size(text, event->actual);
	lz_text_string(text, " actual), budget ");
	lz_text_size(text, event->budget);
	lz_text_string(text, " (");
	lz_text_string(text, event->source);
	lz_text_char(text, ')');
}

void lz_log_line_place(struct lz_text *text, const struct lz_event *event)
{
	if (*event->module != '\0') {
		lz_text_escaped(text, event->module);
		lz_text_char(text, '+');
	}
	lz_text_hex(text, event->offset);
}

static void event_text(struct lz_text *text, pid_t pid, const struct lz_event *event)
{
	lz_log_line_begin(text, pid);
	if (event->kind != LZ_EVENT_WINDOWED) {
		lz_text_string(text, kind_names[event->kind]);
		lz_text_char(text, ' ');
	}
	lz_text_string(text, event->call);
	lz_text_char(text, '(');
	lz_text_u64(text, event->size);
	lz_text_string(text, event->kind == LZ_EVENT_SERVED ? ") over the budget: " : "): ");
	lz_text_size(text, event->kind == LZ_EVENT_WINDOWED ? event->plain_cost : event->cost);
	text_in_use(text, event);
	if (event->window != 0 && event->kind != LZ_EVENT_WINDOWED) {
		lz_text_string(text, ", even with a ");
		text_window(text, event);
	} else if (event->window != 0) {
		lz_text_string(text, "; served from a ");
		text_window(text, event);
		lz_text_string(text, ": ");
		lz_text_size(text, event->cost);
		lz_text_string(text, " of page tables");
	}
	lz_text_string(text, ", from ");
	lz_log_line_place(text, event);
}

void lz_log_line_event(
	struct lz_text *text, enum lz_log_format format, pid_t pid, const struct lz_event *event)
{
	if (format == LZ_LOG_JSON)
		event_json(text, pid, event);
	else
		event_text(text, pid, event);
}

void lz_log_line_note(struct lz_text *text, enum lz_log_format format, pid_t pid, const char *message)
{
	if (format == LZ_LOG_JSON) {
		begin_json(text, pid, kind_names[LZ_EVENT_NOTE]);
		member_string(text, "text", message);
		lz_text_char(text, '}');
	} else {
		lz_log_line_begin(text, pid);
		lz_text_string(text, message);
	}
}

/* "17 more of "served calloc", 136 GiB together, from program+0x1257" */
static void repeated_text(struct lz_text *text, const struct lz_log_site *site, uint64_t more)
{
	lz_text_u64(text, more);
	lz_text_string(text, " more of \"");
	lz_text_string(text, kind_names[lz_log_site_kind(site)]);
	lz_text_char(text, ' ');
	lz_text_string(text, site->call);
	lz_text_string(text, "\", ");
	lz_text_size(text, atomic_load_explicit(&site->bytes, memory_order_relaxed));
	lz_text_string(text, " together, from ");
	lz_text_string(text, site->place);
}

void lz_log_line_repeated(struct lz_text *text, enum lz_log_format format, pid_t pid,
	const struct lz_log_site *site, uint64_t more)
{
	if (format == LZ_LOG_JSON) {
		begin_json(text, pid, "repeated");
		member_string(text, "kind", kind_names[lz_log_site_kind(site)]);
		member_string(text, "call", site->call);
		member_u64(text, "count", more);
		member_u64(text, "size", atomic_load_explicit(&site->bytes, memory_order_relaxed));
		member_string(text, "from", site->place);
		lz_text_char(text, '}');
	} else {
		lz_log_line_begin(text, pid);
		repeated_text(text, site, more);
	}
}

static void not_shown_text(struct lz_text *text, const uint64_t hidden[LZ_EVENT_KINDS])
{
	lz_text_string(text, "not shown after the first ");
	lz_text_u64(text, LZ_LOG_SITE_LINES);
	lz_text_string(text, " of each call site and ");
	lz_text_u64(text, LZ_LOG_MAX_LINES);
	lz_text_string(text, " of each kind: ");
	lz_text_u64(text, hidden[LZ_EVENT_SERVED]);
	lz_text_string(text, " served over the budget, ");
	lz_text_u64(text, hidden[LZ_EVENT_REFUSED]);
	lz_text_string(text, " refused");
	if (hidden[LZ_EVENT_WINDOWED] == 0)
		return;
	lz_text_string(text, ", ");
	lz_text_u64(text, hidden[LZ_EVENT_WINDOWED]);
	lz_text_string(text, " served from a zero window");
}

void lz_log_line_not_shown(
	struct lz_text *text, enum lz_log_format format, pid_t pid, const uint64_t hidden[LZ_EVENT_KINDS])
{
	if (format == LZ_LOG_JSON) {
		begin_json(text, pid, "not_shown");
		member_u64(text, "served", hidden[LZ_EVENT_SERVED]);
		member_u64(text, "refused", hidden[LZ_EVENT_REFUSED]);
		member_u64(text, "windowed", hidden[LZ_EVENT_WINDOWED]);
		lz_text_char(text, '}');
	} else {
		lz_log_line_begin(text, pid);
		not_shown_text(text, hidden);
	}
}
