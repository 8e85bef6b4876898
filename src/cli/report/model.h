/* The reports of programs (sites/report.h) after parsing: call sites, live regions and processes, merged. */
#ifndef LZ_CLI_REPORT_MODEL_H
#define LZ_CLI_REPORT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LZ_REPORT_CELLS 256u

/*
 * For each cell of a range one digit, 0 to 9: the share of pages written, and of pages only read. Empty:
 * unknown.
 */
struct lz_touch_map {
	char written[LZ_REPORT_CELLS + 1], zero[LZ_REPORT_CELLS + 1];
};

/* Figures as in sites/sites.h; UINT64_MAX: not known. All members are of type uint64_t. */
struct lz_report_usage {
	uint64_t count, asked, peak, alive, regions, bytes;
	uint64_t written, zero, untouched, tables, window_tables, full_tables;
	uint64_t written_zero; /* the part of `written` that holds only zeros, estimated */
};

/* Bits. */
enum lz_report_backing {
	LZ_REPORT_BACKING_ZEROPAGE = 1,
	LZ_REPORT_BACKING_WINDOW = 2,
	LZ_REPORT_BACKING_BOTH = 3
};

/* An object file with code, or a source file of a Python program. */
struct lz_report_module {
	char *path;
	char *build_id; /* hexadecimal; "": it has none */
	uint64_t inode;
	bool deleted, is_source;
	struct timespec report_time; /* modification time of the report file, an upper bound */
};

/* A function, file and line; NULL and 0 if unknown. */
struct lz_report_place {
	char *function, *file;
	int line;
	bool passes_on; /* set by headline.c: it only passes requests on */
};

/*
 * A return address, or a frame of a Python program (python.h). Its places are set by symbols.c: the function
 * that contains it last, before that the functions that were inlined there, innermost first.
 */
struct lz_report_address {
	size_t module;   /* index; SIZE_MAX: unknown */
	uint64_t offset; /* in the module, or the address if the module is unknown */
	struct lz_report_place *places;
	size_t place_count;
	bool passes_on; /* set by headline.c: all of its places, or its module, only pass requests on */
};

/* A call site, over all processes: a stack. */
struct lz_report_site {
	char call[24];
	size_t *frames; /* indices of addresses, innermost first */
	size_t frame_count;
	struct lz_report_usage sum;
	enum lz_report_backing backing;
	bool is_shared;            /* other processes may use its memory */
	uint64_t waste;            /* bytes at the peak that were not written, or hold only zeros */
	struct lz_touch_map freed; /* of the largest freed region */
	uint64_t freed_bytes;
	/*
	 * What the site is called by, set by headline.c: the innermost frame that is the user's, not of a
	 * library that passes requests on. The texts belong to the addresses and modules; NULL or 0 if
	 * unknown.
	 */
	size_t headline_frame, headline_place;
	const char *function, *file, *module;
	int line;
	uint64_t offset;
};

/* A region that was live when the report was written. */
struct lz_report_region {
	size_t process, site; /* indices */
	uint64_t base;
	struct lz_report_usage sum;
	enum lz_report_backing backing;
	struct lz_touch_map map;
};

struct lz_report_process {
	uint64_t pid, start_time;
	char executable[64];
	char reason[16];  /* "exit", "signal", or for one that wrote no report: "killed", "running", "exec" */
	double age;       /* s: how long before its end its memory was looked at; negative: never */
	bool complete;    /* the end of its report was found */
	uint64_t alive;   /* live regions */
	uint64_t omitted; /* live regions that the report does not list, because there were too many */
	/* Mappings that belong to no call site, and their bytes; UINT64_MAX: unknown. */
	uint64_t unlisted, unlisted_bytes;
	/* Zeros that large memset calls asked for, and those that had to be written; UINT64_MAX: unknown. */
	uint64_t memset_bytes, memset_written;
	struct timespec report_time; /* modification time of the report file */
};

struct lz_report {
	struct lz_report_module *modules;
	struct lz_report_address *addresses;
	size_t module_count, address_count;
	struct lz_report_process *processes;
	struct lz_report_site *sites;
	struct lz_report_region *regions;
	size_t process_count, site_count, region_count;
	/*
	 * Set by lz_report_sort: the places that zero memory by calls of memset, which own none. They follow
	 * the other sites in the same array.
	 */
	struct lz_report_site *zeroers;
	size_t zeroer_count;
	size_t unparsed_lines;
};

void lz_report_free(struct lz_report *report);

/* Whether a site is a place that zeroes memory, not one that allocates it. */
bool lz_report_site_zeroes(const struct lz_report_site *site);

/*
 * Sorts the sites by waste, in descending order, and separates those that zero memory, sorted by what they
 * wrote. Regions keep their sites.
 */
void lz_report_sort(struct lz_report *report);

/* Adds the figures of a usage to a sum. What is unknown makes the sum unknown. */
void lz_report_usage_add(struct lz_report_usage *sum, const struct lz_report_usage *usage);

/* Scales a sum over all regions of a site to the site's peak. */
uint64_t lz_report_scale_to_peak(const struct lz_report_site *site, uint64_t sum);

#endif
