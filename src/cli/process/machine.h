/* Figures of the whole machine, in front of those of processes; see process.h for `root` and LZ_UNKNOWN. */
#ifndef LZ_CLI_MACHINE_H
#define LZ_CLI_MACHINE_H

#include <stdint.h>

#include "cli/common/command.h"

/* Bytes. */
struct lz_machine {
	uint64_t memory;           /* MemTotal */
	uint64_t available;        /* MemAvailable */
	uint64_t tables;           /* PageTables: of all processes */
	uint64_t secondary_tables; /* SecPageTables: of virtual machines and devices (Linux 6.1) */
	uint64_t cgroup_tables;    /* of this control group; only version 2 counts them */
};

void lz_machine_read(const char *root, struct lz_machine *machine);

/* The line that tells them, at most 80 columns and without a newline. */
struct lz_display lz_machine_line(const struct lz_machine *machine);

#endif
