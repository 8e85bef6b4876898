/*
 * What a program could gain: looks at its pages from outside while it runs, whenever its page tables have
 * grown by half, and keeps the look at which they were largest. Takes at most 1% of a processor.
 */
#ifndef LZ_CLI_RUN_VERDICT_H
#define LZ_CLI_RUN_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/inspect/snapshot.h"

/* All zero: nothing was seen yet. */
struct lz_verdict {
	uint64_t started_ns, used_ns; /* monotonic time of the first sample; processor time of all looks */
	uint64_t tables;              /* VmPTE of the process when it was looked at */
	struct lz_page_sums large;    /* of its large private anonymous mappings then */
	uint64_t on_window_size;      /* the part of large.size that is on a zero window */
};

/* Looks at the process if that is due. */
void lz_verdict_sample(struct lz_verdict *verdict, pid_t pid);

/*
 * "95% of what was touched of 4.00 GiB was only read: on a window (--backing=window) at most 24.0 KiB of page
 * tables would do instead of 8.00 MiB, with some 1046528 page faults fewer", or that there is nothing to
 * gain. `tables_peak` is the largest VmPTE of the process, bytes. Returns false if too little was seen to say
 * so.
 */
bool lz_verdict_text(const struct lz_verdict *verdict, uint64_t tables_peak, char *text, size_t capacity);

#endif
