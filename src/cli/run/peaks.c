/* Collects the peaks; see peaks.h. */
#include "cli/run/peaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/common/array.h"
#include "cli/common/clock.h"

/*
 * A sample of one process takes about 0.1 ms. Of 1,000 it takes 0.1 s, and a fiftieth of the time would be
 * one sample in 5 s, which misses most peaks.
 */
#define SAMPLE_SHARE 50u
#define LARGE_SAMPLE_SHARE 10u /* for samples more than LONGEST_PAUSE_NS apart */
#define LONGEST_PAUSE_NS LZ_NS_PER_SECOND

void lz_run_peaks_add(
	struct lz_run_peaks *peaks, uint64_t pid, uint64_t start_time, uint64_t tables, const char *name)
{
	struct lz_process_peak *of;

	if (tables == 0 || tables == LZ_UNKNOWN)
		return;
	of = lz_array_grow(peaks->of, peaks->count, sizeof *of);
	if (of == NULL)
		return;
	peaks->of = of;
	of += peaks->count++;
	*of = (struct lz_process_peak){pid, start_time, tables, ""};
	snprintf(of->name, sizeof of->name, "%s", name);
}

void lz_run_peaks_add_file(struct lz_run_peaks *peaks, const struct lz_wire *wire)
{
	lz_run_peaks_add(peaks, wire->pid, wire->start_time, wire->actual_peak, wire->executable);
}

static void visit_process(void *context, const struct lz_process *process)
{
	struct lz_run_peaks *peaks = context;

	if (process->tables == LZ_UNKNOWN)
		return;
	/* Backwards, since most of the living processes are among those that started last. */
	for (size_t i = peaks->count; i-- > 0;)
		if (peaks->of[i].pid == process->pid && peaks->of[i].start_time == process->stat.start_time) {
			peaks->of[i].tables = lz_max_u64(peaks->of[i].tables, process->tables);
			/* It may have executed another program since then. */
			memcpy(peaks->of[i].name, process->name, sizeof process->name);
			return;
		}
	lz_run_peaks_add(peaks, process->pid, process->stat.start_time, process->tables, process->name);
}

static uint64_t pause_after(uint64_t duration)
{
	return lz_min_u64(
		duration * SAMPLE_SHARE, lz_max_u64(duration * LARGE_SAMPLE_SHARE, LONGEST_PAUSE_NS));
}

void lz_run_peaks_sample(void *context, pid_t pid)
{
	struct lz_run_peaks *peaks = context;
	uint64_t began = lz_monotonic_ns(), ended;
	struct lz_process_tree_totals sum;

	if (began < peaks->next_sample_ns)
		return;
	if (!peaks->started) {
		lz_process_tree_init(&peaks->tree, pid);
		peaks->tree.without_pss = true;
		peaks->started = true;
	}
	lz_process_tree_sample(&peaks->tree, &sum, visit_process, peaks);
	peaks->together = lz_max_u64(peaks->together, sum.tables);
	ended = lz_monotonic_ns();
	peaks->next_sample_ns = ended + pause_after(ended - began);
}

static int by_process(const void *a, const void *b)
{
	const struct lz_process_peak *left = a, *right = b;

	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	return (left->start_time > right->start_time) - (left->start_time < right->start_time);
}

/* Start times that are not known are sorted before the others of the same pid. */
static bool is_same_process(const struct lz_process_peak *former, const struct lz_process_peak *latter)
{
	return former->pid == latter->pid &&
	       (former->start_time == latter->start_time || former->start_time == 0);
}

struct lz_run_peak_totals lz_run_peaks_sum(struct lz_run_peaks *peaks, uint64_t limit)
{
	struct lz_run_peak_totals totals = {.together = peaks->together};

	if (peaks->count > 0)
		qsort(peaks->of, peaks->count, sizeof *peaks->of, by_process);
	for (size_t i = 0; i < peaks->count;) {
		struct lz_process_peak peak = peaks->of[i];

		for (i++; i < peaks->count && is_same_process(&peaks->of[i - 1], &peaks->of[i]); i++) {
			peak.tables = lz_max_u64(peak.tables, peaks->of[i].tables);
			if (peaks->of[i].name[0] != '\0')
				memcpy(peak.name, peaks->of[i].name, sizeof peak.name);
		}
		totals.processes++;
		totals.over_limit += peak.tables > limit;
		if (peak.tables > totals.largest)
			totals.largest_process = peak;
		totals.largest = lz_max_u64(totals.largest, peak.tables);
		if (__builtin_add_overflow(totals.sum, peak.tables, &totals.sum))
			totals.sum = UINT64_MAX;
	}
	totals.together = lz_max_u64(totals.together, totals.largest);
	return totals;
}

void lz_run_peaks_free(struct lz_run_peaks *peaks)
{
	lz_process_tree_free(&peaks->tree);
	free(peaks->of);
}
