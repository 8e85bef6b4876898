/* The state of `lazyzero top`: what was requested, what was read, and what is shown. */
#ifndef LZ_CLI_TOP_VIEW_H
#define LZ_CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/process/columns.h"
#include "cli/process/machine.h"
#include "cli/process/process.h"

#define LZ_TOP_HISTORY_MAX 256u /* samples of the machine's page tables, for the sparkline */

struct lz_top_row {
	const struct lz_process *process; /* in tree view, with the sums over its descendants */
	unsigned depth;                   /* in the tree; 0: a root */
	uint64_t descendants;
	bool folded; /* its descendants are not shown */
};

struct lz_top {
	/* Requested. */
	const char *root;
	const struct lz_geometry *geometry;
	struct lz_columns columns;
	const struct lz_column *sort;
	bool reverse, tree;

	/* Read. */
	struct lz_machine machine;
	struct lz_process *processes; /* by pid */
	struct lz_process *sums;      /* each process with its descendants added; only in tree view */
	size_t count;
	uint64_t preloaded, unreadable;       /* numbers of processes */
	uint64_t history[LZ_TOP_HISTORY_MAX]; /* ring buffer; the newest sample precedes history_at */
	size_t history_at, history_count;

	/* Shown. */
	struct lz_top_row *rows;
	size_t row_count;
	size_t selected, first; /* indices of rows */
	uint64_t selected_pid;  /* 0: the first row, whichever process it is */
	pid_t *folded;          /* processes whose descendants are not shown */
	size_t folded_count;
};

#endif
