/*
 * The record of a run (record.h), read: what all processes together had at each look.
 *
 * A record may be cut, by a kill, or be none at all: a line that is not understood is left out and counted.
 */
#ifndef LZ_CLI_RECORD_READ_H
#define LZ_CLI_RECORD_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/common/command.h"

enum { LZ_RECORD_VIRTUAL, LZ_RECORD_RSS, LZ_RECORD_PSS, LZ_RECORD_SHMEM, LZ_RECORD_TABLES, LZ_RECORD_SIZES };

/* Sums over the processes of one look; NAN: not known. */
struct lz_sample {
	double t; /* seconds */
	double size[LZ_RECORD_SIZES];
	double faults; /* a second since the look before */
};

struct lz_record {
	char program[sizeof(struct lz_display)];
	bool has_header;
	struct lz_sample *samples;
	size_t count, room;
	size_t skipped_lines;
	json_t *faults_before; /* by pid, as text */
	double end;            /* seconds; below 0 when the record does not say */
};

/* Reads a file. Returns 0, or the exit status after saying what is wrong; to be freed in any case. */
int lz_record_read(struct lz_record *record, const char *path);
void lz_record_free(struct lz_record *record);

#endif
