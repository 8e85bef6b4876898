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

#include "cli/common/clock.h"
#include "cli/common/commands.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/top/reading.h"
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

#define KEY_ESC 27

/* A key waits at most this long for the processes that are read meanwhile. */
#define STEP_NS UINT64_C(30000000)

static volatile sig_atomic_t quit_requested;

static void request_quit(int signal)
{
	(void)signal;
	quit_requested = 1;
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

/* Shows the selected process; unfolds a control group. */
static bool open_row(struct lz_top *top)
{
	if (top->row_count == 0)
		return true;
	if (top->rows[top->selected].cgroup != NULL) {
		lz_top_toggle_fold(top);
		return lz_top_sort_rows(top) == 0;
	}
	top->page = LZ_TOP_DETAILS;
	top->page_first = 0;
	top->details_pid = top->rows[top->selected].process->pid;
	return true;
}

/* A key while a page is shown. */
static void handle_page_key(struct lz_top *top, int key)
{
	size_t page = LINES > 1 ? (size_t)LINES - 1 : 1;

	switch (key) {
	case KEY_RESIZE:
		return;
	case KEY_UP:
	case 'k':
		top->page_first -= top->page_first > 0;
		return;
	case KEY_DOWN:
	case 'j':
		top->page_first++;
		return;
	case KEY_PPAGE:
		top->page_first -= top->page_first < page ? top->page_first : page;
		return;
	case KEY_NPAGE:
		top->page_first += page;
		return;
	case 'q':
	case 'Q':
	case KEY_ESC:
	case '\n':
	case KEY_ENTER:
		top->page = LZ_TOP_ROWS;
		return;
	default:
		if (top->page == LZ_TOP_HELP)
			top->page = LZ_TOP_ROWS;
	}
}

/* A key while the filter is typed, which takes effect at once. */
static bool handle_filter_key(struct lz_top *top, int key)
{
	size_t length = strlen(top->filter);

	if (key == '\n' || key == KEY_ENTER || key == KEY_ESC) {
		top->is_typing_filter = false;
		if (key == KEY_ESC)
			top->filter[0] = '\0';
	} else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
		top->filter[length > 0 ? length - 1 : 0] = '\0';
	} else if (key >= ' ' && key <= '~' && length + 1 < sizeof top->filter) {
		top->filter[length] = (char)key;
		top->filter[length + 1] = '\0';
	}
	return lz_top_sort_rows(top) == 0;
}

/* Handles a key while the rows are shown. Returns false to quit. */
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
		if (top->arrangement == LZ_TOP_CGROUPS)
			lz_top_find_cgroups(top);
		break;
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
	case 'h':
	case '?':
	case KEY_F(1):
		top->page = LZ_TOP_HELP;
		top->page_first = 0;
		return true;
	case '/':
		top->is_typing_filter = true;
		return true;
	case KEY_ESC:
		top->filter[0] = '\0';
		break;
	case '\n':
	case KEY_ENTER:
		return open_row(top);
	case ' ':
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

/* Returns false to quit. */
static bool dispatch_key(struct lz_top *top, int key)
{
	if (top->processes == NULL) /* nothing is shown yet */
		return key != 'q' && key != 'Q';
	if (top->page != LZ_TOP_ROWS) {
		handle_page_key(top, key);
		return true;
	}
	return top->is_typing_filter && key != KEY_RESIZE ? handle_filter_key(top, key)
							  : handle_key(top, key);
}

static int event_loop(struct lz_top *top, uint64_t interval_ns)
{
	uint64_t due = 0, took = 0;
	bool changed = true;

	while (!quit_requested) {
		uint64_t now = lz_monotonic_ns();
		int key, state = 1;

		if (!top->reading.active && now >= due) {
			int error = lz_top_reading_begin(top);

			if (error)
				return error;
			due = now + interval_ns;
			took = 0;
		}
		if (top->reading.active) {
			state = lz_top_reading_continue(top, STEP_NS);
			took += lz_monotonic_ns() - now;
			if (state < 0)
				return state;
			if (state == 0 && took > interval_ns / 4)
				due = lz_monotonic_ns() + 3 * took;
		}
		/* In the middle of reading nothing changes but by keys. */
		if (state == 0 || changed || top->processes == NULL)
			lz_top_draw(top);
		now = lz_monotonic_ns();
		timeout(!top->reading.active && due > now ? (int)((due - now) / 1000000) + 1 : 0);
		errno = 0;
		key = getch();
		if (key == ERR && errno == EIO)
			return 0; /* the terminal has been closed */
		changed = key != ERR;
		if (changed && !dispatch_key(top, key))
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
	lz_top_reading_free(&top);
	free(top.sums);
	free(top.rows);
	free(top.toggled);
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
		"their processes. Keys: h shows all of them, q quits, t switches between list and tree, c "
		"between list and control groups, / filters, Enter shows one process, space folds or unfolds "
		"the selected row, < and > change the sort column, r reverses the order. Preloaded processes "
		"are bold.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.run = run,
};
