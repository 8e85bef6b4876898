/* Processes of which something could not be read: how many, and the first of them, for one message about all.
 */
#ifndef LZ_CLI_PROCESS_UNREADABLE_H
#define LZ_CLI_PROCESS_UNREADABLE_H

#include "cli/process/process.h"

/* All zero at the start. */
struct lz_unreadable {
	size_t count;
	struct lz_process first;
	int error; /* -errno */
};

void lz_unreadable_add(struct lz_unreadable *unreadable, const struct lz_process *process, int error);

/* Prints "cannot read WHAT of PID ...", if there is a process. */
void lz_unreadable_report(const struct lz_unreadable *unreadable, const char *what);

/* The same for processes of which the library's counters could not be read (lz_mappings.wire_error). */
void lz_unreadable_report_counters(const struct lz_unreadable *unreadable);

#endif
