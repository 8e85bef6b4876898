/*
 * The page tables of all processes of a run: the peak of each process, and that of all together.
 *
 * The peak of a process is the higher of two: that seen from outside, where the process and its descendants
 * are sampled, and that in the statistics file that the library leaves (lazyzero/wire.h). The samples see
 * processes that are killed or call _exit, and those without the library; the files those that end between
 * two samples. What all processes had at one time is known from the samples alone, which need
 * CONFIG_PROC_CHILDREN for descendants (process/tree.h).
 */
#ifndef LZ_CLI_RUN_PEAKS_H
#define LZ_CLI_RUN_PEAKS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/process/tree.h"
#include "lazyzero/wire.h"

/* One process; the pid is reused during a long run, together with the start time it is not. */
struct lz_process_peak {
	uint64_t pid;
	uint64_t start_time; /* 0: not known */
	uint64_t tables;     /* bytes */
	char name[64];       /* "": not known */
};

/* All zero at the start of a run. */
struct lz_run_peaks {
	struct lz_process_tree tree;
	bool started;
	uint64_t next_sample_ns;    /* lz_monotonic_ns */
	uint64_t together;          /* highest sum in one sample, bytes */
	struct lz_process_peak *of; /* by process; one may have several entries until they are summed up */
	size_t count;
};

/* Bytes. */
struct lz_run_peak_totals {
	uint64_t processes; /* of which page tables are known */
	uint64_t together;  /* highest seen at one time; at least `largest` */
	uint64_t largest;   /* of one process */
	struct lz_process_peak largest_process;
	uint64_t over_limit; /* processes */
	uint64_t sum;        /* of the peaks of all processes, an upper bound of what they had at one time */
};

/*
 * Samples the processes if that is due; for struct lz_child_monitor. Uses at most a fiftieth of the time,
 * or a tenth if there are so many processes that it would sample them less than once a second.
 */
void lz_run_peaks_sample(void *peaks, pid_t pid);

/* Adds what is known of one process. */
void lz_run_peaks_add(
	struct lz_run_peaks *peaks, uint64_t pid, uint64_t start_time, uint64_t tables, const char *name);

/* Adds the peak in a statistics file. */
void lz_run_peaks_add_file(struct lz_run_peaks *peaks, const struct lz_wire *wire);

/*
 * Sums up, and counts the processes with more than `limit` bytes. To be called once, after the run. Nothing
 * can be added after it.
 */
struct lz_run_peak_totals lz_run_peaks_sum(struct lz_run_peaks *peaks, uint64_t limit);

void lz_run_peaks_free(struct lz_run_peaks *peaks);

#endif
