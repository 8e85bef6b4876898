/*
 * The statistics files (lazyzero/wire.h) of all processes of a run, and their sum.
 */
#ifndef LZ_CLI_TALLY_H
#define LZ_CLI_TALLY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the statistics go. */
struct lz_stats_location {
	char path[PATH_MAX];    /* a directory or a file; "" when none could be made */
	bool is_private;        /* a directory made for this run, and removed after it */
	uint64_t started_after; /* files of processes that started before are not of this run; clock ticks
				 * after boot
				 */
};

/* Sums over processes, maxima of peaks; sizes in bytes. */
struct lz_run_totals {
	uint64_t processes;
	uint64_t budget; /* the smallest; UINT64_MAX when no process needed to know it */
	char budget_source[65];
	uint64_t committed_peak;
	uint64_t actual_peak;
	uint64_t regions;
	uint64_t region_bytes;
	uint64_t mappings;
	uint64_t mapping_bytes;
	uint64_t over_budget;
	uint64_t refused;
	uint64_t untracked;
	uint64_t windowed; /* as in the statistics file, with what follows */
	uint64_t window_regions;
	uint64_t window_bytes;
	uint64_t window_size;          /* the largest of any process */
	uint64_t window_resident_peak; /* the largest of any process */
};

/*
 * Takes the place that the user gave, relative to the current directory, or with NULL makes a private one,
 * and removes those that killed commands have left beside it. When that fails it says so, and the path is "".
 */
void lz_stats_location_prepare(struct lz_stats_location *location, const char *given);

/* Reads what there is, and says in one line what had to be left out. */
void lz_run_totals_read(struct lz_run_totals *totals, const struct lz_stats_location *location);

/* Removes a private place. */
void lz_stats_location_remove(const struct lz_stats_location *location);

#endif
