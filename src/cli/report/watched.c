/* Runs and watches a program; see watched.h. */
#include "cli/report/watched.h"

#include "cli/common/command.h"
#include "cli/launch/launch.h"
#include "cli/record/recorder.h"
#include "cli/report/look.h"

/* What is done while the program runs. */
struct watch {
	struct lz_recorder recorder;
	const char *report;
};

static void sample(void *context, pid_t pid)
{
	struct watch *watch = context;

	lz_recorder_sample(&watch->recorder, pid);
	lz_look_at_report(watch->report, false);
}

/* A signal that ends the program takes its memory away. */
static void look_once_more(void *context)
{
	const struct watch *watch = context;

	lz_look_at_report(watch->report, true);
}

int lz_report_run_watched(
	char *const argv[], const char *report, const char *record, struct lz_child_result *result)
{
	struct watch watch = {.report = report};
	struct lz_child_monitor monitor = {
		.sample = sample, .before_signal = look_once_more, .context = &watch};
	int status;

	if (lz_recorder_open(&watch.recorder, record, argv) != 0)
		return LZ_EXIT_FAILURE;
	status = lz_launch_run(argv, &monitor, result);
	lz_look_end();
	lz_recorder_close(&watch.recorder, result);
	return status;
}
