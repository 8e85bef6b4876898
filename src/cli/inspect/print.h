/* Output of `lazyzero report --pid`: a table or JSON; for a course, a line for each sample. */
#ifndef LZ_CLI_INSPECT_PRINT_H
#define LZ_CLI_INSPECT_PRINT_H

#include "cli/inspect/inspect.h"
#include "cli/inspect/snapshot.h"
#include "cli/process/process.h"

struct lz_inspection {
	const struct lz_inspect_options *options;
	const struct lz_geometry *geometry;
	const struct lz_process *process;
	const struct lz_pages *pages;
};

/* Sorts the mappings by page tables, in descending order, and prints them. Returns the exit status. */
int lz_inspect_print(const struct lz_inspection *inspection, struct lz_snapshot *snapshot);

/* Prints the sums of a sample that was taken `ns` after the first began; before the first, a heading. */
void lz_inspect_print_sample(
	const struct lz_inspection *inspection, const struct lz_snapshot *snapshot, uint64_t ns, bool first);

#endif
