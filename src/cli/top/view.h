/* The state of `lazyzero top`: what was requested, what was read, and what is shown. */
#ifndef LZ_CLI_TOP_VIEW_H
#define LZ_CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/process/columns.h"
#include "cli/process/machine.h"
#include "cli/process/process.h"
#include "cli/process/totals.h"

#define LZ_TOP_HISTORY_MAX 256u /* samples of the machine's page tables, for the sparkline */

/*
 * The views: a list of processes, their tree, or control groups with their processes below them. In the last
 * two, a row that has others below it shows the sums over them.
 */
enum lz_top_arrangement { LZ_TOP_LIST, LZ_TOP_TREE, LZ_TOP_CGROUPS };

/* The row of a control group has this and its number in place of a pid, which is smaller (PID_MAX_LIMIT). */
#define LZ_TOP_CGROUP_ID (UINT64_C(1) << 32)

/* Deeper rows of the tree are drawn as if they had this depth. */
#define LZ_TOP_DEPTH_MAX 20u

struct lz_top_row {
	const struct lz_process *process; /* with the sums over its descendants */
	const char *cgroup;               /* path, if the row is that of a control group; else NULL */
	unsigned depth;                   /* in the tree; 0: a root */
	/* Bit d: the row, or the one above it in the tree at depth d, has a sibling below it. For the lines.
	 */
	uint32_t has_next;
	uint64_t descendants;
	bool folded; /* its descendants are not shown */
};

/* What takes the whole screen. */
enum lz_top_page { LZ_TOP_ROWS, LZ_TOP_HELP, LZ_TOP_DETAILS };

/* Processes that are being read; see reading.h. */
struct lz_top_reading {
	bool active, with_cgroups;
	pid_t *pids;
	size_t pid_count, next;
	struct lz_process *processes;
	size_t *cgroup_of;
	size_t count; /* of the processes read so far */
	struct lz_table_totals totals;
	uint64_t unreadable;
};

struct lz_top {
	/* Requested. */
	const char *root;
	const struct lz_geometry *geometry;
	struct lz_columns columns;
	const struct lz_column *sort;
	bool reverse;
	enum lz_top_arrangement arrangement;
	char filter[64]; /* part of a name, user or control group, or a pid; "": none */
	bool is_typing_filter;
	enum lz_top_page page;
	uint64_t details_pid;
	size_t page_first; /* the first line of the page that is shown */

	/* Read. */
	struct lz_top_reading reading;
	struct lz_machine machine;
	struct lz_process *processes; /* by pid */
	struct lz_process
		*sums; /* each process, then each group, with its descendants added; not for a list */
	size_t count;
	size_t *cgroup_of; /* by process: the number of its control group, or SIZE_MAX; only for
			      LZ_TOP_CGROUPS */
	char **cgroups;    /* paths of all groups seen so far; their numbers never change */
	size_t cgroup_count;
	void *cgroup_tree;                    /* finds the number of a path (tsearch(3)) */
	struct lz_table_totals totals;        /* over `processes` */
	uint64_t tables_peak;                 /* highest totals.tables so far */
	uint64_t unreadable;                  /* number of processes */
	uint64_t history[LZ_TOP_HISTORY_MAX]; /* ring buffer; the newest sample precedes history_at */
	size_t history_at, history_count;

	/* Shown. */
	struct lz_top_row *rows;
	size_t row_count;
	struct lz_table_totals matching; /* processes that match the filter */
	size_t selected, first;          /* indices of rows */
	uint64_t selected_pid;           /* 0: the first row, whichever process it is */
	uint64_t *toggled; /* rows by pid: processes that are folded, control groups that are unfolded */
	size_t toggled_count;
};

#endif
