/*
 * The live statistics of a process: their layout, for programs that read them while the process runs or after
 * its end.
 *
 * By default they are in a page of the process's memory. It is a mapping of its own in /proc/PID/maps, named
 * LZ_WIRE_MEMORY_NAME where the kernel names memory, and it can be read with process_vm_readv(2). In a forked
 * child that has made no large request yet, `pid` is that of its parent, and the totals are the parent's.
 *
 * With LAZYZERO_STATS they are in a file, one for each process, created with mode 0600 and mapped shared.
 *
 * Written with relaxed atomic stores of aligned 64-bit fields: every field by itself is whole, several
 * together may be a moment apart. All numbers are in the byte order of the machine; all sizes are bytes. A
 * later version only adds fields at the end: read no more than `size` bytes, and refuse another `version`.
 */
#ifndef LAZYZERO_WIRE_H
#define LAZYZERO_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define LZ_WIRE_MAGIC "LZSTATS"
#define LZ_WIRE_VERSION 1u
#define LZ_WIRE_FILE_BYTES 4096u /* the file's length, of which `size` bytes have a meaning */
#define LZ_WIRE_MEMORY_NAME "lazyzero statistics" /* "[anon:lazyzero statistics]" in /proc/PID/maps */

enum lz_wire_state {
	LZ_WIRE_RUNNING = 1, /* or killed before it could say otherwise: look whether pid lives */
	LZ_WIRE_EXITED = 2,
	LZ_WIRE_IN_FILE = 3 /* in memory only: the counters are in the file that LAZYZERO_STATS names */
};

struct lz_wire {
	char magic[8]; /* LZ_WIRE_MAGIC and its NUL */
	uint32_t version;
	uint32_t size;       /* sizeof(struct lz_wire) of the writer */
	uint64_t pid;        /* with start_time, says which process; a pid alone is reused */
	uint64_t start_time; /* clock ticks after boot: field 22 of /proc/PID/stat; 0: not in a file */
	uint64_t state;      /* enum lz_wire_state */

	/* Page tables. UINT64_MAX: not known yet. */
	uint64_t budget;
	uint64_t committed; /* what touching everything tracked would need */
	uint64_t committed_peak;
	uint64_t actual; /* VmPTE when the library last read it */
	uint64_t actual_peak;

	/* Regions served in place of the allocator below. */
	uint64_t regions;            /* live */
	uint64_t region_bytes;       /* live */
	uint64_t regions_total;      /* ever */
	uint64_t region_bytes_total; /* ever */

	/* The program's own mappings of at least the threshold. */
	uint64_t mappings_total;
	uint64_t mapping_bytes_total;

	/* Requests over the budget. */
	uint64_t over_budget; /* served all the same, by policy log */
	uint64_t refused;

	uint64_t untracked; /* calls that passed by untracked: re-entered, or the lock was not to be had */

	char executable[64]; /* base name, NUL-terminated */
	char budget_source[64];

	/* The zero window. */
	uint64_t windowed;             /* requests over the budget that it answered within the budget */
	uint64_t window_regions_total; /* regions and mappings of the program ever put on it */
	uint64_t window_bytes_total;
	uint64_t window_size;     /* memory of its own, once for all regions; 0 without one */
	uint64_t window_mappings; /* that live regions on it consist of */
	/* Of the resident memory that the kernel reports, what was mapped to the window: it takes none.
	 * Sampled when such regions go and at exit. */
	uint64_t window_resident_peak;

	/* Freed regions kept for reuse. */
	uint64_t recycled;       /* requests that one served */
	uint64_t recycled_bytes; /* of address space, ever */
	uint64_t cache_bytes;    /* what those kept now hold, at most */

	/* Of the live regions, those on a zero window; the others stand on the zero page. */
	uint64_t window_regions;
	uint64_t window_region_bytes;

	uint64_t minor_faults; /* of the process, when actual was last read */

	/* The program's calls of memset and its like that write zeros over at least the threshold. */
	uint64_t memset_bytes;         /* asked for, ever */
	uint64_t memset_written_bytes; /* that held something and were written, ever */
};

static_assert(offsetof(struct lz_wire, version) == 8, "wire layout");
static_assert(offsetof(struct lz_wire, pid) == 16, "wire layout");
static_assert(offsetof(struct lz_wire, budget) == 40, "wire layout");
static_assert(offsetof(struct lz_wire, regions) == 80, "wire layout");
static_assert(offsetof(struct lz_wire, over_budget) == 128, "wire layout");
static_assert(offsetof(struct lz_wire, executable) == 152, "wire layout");
static_assert(offsetof(struct lz_wire, windowed) == 280, "wire layout");
static_assert(offsetof(struct lz_wire, recycled) == 328, "wire layout");
static_assert(offsetof(struct lz_wire, window_regions) == 352, "wire layout");
static_assert(offsetof(struct lz_wire, memset_bytes) == 376, "wire layout");
static_assert(sizeof(struct lz_wire) == 392, "wire layout");
static_assert(sizeof(struct lz_wire) <= LZ_WIRE_FILE_BYTES, "wire layout");

#endif
