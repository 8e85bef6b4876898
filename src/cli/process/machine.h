/*
 * Memory figures of the whole machine, from /proc/meminfo and the memory cgroup. `root` is as in process.h.
 */
#ifndef LZ_CLI_PROCESS_MACHINE_H
#define LZ_CLI_PROCESS_MACHINE_H

#include <stdint.h>

#include "cli/common/display.h"

/* Bytes; LZ_UNKNOWN if a figure could not be read. */
struct lz_machine {
	uint64_t memory;           /* MemTotal */
	uint64_t available;        /* MemAvailable */
	uint64_t tables;           /* PageTables, of all processes */
	uint64_t secondary_tables; /* SecPageTables, of virtual machines and devices (Linux 6.1) */
	uint64_t cgroup_tables;    /* `pagetables` of memory.stat in this process's cgroup; version 2 only */
};

void lz_machine_read(const char *root, struct lz_machine *machine);

/* A summary of at most 80 columns, without a newline. */
struct lz_display lz_machine_line(const struct lz_machine *machine);

#endif
