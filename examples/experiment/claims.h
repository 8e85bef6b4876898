/*
 * The claims about demand paging: for each, the program that shows it and what its figures must be.
 */
#ifndef LZ_EXPERIMENT_CLAIMS_H
#define LZ_EXPERIMENT_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "run.h"

enum unit { BYTES, COUNT, MICROSECONDS, RESULT /* an errno, 0 for success */, WAIT_STATUS };

/* What a figure must be: from low to high, both included. */
struct range {
	bool any;
	bool not_applicable; /* follows from the zero page, which this kernel lacks; any is set, too */
	uint64_t low, high;
};

/* A line of the table. */
struct figure {
	const char *key; /* as the workload reports it */
	const char *label;
	enum unit unit;
	struct range range[COLUMNS];
};

#define MOST_FIGURES 11

struct claim {
	const char *id, *text;
	uint64_t size;        /* at scale 1; the functions get the scaled one; 0: there is none */
	uint64_t limit_share; /* runs in a memory control group of size / limit_share; 0: not limited */
	uint64_t window_limit_share;     /* the same for the third column */
	uint64_t least_limit;            /* bytes; a smaller scale does not go below it */
	const char *const *settings;     /* for the library */
	const char *const *window;       /* the same for the third column; NULL: there is none */
	void (*workload)(uint64_t size); /* what the child does */
	unsigned (*figures)(uint64_t size, struct figure *figures); /* returns how many */
	bool reads_all; /* without a zero page this fills memory of that size */
};

extern const struct claim claims[];
extern const unsigned claim_count;

#endif
