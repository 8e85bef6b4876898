/* Prints the summary; see summary.h. */
#include "cli/run/summary.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/common/display.h"
#include "cli/common/help.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"

#define ROW "  %-12s "

static void print_exit(const struct lz_summary *summary)
{
	int status = summary->result.status;
	/* At most 30 columns of the name, so that the line stays within 80. */
	struct lz_display name = lz_printable(lz_base_name(summary->program));
	const char *dots = strlen(name.text) > 30 ? "..." : "";

	fprintf(stderr, "lazyzero: %.*s%s ", *dots != '\0' ? 27 : 30, name.text, dots);
	if (!WIFSIGNALED(status))
		fprintf(stderr, "exited with status %d", WEXITSTATUS(status));
	else if (sigabbrev_np(WTERMSIG(status)) != NULL)
		fprintf(stderr, "was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		fprintf(stderr, "was killed by signal %d", WTERMSIG(status));
	fprintf(stderr, " after %.3g s\n", summary->result.seconds);
	if (summary->result.oom_killed) {
		char text[256];

		lz_oom_describe(&summary->result.oom, summary->result.last_page_tables,
			summary->result.last_sample_age, text, sizeof text);
		fprintf(stderr, "  %s\n", text);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		fputs("  (SIGSYS: a seccomp filter may deny a system call of the library; with\n"
		      "  LAZYZERO_DISABLE=1 it makes none; the README lists those that must be allowed)\n",
			stderr);
}

static void print_budget(const struct lz_run_totals *totals)
{
	if (totals->budget == UINT64_MAX)
		fprintf(stderr, ROW "%s\n", "budget",
			totals->budget_source[0] != '\0' ? totals->budget_source
							 : "not determined: no large request");
	else
		fprintf(stderr, ROW "%s (%.52s)\n", "budget", lz_size_text(totals->budget).text,
			lz_printable(totals->budget_source).text);
}

static void print_requests(const struct lz_run_totals *totals)
{
	fprintf(stderr, ROW "%" PRIu64 " region%s, %s\n", "served", totals->regions,
		totals->regions == 1 ? "" : "s", lz_size_text(totals->region_bytes).text);
	fprintf(stderr, ROW "%" PRIu64 " large, of the program itself, %s\n", "mappings", totals->mappings,
		lz_size_text(totals->mapping_bytes).text);
	if (totals->window_regions > 0)
		fprintf(stderr, ROW "%" PRIu64 " region%s, %s; the window uses %s%s\n", "zero window",
			totals->window_regions, totals->window_regions == 1 ? "" : "s",
			lz_size_text(totals->window_bytes).text, lz_size_text(totals->window_size).text,
			totals->processes > 1 ? " in one process" : "");
	if (totals->memset_bytes > 0)
		fprintf(stderr, ROW "%s of zeros, of which %s had to be written\n", "memset",
			lz_size_text(totals->memset_bytes).text,
			lz_size_text(totals->memset_written_bytes).text);
	fprintf(stderr, ROW "%" PRIu64 " served, %" PRIu64 " refused", "over budget", totals->over_budget,
		totals->refused);
	if (totals->windowed > 0)
		fprintf(stderr, ", %" PRIu64 " avoided by the window", totals->windowed);
	fputc('\n', stderr);
	if (totals->untracked > 0)
		fprintf(stderr, ROW "%" PRIu64 " calls bypassed the library\n", "untracked",
			totals->untracked);
	fprintf(stderr, ROW "%" PRIu64 "\n", "processes", totals->processes);
	if (totals->processes > 1)
		fprintf(stderr, ROW "(the rows from served on are sums over them)\n", "");
}

/* With several processes each figure says whether it is that of the largest or a sum. */
static void print_page_tables(const struct lz_summary *summary)
{
	const struct lz_run_peak_totals *tables = &summary->tables;
	bool several = tables->processes > 1;

	if (tables->processes == 0)
		fprintf(stderr, ROW "not sampled: the program ended too soon\n", "page tables");
	else
		fprintf(stderr, ROW "%s at the peak%s\n", "page tables", lz_size_text(tables->together).text,
			several ? ", of all processes together, as sampled" : "");
	if (several) {
		fprintf(stderr, ROW "%s at the peak of the largest process\n", "",
			lz_size_text(tables->largest).text);
		fprintf(stderr, ROW "%s is the sum of the peaks of %" PRIu64 " processes\n", "",
			lz_size_text(tables->sum).text, tables->processes);
	}
	if (summary->inactive != NULL || summary->totals.committed_peak == 0)
		return;
	fprintf(stderr, ROW "%s if all large memory%s were touched\n", "",
		lz_size_text(summary->totals.committed_peak).text, several ? " of one process" : "");
	if (summary->totals.window_regions > 0)
		fprintf(stderr, ROW "(what is on a window: only read)\n", "");
}

static void print_shared(const struct lz_shared_totals *shared)
{
	if (shared->collapsed == 0 && shared->failed == 0)
		return;
	fprintf(stderr, ROW "%s made huge of %" PRIu64 " shared object%s, in %.2g s of processor time\n",
		"shared", lz_size_text(shared->huge_bytes).text, shared->objects,
		shared->objects == 1 ? "" : "s", (double)shared->processor_time / 1e9);
	if (shared->failed > 0)
		fprintf(stderr, ROW "%" PRIu64 " attempt%s failed\n", "", shared->failed,
			shared->failed == 1 ? "" : "s");
}

static void print_verdict(const struct lz_verdict *verdict, uint64_t tables_peak)
{
	char text[400];

	if (!lz_verdict_text(verdict, tables_peak, text, sizeof text))
		return;
	fprintf(stderr, ROW, "verdict");
	lz_print_wrapped_to(stderr, text, 15, 15);
}

void lz_summary_text(const struct lz_summary *summary)
{
	const struct lz_child_result *result = &summary->result;

	print_exit(summary);
	print_page_tables(summary);
	if (summary->inactive == NULL)
		print_budget(&summary->totals);
	fprintf(stderr, ROW "%s at the peak%s; %" PRIu64 " minor faults\n", "resident",
		lz_size_text(result->peak_rss).text,
		summary->tables.processes > 1 ? " of the largest process" : "", result->minor_faults);
	if (summary->inactive == NULL && summary->totals.window_resident_peak > 0)
		fprintf(stderr, ROW "%s of it is the window, counted once per mapping\n", "",
			lz_size_text(summary->totals.window_resident_peak).text);
	if (summary->inactive == NULL)
		print_requests(&summary->totals);
	if (summary->inactive == NULL)
		print_shared(&summary->shared);
	else
		fprintf(stderr, "  No figures from the library:\n  %s.\n", summary->inactive);
	if (summary->inactive == NULL)
		print_verdict(&summary->verdict, result->page_tables);
}

/* The names are documented in lazyzero(1) and must not change. */
static void describe_exit(json_t *object, const struct lz_summary *summary)
{
	const struct lz_child_result *result = &summary->result;
	const struct lz_run_peak_totals *tables = &summary->tables;
	bool known = tables->processes > 0;

	json_object_set_new(object, "program", lz_json_string(summary->program));
	json_object_set_new(object, "pid", json_integer(result->pid));
	json_object_set_new(object, "exit_status", lz_json_exit_status(result->status));
	json_object_set_new(object, "signal", lz_json_signal(result->status));
	json_object_set_new(object, "oom_killed", json_boolean(result->oom_killed));
	json_object_set_new(object, "seconds", json_real(result->seconds));
	json_object_set_new(
		object, "page_tables_peak_bytes", known ? lz_json_number(tables->together) : json_null());
	json_object_set_new(object, "page_tables_largest_peak_bytes",
		known ? lz_json_number(tables->largest) : json_null());
	json_object_set_new(
		object, "page_tables_peaks_sum_bytes", known ? lz_json_number(tables->sum) : json_null());
	json_object_set_new(object, "fail_tables_bytes", lz_json_number(summary->limit));
	json_object_set_new(object, "processes_over_fail_tables",
		summary->limit != UINT64_MAX ? lz_json_number(tables->over_limit) : json_null());
	json_object_set_new(object, "resident_peak_bytes", lz_json_number(result->peak_rss));
	json_object_set_new(object, "minor_faults", lz_json_number(result->minor_faults));
	json_object_set_new(object, "major_faults", lz_json_number(result->major_faults));
	json_object_set_new(object, "active", json_boolean(summary->inactive == NULL));
	json_object_set_new(object, "inactive_reason", lz_json_string(summary->inactive));
}

/* Without figures from the library its numbers are unknown, so they are null instead of 0. */
static void describe_totals(json_t *object, const struct lz_summary *summary)
{
	static const struct lz_run_totals unknown = {
		.budget = UINT64_MAX,
		.committed_peak = UINT64_MAX,
		.regions = UINT64_MAX,
		.region_bytes = UINT64_MAX,
		.mappings = UINT64_MAX,
		.mapping_bytes = UINT64_MAX,
		.over_budget = UINT64_MAX,
		.refused = UINT64_MAX,
		.untracked = UINT64_MAX,
		.windowed = UINT64_MAX,
		.window_regions = UINT64_MAX,
		.window_bytes = UINT64_MAX,
		.memset_bytes = UINT64_MAX,
		.memset_written_bytes = UINT64_MAX,
		.window_size = UINT64_MAX,
		.window_resident_peak = UINT64_MAX,
	};
	const struct lz_run_totals *totals = summary->inactive == NULL ? &summary->totals : &unknown;

	json_object_set_new(object, "processes", lz_json_number(totals->processes));
	json_object_set_new(object, "budget_bytes", lz_json_number(totals->budget));
	json_object_set_new(object, "budget_source",
		lz_json_string(totals->budget_source[0] != '\0' ? totals->budget_source : NULL));
	json_object_set_new(object, "committed_peak_bytes", lz_json_number(totals->committed_peak));
	json_object_set_new(object, "regions", lz_json_number(totals->regions));
	json_object_set_new(object, "region_bytes", lz_json_number(totals->region_bytes));
	json_object_set_new(object, "mappings", lz_json_number(totals->mappings));
	json_object_set_new(object, "mapping_bytes", lz_json_number(totals->mapping_bytes));
	json_object_set_new(object, "over_budget", lz_json_number(totals->over_budget));
	json_object_set_new(object, "refused", lz_json_number(totals->refused));
	json_object_set_new(object, "untracked", lz_json_number(totals->untracked));
	json_object_set_new(object, "windowed", lz_json_number(totals->windowed));
	json_object_set_new(object, "window_regions", lz_json_number(totals->window_regions));
	json_object_set_new(object, "window_region_bytes", lz_json_number(totals->window_bytes));
	json_object_set_new(object, "window_bytes", lz_json_number(totals->window_size));
	json_object_set_new(object, "memset_bytes", lz_json_number(totals->memset_bytes));
	json_object_set_new(object, "memset_written_bytes", lz_json_number(totals->memset_written_bytes));
	json_object_set_new(
		object, "window_resident_peak_bytes", lz_json_number(totals->window_resident_peak));
	json_object_set_new(object, "shared_objects", lz_json_number(summary->shared.objects));
	json_object_set_new(object, "shared_object_bytes", lz_json_number(summary->shared.bytes));
	json_object_set_new(object, "shared_huge_bytes", lz_json_number(summary->shared.huge_bytes));
	json_object_set_new(object, "shared_failures", lz_json_number(summary->shared.failed));
	json_object_set_new(
		object, "shared_seconds", json_real((double)summary->shared.processor_time / 1e9));
}

void lz_summary_json(const struct lz_summary *summary)
{
	json_t *object = json_object();

	describe_exit(object, summary);
	describe_totals(object, summary);
	object = lz_json_versioned(object);
	if (json_dumpf(object, stderr, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) == 0)
		fputc('\n', stderr);
	else
		lz_message("cannot write the summary");
	json_decref(object);
}

void lz_summary_report_limit(const struct lz_summary *summary)
{
	const struct lz_run_peak_totals *tables = &summary->tables;
	const struct lz_process_peak *largest = &tables->largest_process;
	const char *name = largest->name[0] != '\0' ? largest->name : lz_base_name(summary->program);
	char more[64] = "";

	if (tables->processes == 0)
		lz_warning("--fail-tables: the program ended before its page tables could be read");
	if (tables->over_limit > 1)
		snprintf(more, sizeof more, "; %" PRIu64 " more processes exceeded it",
			tables->over_limit - 1);
	if (tables->over_limit > 0)
		lz_message("the page tables of %s (%" PRIu64 ") reached %s, more than --fail-tables=%s%s",
			lz_printable(name).text, largest->pid, lz_size_text(largest->tables).text,
			lz_size_text(summary->limit).text, more);
}
