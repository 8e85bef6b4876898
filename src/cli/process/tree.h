/*
 * Samples a process and its descendants from outside: finds its new children and sums up their memory.
 *
 * Descendants are found through /proc/PID/task/TID/children and remain known after their parent has ended.
 * Without CONFIG_PROC_CHILDREN only the first process is seen. To report PSS the kernel walks page tables, so
 * PSS is read less often the longer that takes: reading it uses at most a twentieth of the time.
 */
#ifndef LZ_CLI_PROCESS_TREE_H
#define LZ_CLI_PROCESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/process/process.h"

struct lz_process_tree_member {
	pid_t pid;
	uint64_t start_time;
	uint64_t pss;     /* as last read; LZ_UNKNOWN: not read yet */
	uint64_t pss_rss; /* RSS without shared memory at that time */
};

struct lz_process_tree {
	struct lz_process_tree_member *members;
	size_t count;
	uint64_t next_pss_ns, next_sample_ns; /* lz_monotonic_ns */
	bool without_pss;                     /* PSS is never read; set after lz_process_tree_init */
};

/* Sums over the living processes; sizes in bytes. */
struct lz_process_tree_totals {
	uint64_t processes;
	uint64_t virtual, rss, pss, tables;
	uint64_t minor_faults, major_faults;
};

void lz_process_tree_init(struct lz_process_tree *tree, pid_t root);
void lz_process_tree_free(struct lz_process_tree *tree);

/* Reads all processes and calls `visit` (may be NULL) for each. Returns false if none is alive. */
typedef void lz_process_tree_visit(void *context, const struct lz_process *process);
bool lz_process_tree_sample(struct lz_process_tree *tree, struct lz_process_tree_totals *sum,
	lz_process_tree_visit *visit, void *context);

/* Whether the next sample may be taken, so that sampling uses at most a tenth of the time. */
bool lz_process_tree_sample_due(const struct lz_process_tree *tree);

#endif
