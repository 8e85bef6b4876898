/* Reads the processes; see reading.h. */
#include "cli/top/reading.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/clock.h"
#include "cli/process/cgroups.h"
#include "cli/top/rows.h"

/* A control group in the search tree. */
struct known_cgroup {
	const char *path; /* in top->cgroups */
	size_t number;
};

static int by_path(const void *a, const void *b)
{
	const struct known_cgroup *left = a, *right = b;

	return strcmp(left->path, right->path);
}

/* Returns the number of the control group of a process; SIZE_MAX if it is in none. */
static size_t find_cgroup(struct lz_top *top, pid_t pid)
{
	char path[PATH_MAX];
	struct known_cgroup *known, **found;
	char **larger;

	if (lz_cgroup_of_process(top->root, pid, path) == LZ_CGROUP_OTHER)
		return SIZE_MAX;
	found = tfind(&(struct known_cgroup){.path = path}, &top->cgroup_tree, by_path);
	if (found != NULL)
		return (*found)->number;
	larger = lz_array_grow(top->cgroups, top->cgroup_count, sizeof *larger);
	if (larger == NULL)
		return SIZE_MAX;
	top->cgroups = larger;
	known = malloc(sizeof *known);
	larger[top->cgroup_count] = strdup(path);
	if (known == NULL || larger[top->cgroup_count] == NULL) {
		free(larger[top->cgroup_count]);
		free(known);
		return SIZE_MAX;
	}
	*known = (struct known_cgroup){larger[top->cgroup_count], top->cgroup_count};
	if (tsearch(known, &top->cgroup_tree, by_path) == NULL)
		free(known); /* it gets another number when it is seen again */
	return top->cgroup_count++;
}

void lz_top_find_cgroups(struct lz_top *top)
{
	for (size_t i = 0; i < top->count; i++)
		top->cgroup_of[i] = find_cgroup(top, (pid_t)top->processes[i].pid);
}

int lz_top_reading_begin(struct lz_top *top)
{
	struct lz_top_reading *reading = &top->reading;
	int error;

	*reading = (struct lz_top_reading){.pids = NULL};
	error = lz_process_list(top->root, &reading->pids, &reading->pid_count);
	if (error)
		return error;
	reading->processes = calloc(reading->pid_count + 1, sizeof *reading->processes);
	reading->cgroup_of = calloc(reading->pid_count + 1, sizeof *reading->cgroup_of);
	reading->active = true;
	return reading->processes != NULL && reading->cgroup_of != NULL ? 0 : -ENOMEM;
}

static void add_process(struct lz_top *top, const struct lz_process *process)
{
	struct lz_top_reading *reading = &top->reading;

	reading->cgroup_of[reading->count] = SIZE_MAX;
	if (top->arrangement == LZ_TOP_CGROUPS)
		reading->cgroup_of[reading->count] = find_cgroup(top, (pid_t)process->pid);
	reading->processes[reading->count++] = *process;
	lz_table_totals_add(&reading->totals, process);
	reading->unreadable += process->maps_error != 0 || process->mappings.wire_error != 0;
}

static void read_machine(struct lz_top *top)
{
	lz_machine_read(top->root, &top->machine);
	if (top->machine.tables == LZ_UNKNOWN)
		return;
	top->history[top->history_at] = top->machine.tables;
	top->history_at = (top->history_at + 1) % LZ_TOP_HISTORY_MAX;
	if (top->history_count < LZ_TOP_HISTORY_MAX)
		top->history_count++;
}

/* Shows what was read. */
static int finish(struct lz_top *top)
{
	struct lz_top_reading *reading = &top->reading;
	bool had_cgroups = reading->with_cgroups;

	free(top->processes);
	free(top->cgroup_of);
	free(reading->pids);
	top->processes = reading->processes;
	top->cgroup_of = reading->cgroup_of;
	top->count = reading->count;
	top->totals = reading->totals;
	top->unreadable = reading->unreadable;
	*reading = (struct lz_top_reading){.pids = NULL};
	if (top->totals.tables > top->tables_peak)
		top->tables_peak = top->totals.tables;
	/* The view may have changed in the middle. */
	if (top->arrangement == LZ_TOP_CGROUPS && !had_cgroups)
		lz_top_find_cgroups(top);
	read_machine(top);
	return lz_top_sort_rows(top);
}

int lz_top_reading_continue(struct lz_top *top, uint64_t duration_ns)
{
	unsigned read_flags = lz_columns_read_flags(&top->columns, top->sort);
	struct lz_top_reading *reading = &top->reading;
	uint64_t end = lz_monotonic_ns() + duration_ns;

	if (reading->next == 0)
		reading->with_cgroups = top->arrangement == LZ_TOP_CGROUPS;
	while (reading->next < reading->pid_count) {
		struct lz_process process;
		pid_t pid = reading->pids[reading->next++];

		if (lz_process_read(top->root, top->geometry, pid, read_flags, &process) == 0 &&
			lz_process_has_memory(&process))
			add_process(top, &process);
		if (reading->next < reading->pid_count && lz_monotonic_ns() >= end)
			return 1;
	}
	return finish(top);
}

void lz_top_reading_free(struct lz_top *top)
{
	free(top->reading.pids);
	free(top->reading.processes);
	free(top->reading.cgroup_of);
	free(top->processes);
	free(top->cgroup_of);
	tdestroy(top->cgroup_tree, free);
	for (size_t i = 0; i < top->cgroup_count; i++)
		free(top->cgroups[i]);
	free(top->cgroups);
}
