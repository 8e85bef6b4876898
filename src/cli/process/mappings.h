/* The mappings of a process, for the part of struct lz_process that comes from them; see process.h. */
#ifndef LZ_CLI_MAPPINGS_H
#define LZ_CLI_MAPPINGS_H

#include "cli/process/process.h"

/*
 * Reads /proc/PID/maps of process->pid: how many mappings there are, the page tables if all were touched, the
 * largest of them, and the library's counters where it has a statistics file mapped. Returns 0 or -errno.
 */
int lz_mappings_read(const char *root, const struct lz_geometry *geometry, struct lz_process *process);

#endif
