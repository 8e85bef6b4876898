/* Summary of the mappings of a process, from /proc/PID/maps. */
#ifndef LZ_CLI_PROCESS_MAPPINGS_H
#define LZ_CLI_PROCESS_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagetables/geometry.h"
#include "lazyzero/wire.h"

#define LZ_LARGEST_MAX 5u

/*
 * The name that the library gives to the memfd of a zero window. Reads of it map huge pages, also after some
 * of its pages have been written.
 */
#define LZ_WINDOW_PREFIX "/memfd:lazyzero"

/* A mapping, or adjacent ones of the same file and with the same permissions. */
struct lz_large_mapping {
	uint64_t start, size;
	uint64_t tables_if_touched; /* bytes; without tables shared with mappings below */
	char rights[5];             /* "rw-p" */
	char path[128];             /* as in maps; "" for anonymous memory */
};

/* Sizes in bytes. */
struct lz_mappings {
	uint64_t count;             /* LZ_UNKNOWN if the file could not be read, as tables_if_touched */
	uint64_t tables_if_touched; /* VmPTE if every mapped page were touched */
	unsigned largest_count;
	struct lz_large_mapping largest[LZ_LARGEST_MAX]; /* by tables_if_touched, in descending order */
	bool preloaded;                                  /* the library is active in the process */
	bool in_page;        /* its counters were found in memory, not in a file */
	int wire_error;      /* -errno if its counters could not be read; `wire` is then not set */
	struct lz_wire wire; /* its counters */
};

/*
 * Reads /proc/PID/maps. `start_time` of the process tells its statistics file from another process's. Returns
 * 0 or -errno; *mappings is always set.
 */
int lz_mappings_read(const char *root, const struct lz_geometry *geometry, uint64_t pid, uint64_t start_time,
	struct lz_mappings *mappings);

#endif
