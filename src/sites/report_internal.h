/* Declarations shared by the files of the report. */
#ifndef LZ_SITES_REPORT_INTERNAL_H
#define LZ_SITES_REPORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "sites/inspect.h"
#include "sites/report.h"
#include "sites/report_lines.h"

#define LZ_REPORT_LIVE_MAX                                                                                   \
	65536u /* most live regions that are inspected; as many as a process may have mappings */

/* In a mapping of its own, most of which is never touched. */
struct lz_report {
	struct lz_sites sites;
	_Atomic uint64_t inspections;
	_Atomic pid_t pid;                            /* of the process whose table this is */
	bool file_tried;                              /* the file of the table was created, or could not be */
	char sites_path[2 * LZ_OPTION_TEXT_MAX + 96]; /* "": the table is in no file */
	_Atomic uint32_t busy; /* a thread is writing a report and owns the members below */
	bool failure_logged;   /* the failure to write the file was logged */
	uint64_t start_time;
	char path[2 * LZ_OPTION_TEXT_MAX]; /* absolute, % sequences not yet expanded */
	char executable[64];
	uint64_t left_out;
	size_t live_count;
	struct lz_listed_region live[LZ_REPORT_LIVE_MAX];
	struct lz_report_writer writer;
	char opened_path[2 * LZ_OPTION_TEXT_MAX + 96]; /* `path`, expanded */
};

/* Logs that the report cannot be written; `what` precedes its path. */
void lz_report_log_failure(struct lz_reporter *reporter, const char *what, int error);

/* Appends the report's path. Returns whether it is in a directory, where each process has a name of its own.
 */
bool lz_report_expand_path(const struct lz_reporter *reporter, struct lz_text *text);

/* Fills the parts of a zeroed table that say whose it is. */
void lz_report_identify_table(struct lz_reporter *reporter);

/*
 * Whether the table is this process's own; a forked child gets one with the lock of the books. Where the lock
 * is not to be had, in a signal handler that interrupted its holder, the process ID decides. Creates the file
 * of the table if that was not tried yet.
 */
bool lz_report_has_own_table(struct lz_reporter *reporter);

/* Keeps up to date what a reader of the file needs besides the sites. */
void lz_report_update_identity(struct lz_reporter *reporter);

/*
 * Inspects a region or mapping of this process. The caller releases the result with lz_scratch_release. NULL:
 * no memory for the buffer.
 */
struct lz_inspection *lz_report_inspect(struct lz_reporter *reporter, uintptr_t start, uintptr_t end,
	enum lz_region_kind kind, unsigned pages);

/*
 * The written pages whose contents are read when a region is freed: one for each MiB, so that it takes 1% of
 * the time that filling the region took. Many small samples make the estimate of a site.
 */
unsigned lz_report_freed_sample_pages(size_t bytes);

#endif
