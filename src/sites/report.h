/*
 * The report of LAZYZERO_REPORT: JSON lines, written at exit or on a signal, about the use of the regions
 * that each call site allocated. `lazyzero report` reads them.
 *
 * reporter->report is NULL if no report is requested; then each allocation or free costs one test. A region
 * is inspected when it is freed, and live regions when the report is written. The table of sites is in a file
 * of its own beside the report, from the first region on, so that it survives a process that is killed
 * (sites_file.h); that file is removed once the report is written at exit. Safe in signal handlers; a
 * report that is requested while another is being written is skipped. Thread-safe; functions take the lock of
 * the books where they need it.
 *
 * Each line has "pid". {"lazyzero_report":1,...} comes first; it begins a report of that process and replaces
 * an earlier one. Then come {"module":N,...}, {"python":N,...} (a file, function and line of a Python
 * program),
 * {"site":N,...} and {"region":"0x...",...}, and {"end":lines} last. A site's "stack" has pairs of a module
 * and an offset, innermost first; where a call of CPython's interpreter runs frames of a program, their
 * number follows as a third element. "python" has the numbers of these frames' places, innermost first; what
 * is left over belongs further out than the stack reaches. Sizes are in bytes; null means unknown.
 * "written_zero" is an estimate, from a sample, of the part of "written" that holds only zeros. A map
 * ("map_written", "freed_zero" and so on) is a string with one digit for each of several equal parts of a
 * region: 0 for nothing, 9 for all of it.
 */
#ifndef LZ_SITES_REPORT_H
#define LZ_SITES_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"
#include "accounting/request.h"
#include "sites/sites.h"

struct lz_report;

struct lz_reporter {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_options *options;
	struct lz_log *log;
	struct lz_report *report; /* NULL: no report is requested */
};

/*
 * Sets up the report if the options request one, and logs problems with its file. Called before there are
 * threads. The cache must then drop the pages of what it keeps, or a reused region would have its old
 * contents counted as written by its next owner.
 */
void lz_report_open(struct lz_reporter *reporter, const char *executable);

/* Whether regions are to be reported: no longer once the program has installed a seccomp filter. */
static inline bool lz_report_is_active(const struct lz_reporter *reporter)
{
	return reporter->report != NULL && !reporter->books->disabled;
}

/* The signal number that requests a report, from the options; 0: none. Needs no lock. */
int lz_report_signal(const struct lz_reporter *reporter);

/* Notes that a region at p was allocated for a request. */
void lz_report_region_allocated(
	struct lz_reporter *reporter, const struct lz_request *request, const void *p);

/* Notes that a region of a site was resized from old_length bytes at old_base, and is now at p. */
void lz_report_region_resized(
	struct lz_reporter *reporter, unsigned site, uintptr_t old_base, const void *p, size_t old_length);

/*
 * Inspects [start, end) of a region before it is unmapped: the whole region, or the tail that realloc cuts
 * off.
 */
void lz_report_before_free(
	struct lz_reporter *reporter, const struct lz_region_record *region, uintptr_t start, uintptr_t end);

/*
 * Notes a mapping [start, end) that the program made by a call, unless it is within one that it made before:
 * programs reserve address space and map over it as they need it. `kind` in bits of enum lz_region_kind.
 */
void lz_report_mapping_made(struct lz_reporter *reporter, const struct lz_request *request, uintptr_t start,
	uintptr_t end, unsigned kind);

/* Inspects what is noted in [start, end) before it is unmapped, or something else is mapped over it. */
void lz_report_before_unmap(struct lz_reporter *reporter, uintptr_t start, uintptr_t end);

/* The same for a segment that is attached at an address, before it is detached. */
void lz_report_before_detach(struct lz_reporter *reporter, uintptr_t start);

/* Notes that mremap(2) moved or resized a mapping. */
void lz_report_mapping_moved(
	struct lz_reporter *reporter, uintptr_t old_start, size_t old_length, uintptr_t start, size_t length);

/* Writes the report of a process that goes on. */
void lz_report_write(struct lz_reporter *reporter);

/* Writes the report of a process that ends, and removes the file in which its sites would survive. */
void lz_report_write_at_exit(struct lz_reporter *reporter);

/* The same for _exit(2), which children of fork and of vfork call as well. */
void lz_report_write_at_immediate_exit(struct lz_reporter *reporter);

#endif
