/*
 * The text format of Prometheus, and OpenMetrics. They differ in one point: OpenMetrics declares a counter by
 * its name without "_total".
 */
#ifndef LZ_CLI_METRICS_TEXT_H
#define LZ_CLI_METRICS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/process/cgroups.h"

enum { LZ_METRICS_PROMETHEUS, LZ_METRICS_OPENMETRICS };

/* Names lack the prefix "lazyzero_". */
void lz_metrics_write_metadata(
	FILE *out, const char *name, const char *help, bool is_counter, unsigned format);

/* Metadata and the value of a metric without labels. */
void lz_metrics_write_gauge(FILE *out, const char *name, const char *help, uint64_t value, unsigned format);

/*
 * Writes a label's value: two characters of printable ASCII need an escape, other bytes become \xNN. With
 * `unique` no two texts have the same label, for which the first character and each backslash of a text with
 * such bytes become \xNN as well: two series with the same labels make node_exporter fail, and users name
 * groups. Not by lz_printable, which cuts long text.
 */
void lz_metrics_write_label(FILE *out, const char *text, bool unique);

/* What /proc shows of processes, preloaded or not, with the labels `pid`, `name` and `user`. */
void lz_metrics_write_processes(FILE *out, const struct lz_process *processes, size_t count, unsigned format);

/* The metrics of control groups, with the label `cgroup`. */
void lz_metrics_write_cgroups(FILE *out, const struct lz_cgroups *groups, unsigned format);

#endif
