/* The totals of the statistics files (lazyzero/wire.h) of the processes of a run. */
#ifndef LZ_CLI_RUN_STATISTICS_H
#define LZ_CLI_RUN_STATISTICS_H

#include <stdint.h>

#include "cli/run/location.h"
#include "cli/run/peaks.h"

/* Sums over the processes, and maxima of peaks; sizes in bytes. Names as in lazyzero/wire.h. */
struct lz_run_totals {
	uint64_t processes;
	uint64_t budget; /* the smallest; UINT64_MAX if no process had to determine it */
	char budget_source[65];
	uint64_t committed_peak; /* the largest of any process */
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
	uint64_t memset_bytes;
	uint64_t memset_written_bytes;
	uint64_t window_size;          /* the largest of any process */
	uint64_t window_resident_peak; /* the largest of any process */
};

/*
 * Reads the files, and adds the peaks in them to `peaks`. Prints one warning about those that cannot be used.
 */
void lz_run_totals_read(
	struct lz_run_totals *totals, struct lz_run_peaks *peaks, const struct lz_stats_location *location);

#endif
