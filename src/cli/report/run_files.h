/* The report and the record of a program that `lazyzero report` runs. */
#ifndef LZ_CLI_REPORT_RUN_FILES_H
#define LZ_CLI_REPORT_RUN_FILES_H

#include <limits.h>

/* The paths of the files of one run; those that the user did not name are in a temporary directory. */
struct lz_run_files {
	char directory[PATH_MAX], report[PATH_MAX + 16], record[PATH_MAX + 16];
};

/*
 * Makes the directory, and sets LAZYZERO_REPORT if the user has not. `record` is the path that the user gave
 * for the record, or NULL. Returns 0, or the exit status after an error message.
 */
int lz_run_files_prepare(struct lz_run_files *files, const char *record);

/* Removes the directory and the files in it. */
void lz_run_files_remove(const struct lz_run_files *files);

#endif
