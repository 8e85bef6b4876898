/* Sums up statistics files; see statistics.h. */
#include "cli/run/statistics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/process/stats_file.h"

/* Files that could not be read: how many, and the first of them. */
struct skipped {
	unsigned count;
	char name[64];
	const char *reason;
};

static void add(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

/* UINT64_MAX stands for an unknown value. */
static void raise_to(uint64_t *peak, uint64_t value)
{
	if (value != UINT64_MAX)
		*peak = lz_max_u64(*peak, value);
}

static void add_process(struct lz_run_totals *totals, const struct lz_wire *wire)
{
	totals->processes++;
	if (wire->budget < totals->budget) {
		totals->budget = wire->budget;
		memcpy(totals->budget_source, wire->budget_source, sizeof wire->budget_source);
	}
	raise_to(&totals->committed_peak, wire->committed_peak);
	add(&totals->regions, wire->regions_total);
	add(&totals->region_bytes, wire->region_bytes_total);
	add(&totals->mappings, wire->mappings_total);
	add(&totals->mapping_bytes, wire->mapping_bytes_total);
	add(&totals->over_budget, wire->over_budget);
	add(&totals->refused, wire->refused);
	add(&totals->untracked, wire->untracked);
	add(&totals->windowed, wire->windowed);
	add(&totals->window_regions, wire->window_regions_total);
	add(&totals->window_bytes, wire->window_bytes_total);
	add(&totals->memset_bytes, wire->memset_bytes);
	add(&totals->memset_written_bytes, wire->memset_written_bytes);
	raise_to(&totals->window_size, wire->window_size);
	raise_to(&totals->window_resident_peak, wire->window_resident_peak);
}

/* The state of lz_run_totals_read. */
struct reading {
	struct lz_run_totals *totals;
	struct lz_run_peaks *peaks;
	const struct lz_stats_location *location;
	struct skipped skipped;
};

static void visit_file(void *context, const char *name, const struct lz_wire *wire, const char *error)
{
	struct reading *reading = context;
	struct skipped *skipped = &reading->skipped;

	if (wire == NULL) {
		if (skipped->count++ == 0) {
			snprintf(skipped->name, sizeof skipped->name, "%.63s", name);
			skipped->reason = error;
		}
	} else if (reading->location->is_private || wire->start_time == 0 ||
		   wire->start_time >= reading->location->started_after) {
		/* The start time is 0 if the process could not read /proc. */
		add_process(reading->totals, wire);
		lz_run_peaks_add_file(reading->peaks, wire);
	}
}

void lz_run_totals_read(
	struct lz_run_totals *totals, struct lz_run_peaks *peaks, const struct lz_stats_location *location)
{
	struct reading reading = {.totals = totals, .peaks = peaks, .location = location};
	struct skipped *skipped = &reading.skipped;
	int error;

	*totals = (struct lz_run_totals){.budget = UINT64_MAX};
	if (location->path[0] == '\0')
		return;
	error = lz_stats_file_each(location->path, false, visit_file, &reading);
	if (error != 0 && error != -ENOENT)
		visit_file(&reading, location->path, NULL, strerror(-error));
	if (skipped->count == 1)
		lz_warning("not included in the summary: %s: %s", lz_printable(skipped->name).text,
			skipped->reason);
	else if (skipped->count > 1)
		lz_warning("not included in the summary: %s: %s; and %u more files",
			lz_printable(skipped->name).text, skipped->reason, skipped->count - 1);
}
