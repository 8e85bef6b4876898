/* Runs a contender; see measure.h. */
#include "cli/compare/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/messages.h"
#include "cli/launch/launch.h"
#include "cli/process/tree.h"
#include "support/options.h"

#define BACKING LZ_OPTION_PREFIX "BACKING"

/* Peaks of one run, bytes. */
struct peaks {
	struct lz_process_tree tree;
	bool tree_started;
	uint64_t pss, tables;
};

static void sample_peaks(void *context, pid_t pid)
{
	struct peaks *peaks = context;
	struct lz_process_tree_totals sum;

	if (!peaks->tree_started)
		lz_process_tree_init(&peaks->tree, pid);
	peaks->tree_started = true;
	if (!lz_process_tree_sample_due(&peaks->tree) ||
		!lz_process_tree_sample(&peaks->tree, &sum, NULL, NULL))
		return;
	if (sum.pss > peaks->pss)
		peaks->pss = sum.pss;
	if (sum.tables > peaks->tables)
		peaks->tables = sum.tables;
}

/* `others` is the LD_PRELOAD that the command was started with. Returns 0 or -errno. */
static int set_environment(const struct lz_contender *contender, const char *others)
{
	int error;

	if (contender->preload != NULL)
		error = lz_preload_set(contender->preload, others);
	else if (others != NULL)
		error = setenv("LD_PRELOAD", others, 1) != 0 ? -errno : 0;
	else
		error = unsetenv("LD_PRELOAD") != 0 ? -errno : 0;
	if (error)
		return error;
	error = contender->backing != NULL ? setenv(BACKING, contender->backing, 1) : unsetenv(BACKING);
	return error != 0 ? -errno : 0;
}

int lz_contender_run(const struct lz_comparison *comparison, struct lz_contender *contender, bool null_stdio,
	const char *others, bool *keep_going)
{
	struct peaks peaks = {.tree_started = false};
	struct lz_child_monitor monitor = {
		.null_stdio = null_stdio, .sample = sample_peaks, .context = &peaks};
	struct lz_child_result result;
	struct lz_run_figures *run = &contender->runs[contender->count];
	int error = set_environment(contender, others), status;

	if (error)
		return lz_fail("cannot set the environment: %s", strerror(-error));
	status = lz_launch_run(comparison->argv, &monitor, &result);
	lz_process_tree_free(&peaks.tree);
	if (status != 0)
		return status;
	*keep_going = !result.interrupted;
	if (result.interrupted)
		return 0;
	contender->status = result.status;
	contender->count++;
	run->figure[LZ_FIGURE_SECONDS] = result.seconds;
	run->figure[LZ_FIGURE_FAULTS] = (double)result.minor_faults;
	run->figure[LZ_FIGURE_RSS] = (double)result.peak_rss;
	run->figure[LZ_FIGURE_PSS] = peaks.pss > 0 ? (double)peaks.pss : -1;
	run->figure[LZ_FIGURE_TABLES] = peaks.tables > 0 ? (double)peaks.tables : -1;
	return 0;
}
