/* Reads the processes that `lazyzero stat` shows: all, those named, or the owners of statistics files. */
#ifndef LZ_CLI_STAT_READ_H
#define LZ_CLI_STAT_READ_H

#include "cli/common/arguments.h"
#include "cli/process/unreadable.h"
#include "cli/stat/print.h"

/* What to read, and the processes read so far. */
struct lz_stat_query {
	const char *root;
	const struct lz_geometry *geometry;
	unsigned read_flags;
	struct lz_unreadable unreadable; /* of which mappings or PSS could not be read */
	struct lz_unreadable counters;   /* of which the library's counters could not be read */
	struct lz_stat_output output;    /* `processes` is to be freed */
};

/* Return the exit status; 1 if a process that is named cannot be shown. */
int lz_stat_read_all(struct lz_stat_query *query);
int lz_stat_read_named(struct lz_stat_query *query, const struct lz_arguments *arguments);
int lz_stat_read_files(struct lz_stat_query *query, const char *path);

/* One message for all processes whose mappings or PSS could not be read, and one about counters. */
void lz_stat_report_unreadable(const struct lz_stat_query *query);

/* A message if /proc hides processes of other users. */
void lz_stat_warn_of_hidden(const char *root);

#endif
