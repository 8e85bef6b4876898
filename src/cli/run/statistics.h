/*
 * The statistics files (lazyzero/wire.h) of the processes of a run: where they are written, and their totals.
 */
#ifndef LZ_CLI_RUN_STATISTICS_H
#define LZ_CLI_RUN_STATISTICS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct lz_stats_location {
	char path[PATH_MAX];    /* a directory or a file; "" if none could be created */
	bool is_private;        /* a directory created for this run and removed after it */
	uint64_t started_after; /* clock ticks after boot; processes that started earlier are ignored */
};

/* Sums over the processes, and maxima of peaks; sizes in bytes. Names as in lazyzero/wire.h. */
struct lz_run_totals {
	uint64_t processes;
	uint64_t budget; /* the smallest; UINT64_MAX if no process had to determine it */
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
	uint64_t windowed;
	uint64_t window_regions;
	uint64_t window_bytes;
	uint64_t window_size;          /* the largest of any process */
	uint64_t window_resident_peak; /* the largest of any process */
};

/*
 * Uses the path that the user gave, relative to the current directory, or for NULL creates a private
 * directory and removes those that killed commands have left beside it. On failure prints a warning and sets
 * path to "".
 */
void lz_stats_location_prepare(struct lz_stats_location *location, const char *given);

/* Reads the files. Prints one warning about those that cannot be used. */
void lz_run_totals_read(struct lz_run_totals *totals, const struct lz_stats_location *location);

/* Removes a private directory. */
void lz_stats_location_remove(const struct lz_stats_location *location);

#endif
