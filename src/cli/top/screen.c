/* Draws the screen; see screen.h. */
#include "cli/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/messages.h"
#include "cli/top/pages.h"

enum { PAIR_WARN = 1, PAIR_ALARM };

static bool is_utf8;
static bool has_window;

int lz_top_screen_open(void)
{
	const char *terminal = getenv("TERM");

	if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) {
		lz_fail("top requires a terminal; 'lazyzero stat' prints the same information once");
		return -ENOTTY;
	}
	setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (terminal == NULL || newterm(NULL, stdout, stdin) == NULL) {
		lz_fail("top does not support this terminal (TERM is %s%s%s); 'lazyzero stat' prints the "
			"same information once",
			terminal != NULL ? "\"" : "",
			terminal != NULL ? lz_printable(terminal).text : "not set",
			terminal != NULL ? "\"" : "");
		return -ENOTTY;
	}
	has_window = true;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25); /* ms; Esc alone is a key */
	if (lz_colours_enabled(stdout) && has_colors()) {
		start_color();
		use_default_colors();
		init_pair(PAIR_WARN, COLOR_YELLOW, -1);
		init_pair(PAIR_ALARM, COLOR_RED, -1);
	}
	return 0;
}

void lz_top_screen_close(void)
{
	if (has_window)
		endwin();
	has_window = false;
}

/* The lines above the list: 4, 1 (the column headers) or none, depending on the height. */
static int lines_above(void)
{
	return LINES >= 9 ? 4 : LINES >= 3 ? 1 : 0;
}

static int lines_below(void)
{
	return LINES >= 9 ? 1 : 0;
}

size_t lz_top_page_rows(void)
{
	int page = LINES - lines_above() - lines_below();

	return page > 0 ? (size_t)page : 1;
}

/*
 * The requested columns without those that do not fit; dropped in the order of drop_order, then from the end.
 */
static struct lz_columns fitting_columns(const struct lz_top *top)
{
	static const char *const drop_order[] = {"user", "virtual", "threads", "swap", "shmem", "mappings",
		"majflt", "minflt", "ratio", "rss", "pss", "touched", "pid"};
	struct lz_columns columns = top->columns;

	for (size_t drop = 0;;) {
		int width = 0;

		for (size_t i = 0; i < columns.count; i++)
			width += columns.column[i]->width + 1;
		/* The name may be narrower than its width, but paths of control groups are longer. */
		if (width <= COLS + (top->arrangement == LZ_TOP_CGROUPS ? -12 : 8) || columns.count <= 1)
			return columns;
		size_t at = columns.count - 1;

		for (; drop < sizeof drop_order / sizeof *drop_order; drop++) {
			for (at = 0; at < columns.count; at++)
				if (strcmp(columns.column[at]->name, drop_order[drop]) == 0)
					break;
			if (at < columns.count)
				break;
			at = columns.count - 1;
		}
		memmove(&columns.column[at], &columns.column[at + 1],
			(columns.count - 1 - at) * sizeof columns.column[0]);
		columns.count--;
	}
}

/* Prints text at the cursor, cut at the end of the line. */
static void put_text(const char *text)
{
	int room = COLS - getcurx(stdscr);

	if (room > 0)
		addnstr(text, room);
}

/* Prints text, filled up with spaces and cut to a width; the last column of a row has no limit. */
static void put_left(const char *text, int width, bool last)
{
	char cell[400];

	snprintf(cell, sizeof cell, "%*.*s%s", -width, last ? 380 : width, text, last ? "" : " ");
	put_text(cell);
}

/* Prints a cell, aligned and cut to the width of its column. */
static void put_cell(const struct lz_column *column, const char *text, bool last)
{
	char cell[300];

	if (lz_column_is_text(column)) {
		put_left(text, column->width, last);
		return;
	}
	snprintf(cell, sizeof cell, "%*.*s%s", column->width, last ? 280 : column->width, text,
		last ? "" : " ");
	put_text(cell);
}

