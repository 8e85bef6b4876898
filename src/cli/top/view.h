/* `lazyzero top`: its state and keys (top.c), the order of its rows (top_rows.c), the screen (top_screen.c).
 */
#ifndef LZ_CLI_TOP_H
#define LZ_CLI_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/process/columns.h"
#include "cli/process/machine.h"
#include "cli/process/process.h"

#define LZ_TOP_HISTORY_MAX 256u /* samples of the machine's page tables, for the sparkline */

/* A line of the list. */
struct lz_top_row {
	const struct lz_process *process; /* in tree view with the sums of all below it */
	unsigned depth;                   /* below the roots of the tree */
	uint64_t descendants;             /* processes below it */
	bool folded;                      /* and not shown */
};

struct lz_top {
	/* What was asked for. */
	const char *root;
	const struct lz_geometry *geometry;
	struct lz_columns columns;
	const struct lz_column *sort;
	bool reverse, tree;

	/* What was read. */
	struct lz_machine machine;
	struct lz_process *processes; /* by pid */
	struct lz_process *sums;      /* each with all below it; only in tree view */
	size_t count;
	uint64_t preloaded, unreadable;       /* processes */
	uint64_t history[LZ_TOP_HISTORY_MAX]; /* a ring; the newest before history_at */
	size_t history_at, history_count;

	/* What is shown. */
	struct lz_top_row *rows;
	size_t row_count;
	size_t selected, first; /* rows */
	uint64_t selected_pid;  /* 0: the first row, whoever stands there */
	pid_t *folded;          /* pids whose trees are folded */
	size_t folded_count;
};

/* Puts the processes in order. Returns 0 or -ENOMEM. */
int lz_top_sort_rows(struct lz_top *top);

/* Folds or unfolds the tree of the selected row, of which there must be one; shown at the next
 * lz_top_sort_rows.
 */
void lz_top_toggle_fold(struct lz_top *top);

/* Opens the screen. Returns 0, or -ENOTTY after saying why there is none. */
int lz_top_screen_open(void);
void lz_top_screen_close(void);

/* Draws everything, on a terminal of any size; scrolls so that the selected row can be seen. */
void lz_top_draw(struct lz_top *top);

/* Rows of the list that the terminal has room for. */
size_t lz_top_page_rows(void);

#endif
