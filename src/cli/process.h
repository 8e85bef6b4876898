/*
 * One process as /proc shows it: sizes, page tables now, and page tables if all that it maps were touched.
 *
 * `root` is a prefix of /proc: "" for this machine, or a recorded tree. What could not be read is LZ_UNKNOWN.
 * Processes end while they are read: -ESRCH then, from every function.
 */
#ifndef LZ_CLI_PROCESS_H
#define LZ_CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pagetables/geometry.h"
#include "lazyzero/wire.h"

#define LZ_UNKNOWN UINT64_MAX
#define LZ_LARGEST_MAX 5u

/* What to read besides /proc/PID/status and stat, which take 30 us together. */
enum {
	LZ_READ_PSS = 1,  /* smaps_rollup: the kernel walks all page tables */
	LZ_READ_MAPS = 2, /* maps: the page tables if touched, and the library's counters */
};

/* A mapping, or neighbouring ones of the same file and rights. */
struct lz_large {
	uint64_t start, size;
	uint64_t touched; /* page tables that it would add */
	char rights[5];   /* "rw-p" */
	char path[128];   /* "" for anonymous memory */
};

struct lz_process {
	uint64_t pid, parent;
	uint64_t uid;
	uint64_t start_time; /* clock ticks after boot */
	uint64_t threads;
	char state; /* field 3 of stat */
	uint64_t minor_faults, major_faults;
	uint64_t virtual, rss, rss_shmem, pss, swap; /* bytes, as all below */
	uint64_t tables;                             /* VmPTE */
	uint64_t touched;                            /* VmPTE if all were touched */
	uint64_t ratio;                              /* tables to RSS, in thousandths */
	uint64_t mappings;
	int maps_error, pss_error; /* 0, or why they could not be read: -errno */
	char name[64];             /* as the kernel has it */
	unsigned large_count;      /* the mappings with the largest `touched`, largest first */
	struct lz_large large[LZ_LARGEST_MAX];
	bool preloaded; /* the library's counters are known */
	struct lz_wire wire;
};

/* Whether it has memory of its own: kernel threads and zombies have none. */
static inline bool lz_process_has_memory(const struct lz_process *process)
{
	return process->virtual != LZ_UNKNOWN;
}

/* A process of which only the pid is known. */
void lz_process_unknown(struct lz_process *process, pid_t pid);

/* Reads one process; `parts` is of LZ_READ_*. Returns 0, or -ESRCH, -EACCES and the like. */
int lz_process_read(const char *root, const struct lz_geometry *geometry, pid_t pid, unsigned parts,
	struct lz_process *process);

/* Only its start time; 0 when there is no such process, or it has ended and its parent has not asked yet. */
uint64_t lz_process_start_time(const char *root, pid_t pid);

/* All process IDs, ascending; to be freed. Returns 0 or -errno. */
int lz_process_list(const char *root, pid_t **pids, size_t *count);

/* Whether /proc hides other users' processes from this one (mount option hidepid). */
bool lz_process_hidden(const char *root);

#endif
