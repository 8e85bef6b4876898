/* Runs a program and collects its figures; see monitored.h. */
#include "cli/run/monitored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/messages.h"
#include "cli/launch/launch.h"
#include "cli/run/inactive.h"
#include "cli/run/location.h"
#include "cli/run/statistics.h"
#include "support/group.h"
#include "support/options.h"

#define STATS_VARIABLE LZ_OPTION_PREFIX "STATS"
#define SCOPE_VARIABLE LZ_OPTION_PREFIX "BUDGET_SCOPE"

/* What is called while the program runs. */
struct watch {
	struct lz_run_peaks peaks;
	struct lz_recorder *recorder;
	struct lz_shared_driver *shared;
	struct lz_verdict verdict;
};

static void sample(void *context, pid_t pid)
{
	struct watch *watch = context;

	lz_shared_driver_poll(watch->shared);
	lz_run_peaks_sample(&watch->peaks, pid);
	lz_verdict_sample(&watch->verdict, pid);
	if (watch->recorder != NULL)
		lz_recorder_sample(watch->recorder, pid);
}

static void collect(
	struct lz_summary *summary, struct lz_run_peaks *peaks, const struct lz_stats_location *location)
{
	lz_run_totals_read(&summary->totals, peaks, location);
	/* VmPTE of the program itself is sampled more often than its descendants are. */
	lz_run_peaks_add(peaks, (uint64_t)summary->result.pid, 0, summary->result.page_tables, "");
	summary->tables = lz_run_peaks_sum(peaks, summary->limit);
}

/*
 * The program and its descendants share one budget, unless the user chose another scope. Without System V
 * shared memory each has its own.
 */
static int create_group(struct lz_group *group)
{
	const char *scope = getenv(SCOPE_VARIABLE);
	char name[LZ_GROUP_NAME_MAX], value[32];

	if (scope != NULL && *scope != '\0' && strcmp(scope, "group") != 0)
		return 0;
	snprintf(name, sizeof name, "run %ld", (long)getpid());
	if (lz_group_create(group, &lz_os_linux, name) != 0)
		return 0;
	snprintf(value, sizeof value, "run:%d", group->id);
	return setenv(SCOPE_VARIABLE, value, 1) != 0 ? -errno : 0;
}

int lz_run_monitored(char *const argv[], const struct lz_program *executable, struct lz_recorder *recorder,
	uint64_t limit, void (*print)(const struct lz_summary *))
{
	struct lz_summary summary = {.program = argv[0], .limit = limit};
	struct watch watch = {.recorder = recorder};
	struct lz_child_monitor monitor = {.sample = sample, .context = &watch};
	const char *stats = getenv(STATS_VARIABLE);
	struct lz_stats_location location;
	struct lz_group group = {.segment = NULL};
	int status;

	lz_stats_location_prepare(&location, stats != NULL && *stats != '\0' ? stats : NULL);
	if ((location.path[0] != '\0' && setenv(STATS_VARIABLE, location.path, 1) != 0) ||
		create_group(&group) != 0 || lz_shared_driver_open(&watch.shared) != 0)
		status = lz_fail("cannot set the environment: %s", strerror(errno));
	else
		status = lz_launch_run(argv, &monitor, &summary.result);
	lz_shared_driver_close(watch.shared, &summary.shared);
	if (recorder != NULL)
		lz_recorder_close(recorder, &summary.result);
	if (status == 0)
		collect(&summary, &watch.peaks, &location);
	lz_run_peaks_free(&watch.peaks);
	lz_stats_location_remove(&location);
	lz_group_leave(&group);
	if (status != 0)
		return status;
	if (summary.totals.processes == 0)
		summary.inactive = lz_inactive_reason(executable, &location);
	summary.verdict = watch.verdict;
	print(&summary);
	if (limit != UINT64_MAX)
		lz_summary_report_limit(&summary);
	status = lz_child_propagate_exit(&summary.result);
	return status == 0 && summary.tables.over_limit > 0 ? LZ_EXIT_LIMIT : status;
}
