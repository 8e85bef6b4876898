/*
 * Collapses the blocks that were planned, a block at a time.
 *
 * Through the mapping of the process (process_madvise(2), which needs CAP_SYS_NICE): the huge page is then
 * charged to its control group. Through a mapping of our own, which needs no right but takes as long, the
 * memory moved to our control group (67.6 MB of 67.6, cgroup v1); so that way is taken only if both are in
 * the same group.
 *
 * Directly before each block: its pages are counted again, since the program may have truncated, punched or
 * emptied it, and the room of the file system, the control groups and the machine is read again
 * (os/collapse.h). What fails is tried again at most twice, after all others. Between blocks it sleeps, so
 * that it uses no more than its share of a processor. A signal ends it after the current block.
 */
#ifndef LZ_CLI_COLLAPSE_WORK_H
#define LZ_CLI_COLLAPSE_WORK_H

#include "cli/collapse/plan.h"
#include "cli/collapse/sharing.h"

struct lz_collapse_work {
	struct lz_sharing *sharing;
	struct lz_densities densities;
	unsigned rate; /* percent of a processor, 1 to 100 */
	bool progress; /* on standard error */

	/* Results. */
	uint64_t planned, collapsed, failed, changed;
	uint64_t no_room; /* blocks for which there was no room when they were tried last */
	uint64_t filled;  /* bytes of holes that were filled */
	uint64_t elapsed_ns;
	bool no_permission; /* CAP_SYS_NICE is missing, and no other way is open */
	bool no_huge_page;  /* the kernel had none */
	int signal;         /* that ended it; 0: none */

	/* Private. */
	unsigned no_memory;  /* blocks in a row */
	uint64_t printed_ns; /* time of the last line of progress */
};

/* Returns 0, or an exit status after an error message. */
int lz_collapse_work(struct lz_collapse_work *work);

#endif
