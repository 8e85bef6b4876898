/*
 * `lazyzero top`: shows the output of `stat` continuously, sorted by a column or as a tree with sums, with
 * the history of the machine's page tables. If reading /proc takes long, it is read less often, so that it
 * uses at most a quarter of the time.
 */
#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/clock.h"
#include "cli/common/commands.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/process/cgroups.h"
#include "cli/top/rows.h"
#include "cli/top/screen.h"

enum { FLAG_INTERVAL, FLAG_OUTPUT, FLAG_SORT, FLAG_TREE, FLAG_CGROUP, FLAG_SYSROOT, FLAG_GEOMETRY };

static const struct lz_flag flags[] = {
	[FLAG_INTERVAL] = {.name = "interval",
		.letter = 'd',
		.value = "SECONDS",
		.help = "The time between updates. Default: 2",
		.accepts = "seconds from 0.1 to 3600"},
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "COLUMNS",
		.help = "The columns to show, separated by commas; 'lazyzero stat --help' lists them. Some "
			"are "
			"omitted on a narrow terminal. Default: " LZ_DEFAULT_COLUMNS,
		.accepts = "names of columns, separated by commas"},
	[FLAG_SORT] = {.name = "sort",
		.value = "COLUMN",
		.help = "The column to sort by at first. Default: tables",
		.accepts = "the name of a column"},
	[FLAG_TREE] = {.name = "tree", .letter = 't', .help = "Start with the tree view."},
	[FLAG_CGROUP] = {.name = "cgroup",
		.letter = 'c',
		.help = "Start with the processes grouped by control group."},
	[FLAG_SYSROOT] = {.name = "sysroot",
		.value = "DIRECTORY",
		.help = "Read a recorded tree: DIRECTORY/proc in place of /proc.",
		.accepts = "a directory"},
	[FLAG_GEOMETRY] = {.name = "geometry",
		.value = "NAME",
		.help = "The page-table geometry of the recorded machine. Default: this machine's.",
		.accepts = "a name shown by 'lazyzero cost --list'"},
};

static volatile sig_atomic_t quit_requested;

static void request_quit(int signal)
{
	(void)signal;
	quit_requested = 1;
}

/* Returns the number of the control group of a process; SIZE_MAX if it is in none. */
static size_t find_cgroup(struct lz_top *top, pid_t pid)
{
	char path[PATH_MAX];
	char **larger;

	if (lz_cgroup_of_process(top->root, pid, path) == LZ_CGROUP_OTHER)
		return SIZE_MAX;
	for (size_t i = 0; i < top->cgroup_count; i++)
		if (strcmp(top->cgroups[i], path) == 0)
			return i;
	larger = lz_array_grow(top->cgroups, top->cgroup_count, sizeof *larger);
	if (larger == NULL)
		return SIZE_MAX;
	top->cgroups = larger;
	larger[top->cgroup_count] = strdup(path);
	return larger[top->cgroup_count] != NULL ? top->cgroup_count++ : SIZE_MAX;
}

static void add_process(struct lz_top *top, const struct lz_process *process)
{
	if (top->arrangement == LZ_TOP_CGROUPS)
		top->cgroup_of[top->count] = find_cgroup(top, (pid_t)process->pid);
	top->processes[top->count++] = *process;
	lz_table_totals_add(&top->totals, process);
	top->unreadable += process->maps_error != 0 || process->mappings.wire_error != 0;
}

/* Reads all processes and the machine's figures. Returns 0 or -errno. */
static int read_processes(struct lz_top *top)
{
	unsigned read_flags = lz_columns_read_flags(&top->columns, top->sort);
	struct lz_process *larger;
	size_t *cgroup_of;
	pid_t *pids;
	size_t count;
	int error = lz_process_list(top->root, &pids, &count);

	if (error)
		return error;
	larger = realloc(top->processes, (count + 1) * sizeof *larger);
	if (larger != NULL)
		top->processes = larger;
	cgroup_of = realloc(top->cgroup_of, (count + 1) * sizeof *cgroup_of);
	if (cgroup_of != NULL)
		top->cgroup_of = cgroup_of;
	if (larger == NULL || cgroup_of == NULL) {
		free(pids);
		return -ENOMEM;
	}
	top->count = 0;
	top->totals = (struct lz_table_totals){.processes = 0};
	top->unreadable = 0;
	for (size_t i = 0; i < count && !quit_requested; i++) {
		struct lz_process process;

		if (lz_process_read(top->root, top->geometry, pids[i], read_flags, &process) == 0 &&
			lz_process_has_memory(&process))
			add_process(top, &process);
	}
	free(pids);
	if (top->totals.tables > top->tables_peak)
		top->tables_peak = top->totals.tables;
	lz_machine_read(top->root, &top->machine);
	if (top->machine.tables != LZ_UNKNOWN) {
		top->history[top->history_at] = top->machine.tables;
		top->history_at = (top->history_at + 1) % LZ_TOP_HISTORY_MAX;
		if (top->history_count < LZ_TOP_HISTORY_MAX)
			top->history_count++;
	}
	return lz_top_sort_rows(top);
}

/* Sorts by the column `step` places to the right of the current one, cyclically, among those shown. */
static void sort_by_neighbour(struct lz_top *top, size_t step)
{
	for (size_t i = 0; i < top->columns.count; i++)
		if (top->columns.column[i] == top->sort) {
			top->sort = top->columns.column[(i + step) % top->columns.count];
			return;
		}
	top->sort = top->columns.column[0];
}

static void select_row(struct lz_top *top, size_t row)
{
	if (top->row_count == 0)
		return;
	top->selected = row < top->row_count ? row : top->row_count - 1;
	top->selected_pid = top->selected > 0 ? top->rows[top->selected].process->pid : 0;
}

