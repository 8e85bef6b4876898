/* Fields of /proc/PID/stat (proc_pid_stat(5)). `root` is a prefix of /proc: "", or a recorded tree. */
#ifndef LZ_CLI_PROCESS_PROC_STAT_H
#define LZ_CLI_PROCESS_PROC_STAT_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* Stands for every number that could not be read. */
#define LZ_UNKNOWN UINT64_MAX

/* LZ_UNKNOWN for fields that are missing. */
struct lz_proc_stat {
	char state;                          /* field 3 */
	uint64_t minor_faults, major_faults; /* fields 10 and 12 */
	uint64_t start_time;                 /* field 22, clock ticks after boot */
};

/* The path of /proc/PID/FILE, or "" if it is too long. */
void lz_proc_path(char path[PATH_MAX], const char *root, pid_t pid, const char *file);

/* Returns 0, or -ESRCH if there is no such process, -EACCES and the like. */
int lz_proc_stat_read(const char *root, pid_t pid, struct lz_proc_stat *stat);

/* The start time alone; 0 if there is no such process or it is a zombie. */
uint64_t lz_process_start_time(const char *root, pid_t pid);

#endif