static void draw_sparkline(const struct lz_top *top, int width)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const letters[] = {"_", ".", ",", "-", "=", "+", "*", "#"};
	size_t shown = top->history_count < (size_t)width ? top->history_count : (size_t)width;
	uint64_t least = UINT64_MAX, greatest = 0;

	for (size_t i = 0; i < shown; i++) {
		uint64_t value =
			top->history[(top->history_at + LZ_TOP_HISTORY_MAX - shown + i) % LZ_TOP_HISTORY_MAX];

		least = value < least ? value : least;
		greatest = value > greatest ? value : greatest;
	}
	for (size_t i = 0; i < shown; i++) {
		uint64_t value =
			top->history[(top->history_at + LZ_TOP_HISTORY_MAX - shown + i) % LZ_TOP_HISTORY_MAX];
		size_t level = greatest > least
				       ? (size_t)((double)(value - least) * 7.99 / (double)(greatest - least))
				       : 0;

		addstr(is_utf8 ? blocks[level] : letters[level]);
	}
}

static void draw_head(const struct lz_top *top)
{
	static const char *const arrangements[] = {"", ", tree sums", ", by control group"};
	char line[300];
	int room;

	move(0, 0);
	if (top->processes == NULL) {
		snprintf(line, sizeof line, "Reading /proc: %zu of %zu processes", top->reading.next,
			top->reading.pid_count);
		put_text(line);
		return;
	}
	put_text(lz_machine_line(&top->machine).text);
	if (top->filter[0] != '\0')
		snprintf(line, sizeof line,
			"Of %" PRIu64 " processes that match \"%.60s\": %.20s, largest %.20s",
			top->matching.processes, lz_printable(top->filter).text,
			lz_size_text_in(top->matching.tables, LZ_UNITS_AUTO).text,
			lz_size_text_in(top->matching.largest, LZ_UNITS_AUTO).text);
	else
		snprintf(line, sizeof line,
			"Of all processes shown: %.20s, %.20s at the peak since top was started",
			lz_size_text_in(top->totals.tables, LZ_UNITS_AUTO).text,
			lz_size_text_in(top->tables_peak, LZ_UNITS_AUTO).text);
	move(1, 0);
	put_text(line);
	snprintf(line, sizeof line,
		"%zu processes, %" PRIu64 " preloaded, %" PRIu64 " partly unreadable; by %s%s%s", top->count,
		top->totals.preloaded, top->unreadable, top->sort->name, top->reverse ? ", reversed" : "",
		arrangements[top->arrangement]);
	move(2, 0);
	put_text(line);
	room = COLS - getcurx(stdscr) - 2;
	if (room >= 4) {
		addstr("  ");
		draw_sparkline(top, room < (int)LZ_TOP_HISTORY_MAX ? room : (int)LZ_TOP_HISTORY_MAX);
	}
}

static void draw_headers(const struct lz_top *top, const struct lz_columns *columns, int line)
{
	move(line, 0);
	attron(A_REVERSE);
	for (size_t i = 0; i < columns->count; i++) {
		if (columns->column[i] == top->sort)
			attron(A_BOLD);
		put_cell(columns->column[i], lz_column_header(columns->column[i]).text,
			i + 1 == columns->count);
		attroff(A_BOLD);
	}
	while (getcurx(stdscr) < COLS - 1 && getcury(stdscr) == line)
		addch(' ');
	attroff(A_REVERSE);
}

/* Highlights processes of which the page tables exceed a tenth of RSS, or RSS itself. */
static attr_t attributes_of(const struct lz_process *process)
{
	attr_t attributes = process->mappings.preloaded ? A_BOLD : A_NORMAL;

	if (process->tables_to_rss == LZ_UNKNOWN || process->tables < (1u << 20))
		return attributes;
	if (process->tables_to_rss >= 1000)
		return attributes | (attr_t)COLOR_PAIR(PAIR_ALARM);
	return process->tables_to_rss >= 100 ? attributes | (attr_t)COLOR_PAIR(PAIR_WARN) : attributes;
}

#define NAME_BYTES (sizeof(struct lz_display) + 80)

