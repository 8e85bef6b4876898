/*
 * The program as a child process: started as if the command had become it, and waited for.
 *
 * Signals. From before the fork until the end, the command takes signals one at a time with sigtimedwait, so
 * none is lost and none interrupts anything. What a process sends to the command is passed on to the child;
 * what the terminal sends has reached the child already, which is in the same process group. The terminal's
 * stop signals keep their default action. The child starts with the mask and the dispositions that the
 * command had.
 */
#ifndef LZ_CLI_CHILD_H
#define LZ_CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lz_child_result {
	pid_t pid;
	int status;           /* as wait(2) has it */
	int exec_error;       /* why it was not started: an errno, else 0 */
	double seconds;       /* from start to end */
	uint64_t page_tables; /* highest VmPTE seen of the child, bytes; 0: never seen */
	uint64_t peak_rss; /* bytes; of the largest process among the child and its waited-for descendants */
	uint64_t minor_faults; /* of all of them together, as the next */
	uint64_t major_faults;
	bool interrupted; /* meanwhile a signal came that asks the command to end */
};

/* How a child is run and watched; all zero for one that is run as it is, and watched for VmPTE alone. */
struct lz_child_monitor {
	bool null_stdio; /* its standard descriptors are those of /dev/null */
	/* Called with its pid from its start to its end: after 1 ms, 2 ms, and so on, at most 25 ms apart. */
	void (*sample)(void *context, pid_t pid);
	void *context;
};

/* Runs argv[0], found as execvp does, until its end. Returns 0, or -errno when there could be no child. */
int lz_child_run(char *const argv[], const struct lz_child_monitor *monitor, struct lz_child_result *result);

/* The exit status for an exec error: 127 when there is no such program, else 126. */
int lz_child_exec_status(int exec_error);

/* Ends the command as the child ended: with its exit status, which is returned, or by its signal. */
int lz_child_propagate_exit(const struct lz_child_result *result);

#endif
