/*
 * Looks at the live regions of processes from outside, while they run, so that a report can say what was in
 * them when the process was killed. Regions are found in the files that the processes keep up to date
 * (sites/sites_file.h).
 *
 * What was seen is kept in this process, one entry for each region. Not thread-safe.
 */
#ifndef LZ_CLI_REPORT_LOOK_H
#define LZ_CLI_REPORT_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "sites/sites.h"

/* What was seen of a region. */
struct lz_look {
	uint64_t pid, start_time, base, length; /* which region */
	double time;                            /* when: seconds of CLOCK_MONOTONIC */
	struct lz_site_usage usage;
	struct lz_cell_map cells;
};

/*
 * Looks at some regions of the processes whose files belong to the report `path` (a file or a directory): at
 * those that were looked at longest ago, until this has taken 1% of one processor's time since the first
 * call, or, with `all`, at each region once.
 */
void lz_look_at_report(const char *path, bool all);

/* Looks at all regions of a table, whose process runs. */
void lz_look_at_table(const struct lz_site_table *table);

/* Returns what was seen of a region when it had this length; NULL: nothing. */
const struct lz_look *lz_look_find(const struct lz_sites_identity *identity, uint64_t base, uint64_t length);

/* Called when the program has ended: ages are counted until then. */
void lz_look_end(void);

/* How long before the end the regions of a process were looked at: the longest time, s; negative: never. */
double lz_look_age(uint64_t pid, uint64_t start_time);

void lz_look_forget(void);

#endif
