/*
 * The report of LAZYZERO_REPORT: JSON lines, at exit or at a signal, of what became of the regions that each
 * call site made. `lazyzero report` reads them.
 *
 * core->report is NULL where none is asked for: one test for each region made or freed. A region is looked at
 * when it goes, and all that are alive when the report is written. Safe in signal handlers; a report that is
 * asked for while one is written is left out.
 *
 * Each line has "pid". First {"lazyzero_report":1,...}, which begins a report of that process and voids an
 * earlier one of it; then {"module":N,...}, {"site":N,...}, {"region":"0x...",...}; {"end":lines} last. Sizes
 * are bytes, null what is not known. "written" and "zero" of a picture are strings of a digit for each of
 * equal parts, 0 for nothing, 9 for all of it.
 */
#ifndef LZ_CORE_REPORT_H
#define LZ_CORE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "sites/sites.h"

struct lz_core;
struct lz_request;
struct lz_served;

#define LZ_REPORT_VERSION 1

/* Makes what a report needs, where the options ask for one; says what is wrong with its file. */
void lz_report_open(struct lz_core *core, const char *executable);

/* The signal to report at, by the options; 0: none. */
int lz_report_signal(const struct lz_core *core);

/* A region stands at p, for a request. */
void lz_report_made(struct lz_core *core, const struct lz_request *request, const void *p);

/* A region of a site got another size, and is at p now. */
void lz_report_resized(struct lz_core *core, unsigned site, const void *p, size_t old_length);

/* [start, end) of a region is about to go: all of it, or what realloc cuts off. */
void lz_report_going(struct lz_core *core, const struct lz_served *region, uintptr_t start, uintptr_t end);

/* Writes the report; `reason` is "exit" or "signal". */
void lz_report_write(struct lz_core *core, const char *reason);

/* In a forked child: what was counted, and the regions it inherited, are the parent's to tell. With the lock.
 */
void lz_report_after_fork(struct lz_core *core);

#endif
