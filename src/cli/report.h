/*
 * The reports of programs (sites/report.h), read, merged and told.
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
struct lz_picture {
	char written[LZ_REPORT_CELLS + 1], zero[LZ_REPORT_CELLS + 1];
};

/* Numbers as sites/sites.h has them; UINT64_MAX: not known. */
struct lz_figures {
	uint64_t count, asked, peak, alive, regions, bytes;
	uint64_t written, zero, untouched, tables, window_tables, full_tables;
};

enum lz_stood { LZ_STOOD_ZEROPAGE = 1, LZ_STOOD_WINDOW = 2, LZ_STOOD_BOTH = 3 };

/* A call site, of all processes together. */
struct lz_reported_site {
	char call[24];
	char *module; /* the path of its file; NULL: not known */
	uint64_t inode;
	bool deleted;
	struct timespec told; /* when the report was written, at the latest */
	uint64_t offset;      /* in the module, else the address */
	struct lz_figures sum;
	enum lz_stood stood;
	uint64_t waste; /* bytes at its peak that were not written */
	struct lz_picture freed;
	uint64_t freed_bytes;
	/* report_symbols.c: NULL or 0 where not known */
	char *function, *file;
	int line;
};

/* A region that was alive. */
struct lz_reported_region {
	size_t process, site;
	uint64_t base;
	struct lz_figures sum;
	enum lz_stood stood;
	struct lz_picture map;
};

struct lz_reported_process {
	uint64_t pid, start_time;
	char executable[64], reason[16];
	bool complete;
	uint64_t alive;    /* regions */
	uint64_t left_out; /* more of them, that were not looked at */
};

struct lz_report_read {
	struct lz_reported_process *processes;
	struct lz_reported_site *sites;
	struct lz_reported_region *regions;
	size_t process_count, site_count, region_count;
	size_t not_understood; /* lines */
};

/* Adds what a file holds. Returns 0, or the exit status after saying what is wrong. */
int lz_report_read_file(struct lz_report_read *report, const char *path);
void lz_report_free(struct lz_report_read *report);

/* Sorts the sites: those that waste most first. Regions keep to theirs. */
void lz_report_sort(struct lz_report_read *report);

/* Finds function, file and line of every site. */
void lz_report_resolve(struct lz_report_read *report);

/* What a person should know of a site, in plain words; "" where there is nothing to say. */
void lz_report_hint(const struct lz_reported_site *site, char *hint, size_t capacity);

/* A sentence to be said once of all sites, or NULL. */
const char *lz_report_caution(const struct lz_report_read *report);

/* "sparse (t.c:17)", "libx.so+0x119c". */
void lz_report_place(const struct lz_reported_site *site, char *place, size_t capacity);

/* `part` of `whole` as percent: "0%", "<1%", "50%", ">99%", "100%"; "?" where not known. */
void lz_report_percent(uint64_t part, uint64_t whole, char *percent, size_t capacity);

/* Its value at the peak of the site, of one that sums over all its regions. */
uint64_t lz_report_at_peak(const struct lz_reported_site *site, uint64_t sum);

void lz_report_text(const struct lz_report_read *report, size_t sites_max);
int lz_report_json(const struct lz_report_read *report);

struct lz_record;

/* One self-contained page; record is NULL where there is none. Returns 0 or the exit status. */
int lz_report_html(const struct lz_report_read *report, const struct lz_record *record, const char *path);

#endif
