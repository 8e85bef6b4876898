/* The tables of call sites that processes left in the files of a report, and why. */
#ifndef LZ_CLI_REPORT_LEFT_TABLES_H
#define LZ_CLI_REPORT_LEFT_TABLES_H

#include <stdbool.h>

#include "cli/report/model.h"
#include "cli/report/sites_file.h"

struct lz_left_tables {
	struct lz_sites_files files;
	const char **reason; /* of each file, as lz_left_report_reason; NULL: the file is to be left out */
};

/* Maps the files that belong to a report. Returns 0, or the exit status after an error message. */
int lz_left_tables_map(struct lz_left_tables *left, const char *path);
void lz_left_tables_unmap(struct lz_left_tables *left);

/*
 * Decides between a report that a process wrote and the file that it left. A report that was written on a
 * signal is what its reader asked for while the process runs: then the file is left out. It is older than the
 * file of a process that was killed: then returns true. A process that wrote a report at exit left the file
 * when it executed the program that wrote the report: the reason becomes "exec".
 */
bool lz_left_tables_supersede(struct lz_left_tables *left, const struct lz_report_process *process);

#endif
