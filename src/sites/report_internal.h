/* What report.c and report_lines.c share. */
#ifndef LZ_SITES_REPORT_INTERNAL_H
#define LZ_SITES_REPORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/report.h"

#define LZ_REPORT_LIVE_MAX 65536u /* regions that are looked at; as many mappings as a process may have */

struct lz_live_region {
	uintptr_t base;
	size_t length;
	uint16_t site;
	bool on_window;
};

/* A mapping of its own, most of which is never touched. */
struct lz_report {
	struct lz_sites sites;
	_Atomic uint32_t busy; /* somebody writes a report, and what follows is theirs */
	bool failure_logged;   /* that the file cannot be written was said */
	uint64_t start_time;
	char path[2 * LZ_OPTION_TEXT_MAX]; /* absolute, with its % sequences */
	char executable[64];
	int fd, error;
	uint64_t lines, left_out;
	size_t live_count;
	struct lz_live_region live[LZ_REPORT_LIVE_MAX];
	struct lz_site_usage live_usage[LZ_SITES];
	size_t used;
	char buffer[16384];
	char line[2048];                               /* the one that is being made */
	char opened_path[2 * LZ_OPTION_TEXT_MAX + 96]; /* path, expanded */
};

/* What is seen of one region, and what it takes to look: in a scratch buffer, not on a stack. */
struct lz_inspection {
	struct lz_site_usage usage;
	struct lz_cell_map cells; /* its picture */
	struct lz_census census;
	struct lz_census_map map;
};

/* Looks at a region. lz_scratch_release follows; NULL where there is no memory to look. */
struct lz_inspection *lz_report_inspect(
	struct lz_reporter *reporter, uintptr_t start, uintptr_t end, bool on_window);

/* Writes all lines to report->fd, whose regions alive are noted; report->error says how that went. */
void lz_report_write_lines(struct lz_reporter *reporter, const char *reason);

#endif
