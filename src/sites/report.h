/*
 * The report of LAZYZERO_REPORT: JSON lines, at exit or at a signal, of what became of the regions that each
 * call site made. `lazyzero report` reads them.
 *
 * reporter->report is NULL where no report is asked for: one test for each region made or freed. A region is
 * looked at when it goes, and all that are alive when the report is written. Safe in signal handlers; a
 * report that is asked for while one is written is left out. Thread-safe; functions take the lock of the
 * books where they need it.
 *
 * Each line has "pid". First {"lazyzero_report":1,...}, which begins a report of that process and voids an
 * earlier one of it; then {"module":N,...}, {"site":N,...}, {"region":"0x...",...}; {"end":lines} last. Sizes
 * are bytes, null what is not known. "written" and "zero" of a picture are strings of a digit for each of
 * equal parts, 0 for nothing, 9 for all of it.
 */
#ifndef LZ_SITES_REPORT_H
#define LZ_SITES_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"
#include "accounting/request.h"
#include "sites/sites.h"

#define LZ_REPORT_VERSION 1

struct lz_report;

struct lz_reporter {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_options *options;
	struct lz_log *log;
	struct lz_report *report; /* NULL: none is asked for */
};

/*
 * Sets up what a report needs, where the options ask for one, and logs what is wrong with its file. Nothing
 * is cached then: a region that is reused would be told as written by its next owner.
 */
void lz_report_open(struct lz_reporter *reporter, const char *executable);

/* The signal to report at, by the options; 0: none. */
int lz_report_signal(const struct lz_reporter *reporter);

/* A region stands at p, for a request. */
void lz_report_region_made(struct lz_reporter *reporter, const struct lz_request *request, const void *p);

/* A region of a site got another size, and is at p now. */
void lz_report_region_resized(struct lz_reporter *reporter, unsigned site, const void *p, size_t old_length);

/* [start, end) of a region is about to go: all of it, or what realloc cuts off. */
void lz_report_range_ends(
	struct lz_reporter *reporter, const struct lz_region_record *region, uintptr_t start, uintptr_t end);

/* Writes the report; `reason` is "exit" or "signal". */
void lz_report_write(struct lz_reporter *reporter, const char *reason);

#endif
