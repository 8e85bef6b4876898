/*
 * The record of a run: the processes of the program as seen from outside ten times a second, more often at
 * its beginning, as JSON lines.
 *
 * The first line is {"lazyzero_record":1,"program":[...],"unix_time":...,"geometry":"..."}. Then a line for
 * each look: {"t":seconds,"processes":[{"pid":,"name":,"virtual":,"rss":,"shmem":,"pss":,"tables":,"minflt":,
 * "majflt":},...]}, sizes in bytes, null for what was not known. The last line is {"end":seconds,
 * "exit_status":,"signal":}; it is missing when the command was killed.
 */
#ifndef LZ_CLI_RECORD_H
#define LZ_CLI_RECORD_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/launch/child.h"
#include "cli/process/tree.h"

#define LZ_RECORD_VERSION 1

struct lz_recorder {
	FILE *file;
	const char *path;
	struct lz_process_tree tree;
	bool started, failed;
	bool progress; /* a line on standard error while it runs */
	bool progress_shown;
	uint64_t started_ns, sampled_ns, progress_ns;
};

/* Opens the file and writes its first line. Returns 0, or the exit status after saying what is wrong. */
int lz_recorder_open(struct lz_recorder *recorder, const char *path, char *const argv[]);

/* To be called as often as one likes, as struct lz_child_monitor does it. */
void lz_recorder_sample(void *recorder, pid_t pid);

/* Writes the last line. A file that could not be written is warned of; the run counts all the same. */
void lz_recorder_close(struct lz_recorder *recorder, const struct lz_child_result *result);

#endif
