/*
 * Reads the record of a run (record/format.h) and sums up the processes of each sample.
 *
 * A record may be truncated, or the file may not be one. Lines that cannot be parsed are skipped and counted.
 */
#ifndef LZ_CLI_RECORD_RECORD_H
#define LZ_CLI_RECORD_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/common/display.h"

enum { LZ_RECORD_VIRTUAL, LZ_RECORD_RSS, LZ_RECORD_PSS, LZ_RECORD_SHMEM, LZ_RECORD_TABLES, LZ_RECORD_SIZES };

/* Sums over the processes of one sample; NAN: not known. */
struct lz_sample {
	double t; /* seconds */
	double size[LZ_RECORD_SIZES];
	double faults; /* minor faults per second since the sample before */
};

struct lz_record {
	char program[sizeof(struct lz_display)];
	bool has_header;
	json_t *header, *last; /* the first line and that of the end (format.h); NULL: not read */
	struct lz_sample *samples;
	size_t count;
	size_t skipped_lines;
	json_t *faults_before; /* minor faults at the sample before, by pid as text */
	double end;            /* seconds; negative if the record does not say */
};

/* Reads a file. There may be no sample: the program ended too soon. Returns 0, or the exit status after an
 * error message. Call lz_record_free in either case. */
int lz_record_read(struct lz_record *record, const char *path);
void lz_record_free(struct lz_record *record);

#endif
