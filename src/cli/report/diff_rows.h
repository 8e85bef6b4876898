/*
 * Two reports that `lazyzero report --json` printed, matched by call site.
 *
 * Sites match if they are called by the same names: the same frames with their files and lines (by stack), or
 * the same headline (by line, function or module). What then remains of each name without its lines and
 * offsets is matched in the order of lines, since an edit above a line moves it.
 */
#ifndef LZ_CLI_REPORT_DIFF_ROWS_H
#define LZ_CLI_REPORT_DIFF_ROWS_H

#include <jansson.h>
#include <stdint.h>

#include "cli/report/group.h"

/* Of json_load_file: a report of the library, which has an object a line, is told from others by its first.
 */
#define LZ_DIFF_LOAD_FLAGS JSON_DISABLE_EOF_CHECK

enum lz_diff_side { LZ_DIFF_OLD, LZ_DIFF_NEW, LZ_DIFF_SIDES };

/* Bytes; UINT64_MAX: unknown. */
struct lz_diff_figures {
	uint64_t asked, waste;
	uint64_t tables; /* at the peak */
};

#define LZ_DIFF_FIGURES (sizeof(struct lz_diff_figures) / sizeof(uint64_t))

/* A call site. */
struct lz_diff_row {
	const json_t *site[LZ_DIFF_SIDES]; /* NULL: not there; the first of those that are merged */
	struct lz_diff_figures figures[LZ_DIFF_SIDES];
	char *name;       /* with lines and offsets; NULL: merged into another row */
	char *loose_name; /* without */
};

struct lz_diff {
	json_t *reports[LZ_DIFF_SIDES];
	enum lz_report_by by; /* the coarsest of what was asked for and what the reports were printed by */
	struct lz_diff_row *rows;
	size_t count;
	struct lz_diff_figures total[LZ_DIFF_SIDES];
};

/*
 * Reads a report of `report --json`. Returns NULL after an error message, also if its version is not that of
 * this command.
 */
json_t *lz_diff_load(const char *path);

/* What the rows of a printed report stand for. It may be NULL. */
enum lz_report_by lz_diff_printed_by(const json_t *report);

/* Matches diff->reports, which are set, as diff->by is. Returns 0, or the exit status after a message. */
int lz_diff_match(struct lz_diff *diff);

void lz_diff_free(struct lz_diff *diff);

#endif
