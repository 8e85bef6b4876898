/*
 * A process and its descendants, looked at from outside again and again: who is among them, and what they
 * need together.
 *
 * Descendants are found by /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN; without it only the first
 * process is seen), and stay known when their parent ends. PSS takes the kernel a walk over page tables, so
 * it is read less often the longer that takes: at most a twentieth of the time.
 */
#ifndef LZ_CLI_TREE_H
#define LZ_CLI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/process/process.h"

struct lz_process_tree_member {
	pid_t pid;
	uint64_t start_time;
	uint64_t pss;     /* when it was last read; LZ_UNKNOWN: never */
	uint64_t pss_rss; /* RSS without shared memory then */
};

struct lz_process_tree {
	struct lz_process_tree_member *members;
	size_t count, room;
	uint64_t next_pss_ns, next_sample_ns;
};

/* Sums over the processes that live; bytes. */
struct lz_process_tree_totals {
	uint64_t processes;
	uint64_t virtual, rss, pss, tables;
	uint64_t minor_faults, major_faults; /* of those that live */
};

void lz_process_tree_init(struct lz_process_tree *tree, pid_t root);
void lz_process_tree_free(struct lz_process_tree *tree);

/* Looks at all; `seen` (may be NULL) gets each. Returns false when none lives or there is no memory. */
typedef void lz_process_tree_visit(void *context, const struct lz_process *process);
bool lz_process_tree_sample(struct lz_process_tree *tree, struct lz_process_tree_totals *sum,
	lz_process_tree_visit *visit, void *context);

/* Whether it is time for a look: not yet when the last one took so long that looking took a tenth of the
 * time. */
bool lz_process_tree_sample_due(const struct lz_process_tree *tree);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t lz_monotonic_ns(void);

#endif
