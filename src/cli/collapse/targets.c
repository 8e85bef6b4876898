/* Adds chosen processes; see targets.h. */
#include "cli/collapse/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/process/cgroups.h"
#include "cli/process/tree.h"

static int parse_pid(const char *word, pid_t *pid)
{
	uint64_t value = 0;

	if (lz_parse_u64(word, &value) != 0 || value > INT32_MAX)
		value = 0;
	*pid = (pid_t)value;
	return value > 0 ? 0
			 : lz_fail_usage("collapse", "\"%s\" is not a process ID: it takes a number",
				   lz_printable(word).text);
}

/*
 * `listed`: the process was found by a search. It may have ended since; and of several that may not be
 * examined only the first is named.
 */
static int add(struct lz_sharing *sharing, pid_t pid, uint64_t start_time, bool listed, bool *complete)
{
	int error = lz_sharing_add(sharing, pid, start_time);

	if (error == -ENOMEM)
		return lz_fail_memory();
	if (error == 0 || (error == -ESRCH && listed))
		return 0;
	if (listed && !*complete)
		return 0;
	*complete = false;
	if (error == -ESRCH)
		lz_message("%ld: no such process, or it has no memory of its own", (long)pid);
	else if (error == -EACCES || error == -EPERM)
		lz_message("%ld: may not be examined: run as its user, or as root", (long)pid);
	else
		lz_message("%ld: cannot be examined: %s", (long)pid, strerror(-error));
	return 0;
}

int lz_targets_add_pids(struct lz_sharing *sharing, char *const words[], bool *complete)
{
	int status = 0;

	for (; *words != NULL && status == 0; words++) {
		pid_t pid;

		status = parse_pid(*words, &pid);
		if (status == 0)
			status = add(sharing, pid, 0, false, complete);
	}
	return status;
}

int lz_targets_add_tree(struct lz_sharing *sharing, const char *word, bool *complete)
{
	struct lz_process_tree tree;
	struct lz_process_tree_totals sum;
	pid_t pid;
	int status = parse_pid(word, &pid);

	if (status != 0)
		return status;
	lz_process_tree_init(&tree, pid);
	tree.without_pss = true;
	if (!lz_process_tree_sample(&tree, &sum, NULL, NULL)) {
		lz_message("%ld: no such process, or it has no memory of its own", (long)pid);
		*complete = false;
	}
	for (size_t i = 0; i < tree.count && status == 0; i++)
		status = add(sharing, tree.members[i].pid, tree.members[i].start_time, true, complete);
	lz_process_tree_free(&tree);
	return status;
}

int lz_targets_add_cgroup(struct lz_sharing *sharing, const char *path, bool *complete)
{
	pid_t *pids;
	size_t count;
	int error = lz_cgroup_processes("", path, &pids, &count), status = 0;

	if (error)
		return lz_fail("cannot read /proc: %s", strerror(-error));
	if (count == 0) {
		lz_message(
			"%s: no process is in this control group or below it, among those that are visible",
			lz_printable(path).text);
		*complete = false;
	}
	for (size_t i = 0; i < count && status == 0; i++)
		status = add(sharing, pids[i], 0, true, complete);
	free(pids);
	return status;
}
