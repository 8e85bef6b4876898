/* The summary of a run, printed on standard error. */
#ifndef LZ_CLI_RUN_SUMMARY_H
#define LZ_CLI_RUN_SUMMARY_H

#include "cli/launch/child.h"
#include "cli/run/shared_memory.h"
#include "cli/run/statistics.h"
#include "cli/run/verdict.h"

struct lz_summary {
	const char *program;
	const char *inactive; /* why the library was active in no process; NULL: it was active */
	uint64_t limit;       /* --fail-tables, bytes; UINT64_MAX: none */
	struct lz_child_result result;
	struct lz_run_totals totals;
	struct lz_run_peak_totals tables;
	struct lz_shared_totals shared;
	struct lz_verdict verdict;
};

/* At most 80 columns wide. */
void lz_summary_text(const struct lz_summary *summary);

/* One JSON object on one line. Unknown numbers are null. */
void lz_summary_json(const struct lz_summary *summary);

/* Says which process exceeded the limit, if one did. */
void lz_summary_report_limit(const struct lz_summary *summary);

#endif