/* Handles a key. Returns false to quit. */
static bool handle_key(struct lz_top *top, int key)
{
	size_t page = lz_top_page_rows();

	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 't':
		top->arrangement = top->arrangement == LZ_TOP_TREE ? LZ_TOP_LIST : LZ_TOP_TREE;
		break;
	case 'c':
		top->arrangement = top->arrangement == LZ_TOP_CGROUPS ? LZ_TOP_LIST : LZ_TOP_CGROUPS;
		/* The groups of the processes are read in this view alone. */
		return read_processes(top) == 0;
	case 'r':
		top->reverse = !top->reverse;
		break;
	case '>':
	case KEY_RIGHT:
		sort_by_neighbour(top, 1);
		break;
	case '<':
	case KEY_LEFT:
		sort_by_neighbour(top, top->columns.count - 1);
		break;
	case ' ':
	case '\n':
		if (top->arrangement != LZ_TOP_LIST && top->row_count > 0)
			lz_top_toggle_fold(top);
		break;
	case KEY_UP:
	case 'k':
		select_row(top, top->selected > 0 ? top->selected - 1 : 0);
		return true;
	case KEY_DOWN:
	case 'j':
		select_row(top, top->selected + 1);
		return true;
	case KEY_PPAGE:
		select_row(top, top->selected > page ? top->selected - page : 0);
		return true;
	case KEY_NPAGE:
		select_row(top, top->selected + page);
		return true;
	case KEY_HOME:
		select_row(top, 0);
		return true;
	case KEY_END:
		select_row(top, SIZE_MAX);
		return true;
	default:
		return true; /* also KEY_RESIZE: the caller redraws the screen */
	}
	return lz_top_sort_rows(top) == 0;
}

static int event_loop(struct lz_top *top, uint64_t interval_ns)
{
	uint64_t due = 0;

	while (!quit_requested) {
		uint64_t now = lz_monotonic_ns();
		int key;

		if (now >= due) {
			int error = read_processes(top);

			if (error)
				return error;
			due = now + interval_ns;
			if (lz_monotonic_ns() - now > interval_ns / 4)
				due = lz_monotonic_ns() + 3 * (lz_monotonic_ns() - now);
		}
		lz_top_draw(top);
		now = lz_monotonic_ns();
		timeout(due > now ? (int)((due - now) / 1000000) + 1 : 0);
		key = getch();
		if (key == ERR && errno == EIO)
			return 0; /* the terminal has been closed */
		if (key != ERR && !handle_key(top, key))
			return 0;
	}
	return 0;
}

static int parse_arguments(struct lz_top *top, const struct lz_arguments *arguments, double *interval)
{
	const char *given = arguments->values[FLAG_INTERVAL];
	const char *output = arguments->values[FLAG_OUTPUT];
	const char *sort = arguments->values[FLAG_SORT];
	char *rest;

	*interval = 2;
	if (given != NULL) {
		*interval = strtod(given, &rest);
		if (rest == given || *rest != '\0' || !(*interval >= 0.1 && *interval <= 3600)) {
			lz_fail_usage("top", "--interval: \"%s\" is not accepted: it takes %s",
				lz_printable(given).text, flags[FLAG_INTERVAL].accepts);
			return -EINVAL;
		}
	}
	top->root = arguments->values[FLAG_SYSROOT] != NULL ? arguments->values[FLAG_SYSROOT] : "";
	if (arguments->values[FLAG_TREE] != NULL && arguments->values[FLAG_CGROUP] != NULL) {
		lz_fail_usage("top", "--tree cannot be used with --cgroup");
		return -EINVAL;
	}
	top->arrangement = arguments->values[FLAG_TREE] != NULL     ? LZ_TOP_TREE
			   : arguments->values[FLAG_CGROUP] != NULL ? LZ_TOP_CGROUPS
								    : LZ_TOP_LIST;
	top->geometry = lz_geometry_choose(arguments->values[FLAG_GEOMETRY]);
	top->sort = lz_column_find(sort != NULL ? sort : "tables");
	if (top->geometry == NULL || top->sort == NULL)
		return -EINVAL;
	return lz_columns_parse(&top->columns, output != NULL ? output : LZ_DEFAULT_COLUMNS);
}

static int run(const struct lz_arguments *arguments)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct lz_top top = {.root = ""};
	double interval;
	int error;

	if (parse_arguments(&top, arguments, &interval) != 0 || lz_top_screen_open() != 0)
		return LZ_EXIT_FAILURE;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &(struct sigaction){.sa_handler = request_quit}, NULL);
	error = event_loop(&top, (uint64_t)(interval * 1e9));
	lz_top_screen_close();
	free(top.processes);
	free(top.sums);
	free(top.rows);
	free(top.toggled);
	free(top.cgroup_of);
	for (size_t i = 0; i < top.cgroup_count; i++)
		free(top.cgroups[i]);
	free(top.cgroups);
	return error == 0 ? 0
			  : lz_fail("cannot read %s/proc: %s", lz_printable(top.root).text, strerror(-error));
}

const struct lz_command lz_command_top = {
	.name = "top",
	.summary = "watch the page tables of processes",
	.usage = "[OPTION]...",
	.description =
		"Shows the output of stat continuously: as a sorted list, as a tree in which each process "
		"shows the sums over itself and its descendants, or as control groups with the sums over "
		"their processes. Keys: q quits, t switches between list and tree, c between list and "
		"control groups, space folds or unfolds the selected row, < and > change the sort column, r "
		"reverses the order. Preloaded processes are bold.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.run = run,
};
