/* What report.c and report_lines.c share. */
#ifndef LZ_SITES_REPORT_INTERNAL_H
#define LZ_SITES_REPORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/report.h"

#define LZ_REPORT_ALIVE 65536u /* regions that are looked at; as many mappings as a process may have */

struct lz_alive {
	uintptr_t base;
	size_t length;
	uint16_t site;
	bool on_window;
};

/* A mapping of its own, most of which is never touched. */
struct lz_report {
	struct lz_sites sites;
	_Atomic uint32_t busy; /* somebody writes a report, and what follows is theirs */
	bool broken;           /* that the file cannot be written was said */
	uint64_t start_time;
	char path[2 * LZ_OPTION_TEXT_MAX]; /* absolute, with its % sequences */
	char executable[64];
	int fd, error;
	uint64_t lines, left_out;
	size_t alive_count;
	struct lz_alive alive[LZ_REPORT_ALIVE];
	struct lz_fate alive_fate[LZ_SITES];
	size_t used;
	char buffer[16384];
	char line[2048];                          /* the one that is being made */
	char opened[2 * LZ_OPTION_TEXT_MAX + 96]; /* path, expanded */
};

/* What is seen of one region, and what it takes to look: in a scratch buffer, not on a stack. */
struct lz_look {
	struct lz_fate fate;
	struct lz_cells cells; /* its picture */
	struct lz_census census;
	struct lz_census_map map;
};

/* Looks at a region. lz_scratch_release follows; NULL where there is no memory to look. */
struct lz_look *lz_report_look(struct lz_reporter *reporter, uintptr_t start, uintptr_t end, bool on_window);

/* Writes all lines to report->fd, whose regions alive are noted; report->error says how that went. */
void lz_report_put(struct lz_reporter *reporter, const char *reason);

#endif