/* Draws the lines of the tree before a name, at most `room` columns. Returns the columns that are left. */
static int draw_tree_lines(const struct lz_top_row *row, int room)
{
	static const char *const lines[][4] = {{"  ", "| ", "`-", "|-"}, {"  ", "│ ", "└─", "├─"}};
	unsigned depth = row->depth < LZ_TOP_DEPTH_MAX ? row->depth : LZ_TOP_DEPTH_MAX - 1;

	for (unsigned level = 1; level <= depth && room >= 4; level++) {
		unsigned has_next = row->has_next >> level & 1;

		addstr(lines[is_utf8][has_next + (level == depth ? 2 : 0)]);
		room -= 2;
	}
	return room;
}

/* The text of a name that has `room` columns. */
static void write_name(char name[NAME_BYTES], const struct lz_top_row *row, int room)
{
	struct lz_display text = lz_printable(row->process->name);
	char count[32] = "";

	if (row->descendants > 0)
		snprintf(count, sizeof count, " %c%" PRIu64, row->folded ? '+' : '-', row->descendants);
	room -= (int)strlen(count);
	if (row->cgroup != NULL)
		text = lz_printable_tail(row->cgroup, room < 8 ? 8u : room > 64 ? 64u : (unsigned)room);
	snprintf(name, NAME_BYTES, "%.260s%s", text.text, count);
}

static void draw_row(const struct lz_top_row *row, const struct lz_columns *columns, int line, bool selected)
{
	attr_t attributes = attributes_of(row->process) | (selected ? A_UNDERLINE : A_NORMAL);

	move(line, 0);
	attron((int)attributes);
	for (size_t i = 0; i < columns->count; i++) {
		const struct lz_column *column = columns->column[i];
		bool last = i + 1 == columns->count;
		char text[NAME_BYTES];

		if (column->kind == LZ_COLUMN_NAME) {
			int room = draw_tree_lines(row, last ? COLS - getcurx(stdscr) : column->width);

			write_name(text, row, room);
			put_left(text, room, last);
			continue;
		}
		if (row->cgroup != NULL && strcmp(column->name, "pid") == 0)
			strcpy(text, "-");
		else
			strcpy(text, lz_column_text(column, row->process, LZ_UNITS_AUTO).text);
		put_cell(column, text, last);
	}
	attroff((int)attributes);
}

static void draw_page(struct lz_top *top)
{
	char *text = NULL, *rest, *line;
	size_t length = 0, count = 0, page = LINES > 1 ? (size_t)LINES - 1 : 1;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return;
	lz_top_write_page(out, top);
	if (fclose(out) != 0)
		return;
	for (size_t i = 0; i < length; i++)
		count += text[i] == '\n';
	if (top->page_first + page > count)
		top->page_first = count > page ? count - page : 0;
	erase();
	rest = text;
	for (size_t i = 0; (line = strsep(&rest, "\n")) != NULL; i++)
		if (i >= top->page_first && i < top->page_first + page) {
			move((int)(i - top->page_first), 0);
			put_text(line);
		}
	move(LINES - 1, 0);
	if (LINES > 1)
		put_text(top->page == LZ_TOP_HELP ? "any key: back"
						  : "q Esc Enter: back  arrows PgUp PgDn: scroll");
	free(text);
	refresh();
}

static void draw_last_line(const struct lz_top *top)
{
	char line[120];

	move(LINES - 1, 0);
	if (top->is_typing_filter) {
		snprintf(line, sizeof line, "Filter: %s_  (Enter keeps it, Esc removes it)", top->filter);
		put_text(line);
	} else {
		put_text("q quit  h help  / filter  Enter process  t tree  c cgroups  < > sort  r reverse");
	}
}

void lz_top_draw(struct lz_top *top)
{
	struct lz_columns columns = fitting_columns(top);
	size_t page = lz_top_page_rows();
	int line = lines_above();

	if (top->page != LZ_TOP_ROWS) {
		draw_page(top);
		return;
	}
	if (top->selected < top->first)
		top->first = top->selected;
	if (top->selected >= top->first + page)
		top->first = top->selected - page + 1;
	erase();
	if (line > 1 || top->processes == NULL)
		draw_head(top);
	if (line > 0)
		draw_headers(top, &columns, line - 1);
	for (size_t i = top->first; i < top->row_count && i < top->first + page; i++)
		draw_row(&top->rows[i], &columns, line++, i == top->selected);
	if (lines_below() > 0 || (top->is_typing_filter && LINES > 1))
		draw_last_line(top);
	refresh();
}
