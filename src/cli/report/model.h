/* The reports of programs (core/report.h) after parsing: call sites, live regions and processes, merged. */
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

/* Figures as in sites/sites.h; UINT64_MAX: not known. */
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

/* A call site, over all processes. */
struct lz_report_site {
	char call[24];
	char *module; /* path of the file that contains the call; NULL: unknown */
	uint64_t inode;
	bool deleted;
	struct timespec report_time; /* modification time of the report file, an upper bound */
	uint64_t offset;             /* in the module, or the address if the module is unknown */
	struct lz_report_usage sum;
	enum lz_report_backing backing;
	uint64_t waste;            /* bytes at the peak that were not written, or hold only zeros */
	struct lz_touch_map freed; /* of the largest freed region */
	uint64_t freed_bytes;
	/* Set by symbols.c; NULL or 0 if unknown. */
	char *function, *file;
	int line;
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
	char executable[64], reason[16];
	bool complete;    /* the end of its report was found */
	uint64_t alive;   /* live regions */
	uint64_t omitted; /* live regions that the report does not list, because there were too many */
	/* Zeros that large memset calls asked for, and those that had to be written; UINT64_MAX: unknown. */
	uint64_t memset_bytes, memset_written;
};

struct lz_report {
	struct lz_report_process *processes;
	struct lz_report_site *sites;
	struct lz_report_region *regions;
	size_t process_count, site_count, region_count;
	size_t unparsed_lines;
};

void lz_report_free(struct lz_report *report);

/* Sorts the sites by waste, in descending order. Regions keep their sites. */
void lz_report_sort(struct lz_report *report);

/* Scales a sum over all regions of a site to the site's peak. */
uint64_t lz_report_scale_to_peak(const struct lz_report_site *site, uint64_t sum);

#endif
