/*
 * Runs a program as a child process and waits for it.
 *
 * Signals: the command blocks them before the fork and receives them one at a time with sigtimedwait, so that
 * none is lost and no system call is interrupted. A signal that a process sends to the command is forwarded
 * to the child; signals of the terminal reach the child directly, since it is in the same process group. The
 * stop signals of the terminal keep their default action. The child starts with the signal mask and
 * dispositions that the command was started with.
 */
#ifndef LZ_CLI_LAUNCH_CHILD_H
#define LZ_CLI_LAUNCH_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/launch/oom.h"

struct lz_child_result {
	pid_t pid;
	int status;            /* as returned by wait(2) */
	int exec_error;        /* errno of a failed exec, or 0 */
	double seconds;        /* from start to end */
	uint64_t page_tables;  /* highest VmPTE seen of the child, bytes; 0: never seen */
	uint64_t peak_rss;     /* bytes, of the largest process among the child and its reaped descendants */
	uint64_t minor_faults; /* of all of them together, as major_faults */
	uint64_t major_faults;
	/* The last VmPTE of the child, when it was read, and how long before the end that was, s. */
	uint64_t last_page_tables, last_sample_ns;
	double last_sample_age;
	struct lz_oom_state oom;
	bool oom_killed;  /* the kernel's out-of-memory killer ended the child */
	bool interrupted; /* a signal that asks the command to end was received */
};

/* How a child is run and monitored. All zero: standard descriptors inherited, only VmPTE monitored. */
struct lz_child_monitor {
	bool null_stdio; /* its standard descriptors are /dev/null */
	/* Called while the child runs: after 1 ms, 2 ms and so on, then every 25 ms. */
	void (*sample)(void *context, pid_t pid);
	/* Called before a signal that asks the child to end is forwarded to it. May be NULL. */
	void (*before_signal)(void *context);
	void *context;
};

/* Runs argv[0], searched for as execvp does, to its end. Returns 0, or -errno if the fork failed. */
int lz_child_run(char *const argv[], const struct lz_child_monitor *monitor, struct lz_child_result *result);

/* Prints why `program` could not be executed. Returns the exit status: 127 for ENOENT, else 126. */
int lz_child_exec_failure(const char *program, int error);

/* Returns the child's exit status, or kills the command by the signal that killed the child. */
int lz_child_propagate_exit(const struct lz_child_result *result);

#endif
