/* Finds the process, explains why it cannot be looked at, and takes samples; see inspect.h. */
#include "cli/inspect/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/clock.h"
#include "cli/common/display.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/inspect/print.h"
#include "cli/process/process.h"

static int parse_pid(const char *word, pid_t *pid)
{
	uint64_t value;

	if (lz_parse_u64(word, &value) != 0 || value == 0 || value > INT32_MAX)
		return lz_fail_usage("report", "--pid: \"%s\" is not accepted: it takes %s",
			lz_printable(word).text, LZ_INSPECT_PID_ACCEPTED);
	*pid = (pid_t)value;
	return 0;
}

/* Accepts "2", "0.5" and "2s". */
static int parse_interval(const char *word, uint64_t *ns)
{
	char *rest;
	double seconds = strtod(word, &rest);

	if (rest == word || (*rest != '\0' && strcmp(rest, "s") != 0) || !(seconds >= 0.1 && seconds <= 3600))
		return lz_fail_usage("report", "--sample: \"%s\" is not accepted: it takes %s",
			lz_printable(word).text, LZ_INSPECT_SAMPLE_ACCEPTED);
	*ns = (uint64_t)(seconds * (double)LZ_NS_PER_SECOND);
	return 0;
}

static int explain_missing(pid_t pid)
{
	lz_message("%ld: no such process%s", (long)pid,
		lz_process_hidepid("") ? ", or it is hidden from this user (/proc is mounted with hidepid)"
				       : "");
	return 1;
}

static int explain_no_memory(const struct lz_process *process)
{
	if (process->stat.state == 'Z' || process->stat.state == 'X')
		lz_message("%" PRIu64 " (%s): has ended; its parent has not waited for it yet", process->pid,
			lz_printable(process->name).text);
	else
		lz_message("%" PRIu64 " (%s): has no memory: it is a thread of the kernel, or ends just now",
			process->pid, lz_printable(process->name).text);
	return 1;
}

static int explain_error(const struct lz_process *process, int error)
{
	struct lz_display shown = lz_printable(process->name);
	const char *name = shown.text;

	if (error == -ENOMEM)
		return lz_fail_memory();
	if (error == -ESRCH || error == -ENOENT)
		lz_message("%" PRIu64 " (%s): ended while it was looked at", process->pid, name);
	else if (error == -ESTALE)
		lz_message("%" PRIu64 " (%s): executed other programs while it was looked at; try again",
			process->pid, name);
	else if ((error == -EACCES || error == -EPERM) && process->uid != geteuid())
		lz_message("%" PRIu64 " (%s): its memory may not be looked at, which takes ptrace read "
			   "access: run this as its user (uid %" PRIu64 "), or as root with CAP_SYS_PTRACE",
			process->pid, name, process->uid);
	else if (error == -EACCES || error == -EPERM)
		lz_message("%" PRIu64 " (%s): its memory may not be looked at, since it has more rights than "
			   "this command, or is not dumpable: run this as root with CAP_SYS_PTRACE",
			process->pid, name);
	else
		lz_message("%" PRIu64 " (%s): its memory cannot be looked at: %s", process->pid, name,
			strerror(-error));
	return 1;
}

/* Waits until `due`, or until the process ends. Threads other than the first have no pidfd. */
static void wait_for(int pidfd, uint64_t due)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	uint64_t now = lz_monotonic_ns();

	if (due > now)
		poll(&end, 1, (int)((due - now) / 1000000) + 1);
}

/*
 * Takes samples until the process ends. What a sample takes is at most a quarter of the time, as in `top`.
 */
static int sample(const struct lz_inspection *inspection, struct lz_pages *pages, uint64_t interval)
{
	const struct lz_process *process = inspection->process;
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)process->pid, 0), error = 0;
	uint64_t begin = lz_monotonic_ns();
	bool first = true;

	while (error == 0 && !ferror(stdout)) {
		uint64_t due = lz_monotonic_ns() + interval;
		struct lz_snapshot snapshot;

		error = lz_snapshot_take(&snapshot, inspection->geometry, pages, (pid_t)process->pid,
			process->stat.start_time);
		if (error == 0 || (error == -ESTALE && !first)) {
			if (error == 0)
				lz_inspect_print_sample(
					inspection, &snapshot, lz_monotonic_ns() - begin, first);
			error = 0;
			first = false;
			if (snapshot.elapsed_ns > interval / 4)
				due = lz_monotonic_ns() + 3 * snapshot.elapsed_ns;
			fflush(stdout);
		}
		lz_snapshot_free(&snapshot);
		if (error == 0)
			wait_for(pidfd, due);
	}
	if (pidfd >= 0)
		close(pidfd);
	/* After the first sample, the end of the process is the end of the course. */
	if (error == 0 || (!first && (error == -ESRCH || error == -ENOENT)))
		return 0;
	return explain_error(process, error);
}

int lz_inspect(const struct lz_inspect_options *options)
{
	const struct lz_geometry *geometry = lz_geometry_choose(NULL);
	struct lz_pages pages = {.fd = -1};
	struct lz_snapshot snapshot;
	struct lz_process process;
	uint64_t interval = 0;
	pid_t pid = 0;
	int error, status = parse_pid(options->pid, &pid);

	if (status == 0 && options->sample != NULL)
		status = parse_interval(options->sample, &interval);
	if (status != 0)
		return status;
	error = lz_process_read("", geometry, pid, 0, &process);
	if (error == -ESRCH)
		return explain_missing(pid);
	if (error != 0)
		return explain_error(&process, error);
	if (!lz_process_has_memory(&process))
		return explain_no_memory(&process);
	struct lz_inspection inspection = {
		.options = options, .geometry = geometry, .process = &process, .pages = &pages};

	if (options->sample != NULL)
		return sample(&inspection, &pages, interval);
	error = lz_snapshot_take(&snapshot, geometry, &pages, pid, process.stat.start_time);
	status = error != 0 ? explain_error(&process, error) : lz_inspect_print(&inspection, &snapshot);
	lz_snapshot_free(&snapshot);
	return status;
}
