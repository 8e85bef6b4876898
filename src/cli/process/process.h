/*
 * One process as /proc shows it: memory, page tables now, and page tables if every mapped page were touched.
 *
 * `root` is a prefix of /proc: "" for this machine, or a recorded tree. Numbers that could not be read are
 * LZ_UNKNOWN. A process may end while it is read; every function then returns -ESRCH.
 */
#ifndef LZ_CLI_PROCESS_PROCESS_H
#define LZ_CLI_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/process/mappings.h"
#include "cli/process/proc_stat.h"
#include "cli/process/stats_file.h"
#include "pagetables/geometry.h"

/* What to read in addition to /proc/PID/status and stat, which together take 30 us. */
enum {
	LZ_READ_PSS = 1,  /* smaps_rollup, for which the kernel walks all page tables */
	LZ_READ_MAPS = 2, /* maps, for struct lz_mappings */
};

/* Sizes in bytes. */
struct lz_process {
	uint64_t pid, parent;
	uint64_t own_pid; /* in its own PID namespace */
	uint64_t uid;
	uint64_t threads;
	struct lz_proc_stat stat;
	uint64_t virtual, rss, rss_shmem, pss, swap;
	uint64_t tables;           /* VmPTE */
	uint64_t tables_to_rss;    /* ratio in thousandths */
	int maps_error, pss_error; /* 0, or -errno of the failed read */
	char name[64];             /* the kernel's name of the process (comm) */
	struct lz_mappings mappings;
};

/* Whether the process has memory of its own; kernel threads and zombies have none. */
static inline bool lz_process_has_memory(const struct lz_process *process)
{
	return process->virtual != LZ_UNKNOWN;
}

/*
 * The owner of a statistics file. Of a living one /proc is asked, unless its pid is another process's there
 * (the file may be of another PID namespace); else nothing but the counters is known.
 */
void lz_process_of_stats_file(
	struct lz_process *process, const struct lz_wire *wire, enum lz_stats_owner owner);

/*
 * Sets the library's counters that are the kernel's figures, page tables and faults, to those of now: the
 * library reads them rarely.
 */
void lz_process_update_counters(struct lz_process *process);

/* Sets every number but the pid to LZ_UNKNOWN. */
void lz_process_init(struct lz_process *process, pid_t pid);

/* Sets tables_to_rss from `tables` and `rss`, if both are known. */
void lz_process_set_ratio(struct lz_process *process);

/* Reads one process; `read_flags` are of LZ_READ_*. Returns 0, or -ESRCH, -EACCES and the like. */
int lz_process_read(const char *root, const struct lz_geometry *geometry, pid_t pid, unsigned read_flags,
	struct lz_process *process);

/* All process IDs, ascending, in an array to be freed. Returns 0 or -errno. */
int lz_process_list(const char *root, pid_t **pids, size_t *count);

/* Whether /proc hides the processes of other users (mount option hidepid). */
bool lz_process_hidepid(const char *root);

#endif
