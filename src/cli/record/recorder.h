/*
 * Writes the record of a run (record/format.h): samples the processes of the program ten times a second, more
 * often at the beginning.
 */
#ifndef LZ_CLI_RECORD_RECORDER_H
#define LZ_CLI_RECORD_RECORDER_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/launch/child.h"
#include "cli/process/tree.h"

struct lz_recorder {
	FILE *file;
	const char *path;
	struct lz_process_tree tree;
	bool started, failed;
	bool progress; /* print a progress line on standard error while the program runs */
	bool progress_shown;
	uint64_t started_ns, sampled_ns, progress_ns;
};

/* Opens the file and writes its first line. Returns 0, or the exit status after an error message. */
int lz_recorder_open(struct lz_recorder *recorder, const char *path, char *const argv[]);

/* Takes a sample if one is due; for struct lz_child_monitor, so it may be called at any rate. */
void lz_recorder_sample(void *recorder, pid_t pid);

/* Writes the last line and closes the file. Earlier write errors were only warned of. */
void lz_recorder_close(struct lz_recorder *recorder, const struct lz_child_result *result);

#endif
