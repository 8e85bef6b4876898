/*
 * Runs one workload in a process of its own, bare or with the library preloaded, and brings back what it
 * measured.
 */
#ifndef LZ_EXPERIMENT_RUN_H
#define LZ_EXPERIMENT_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* The program alone; under the library with the zero page behind it; and with the zero window. */
enum column { BARE, LAZYZERO, WINDOW, COLUMNS };

extern const char *const column_names[COLUMNS];

struct value {
	char key[24];
	uint64_t value;
};

/* What came of a run. Values are the child's own, and those the parent adds about it (see run_workload). */
struct outcome {
	char skipped[160]; /* why it could not be run; "" when it was */
	char version[32];  /* of the library the child ran under, "" for none */
	char message[480]; /* the library's last message, or the kernel's on killing the child */
	struct value values[20];
	unsigned count;
};

struct workload {
	const char *id;
	uint64_t size;  /* handed to the child */
	uint64_t limit; /* memory limit of the child's own control group; 0: none */
	/* For a run under the library: "NAME=value", NULL-terminated; or NULL. */
	const char *const *settings;
	const char *preload; /* the library, as LD_PRELOAD names it */
};

/*
 * Runs it. The parent adds the values "end" (a wait status), "us" (microseconds), "last_rss", "peak_tables"
 * (sampled in /proc/PID/status), and of a limited child "oom_kills" and "log_tables" (the kernel log's
 * figure). Does not return when a signal asks this process to stop: it leaves nothing behind and dies of that
 * signal.
 */
void run_workload(const struct workload *workload, enum column column, struct outcome *outcome);

/* In the child: hands a value to the parent, or the reason why there is none. */
void report(const char *key, uint64_t value);
void report_skipped(const char *why);

/* A value by its key, or UNKNOWN. */
uint64_t outcome_value(const struct outcome *outcome, const char *key);

#endif
