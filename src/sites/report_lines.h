/*
 * The lines of a report (report.h), from the table of call sites. The library writes those of its own
 * process, the command those of a process that left its table in a file (sites_file.h).
 *
 * Call the functions in the order of their declaration; header, modules, sites and end once each. No heap.
 * Async-signal-safe; a writer is not shared between threads.
 */
#ifndef LZ_SITES_REPORT_LINES_H
#define LZ_SITES_REPORT_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "os/os.h"
#include "sites/sites.h"

#define LZ_REPORT_VERSION 1

/* Initialised with zeros, except for the members that are to be set. */
struct lz_report_writer {
	/* To be set: */
	const struct lz_os *os;
	const struct lz_site_table *table;
	int fd;
	uint64_t unlisted, unlisted_bytes; /* mappings of no site, and their bytes; UINT64_MAX: unknown */
	/* Usage of the live regions of each site; to be filled before the sites are written. */
	struct lz_site_usage live_usage[LZ_SITES];
	/* The result: 0, or -errno of a failed write; then nothing more is written. */
	int error;
	/* Private: */
	uint64_t lines;
	size_t used;
	char buffer[16384];
	char line[4096]; /* the line being built */
};

/* `alive` is the number of live regions, `left_out` of those that are not inspected. */
void lz_report_write_header(
	struct lz_report_writer *writer, const char *reason, uint64_t alive, uint64_t left_out);

void lz_report_write_modules(struct lz_report_writer *writer);

/* The line of a live region. Its usage is part of its site's, too: add it to live_usage. */
void lz_report_write_region(struct lz_report_writer *writer, uint64_t base, unsigned site,
	const struct lz_site_usage *usage, const struct lz_cell_map *cells);

void lz_report_write_sites(struct lz_report_writer *writer);

void lz_report_write_end(struct lz_report_writer *writer);

#endif
