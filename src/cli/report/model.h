/*
 * The reports of programs (core/report.h), read, merged and told.
 *
 * A report file may be cut, by a kill or a full disk, hold the reports of many processes, be of no report at
 * all, or be hostile: a line that is not understood is left out and counted.
 */
#ifndef LZ_CLI_REPORT_H
#define LZ_CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LZ_REPORT_CELLS 256u

/* Digits of a picture; empty: there is none. */
struct lz_touch_map {
	char written[LZ_REPORT_CELLS + 1], zero[LZ_REPORT_CELLS + 1];
};

/* Numbers as core/sites.h has them; UINT64_MAX: not known. */
struct lz_report_usage {
	uint64_t count, asked, peak, alive, regions, bytes;
	uint64_t written, zero, untouched, tables, window_tables, full_tables;
};

enum lz_report_backing {
	LZ_REPORT_BACKING_ZEROPAGE = 1,
	LZ_REPORT_BACKING_WINDOW = 2,
	LZ_REPORT_BACKING_BOTH = 3
};

/* A call site, of all processes together. */
struct lz_report_site {
	char call[24];
	char *module; /* the path of its file; NULL: not known */
	uint64_t inode;
	bool deleted;
	struct timespec report_time; /* when the report was written, at the latest */
	uint64_t offset;             /* in the module, else the address */
	struct lz_report_usage sum;
	enum lz_report_backing backing;
	uint64_t waste; /* bytes at its peak that were not written */
	struct lz_touch_map freed;
	uint64_t freed_bytes;
	/* report_symbols.c: NULL or 0 where not known */
	char *function, *file;
	int line;
};

/* A region that was alive. */
struct lz_report_region {
	size_t process, site;
	uint64_t base;
	struct lz_report_usage sum;
	enum lz_report_backing backing;
	struct lz_touch_map map;
};

struct lz_report_process {
	uint64_t pid, start_time;
	char executable[64], reason[16];
	bool complete;
	uint64_t alive;    /* regions */
	uint64_t left_out; /* more of them, that were not looked at */
};

struct lz_report {
	struct lz_report_process *processes;
	struct lz_report_site *sites;
	struct lz_report_region *regions;
	size_t process_count, site_count, region_count;
	size_t unparsed_lines; /* lines */
};

/* Adds what a file holds. Returns 0, or the exit status after saying what is wrong. */
int lz_report_read_file(struct lz_report *report, const char *path);
void lz_report_free(struct lz_report *report);

/* Sorts the sites: those that waste most first. Regions keep to theirs. */
void lz_report_sort(struct lz_report *report);

/* Finds function, file and line of every site. */
void lz_report_resolve(struct lz_report *report);

/* What a person should know of a site, in plain words; "" where there is nothing to say. */
void lz_report_hint(const struct lz_report_site *site, char *hint, size_t capacity);

/* A sentence to be said once of all sites, or NULL. */
const char *lz_report_unknown_note(const struct lz_report *report);

/* "sparse (t.c:17)", "libx.so+0x119c". */
void lz_report_site_name(const struct lz_report_site *site, char *place, size_t capacity);

/* `part` of `whole` as percent: "0%", "<1%", "50%", ">99%", "100%"; "?" where not known. */
void lz_report_percent(uint64_t part, uint64_t whole, char *percent, size_t capacity);

/* Its value at the peak of the site, of one that sums over all its regions. */
uint64_t lz_report_scale_to_peak(const struct lz_report_site *site, uint64_t sum);

void lz_report_print(const struct lz_report *report, size_t sites_max);
int lz_report_print_json(const struct lz_report *report);

struct lz_record;

/* One self-contained page; record is NULL where there is none. Returns 0 or the exit status. */
int lz_report_write_html(const struct lz_report *report, const struct lz_record *record, const char *path);

#endif
