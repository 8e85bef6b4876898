/* Text about one process: the mappings that need most page tables, and the counters of the library. */
#ifndef LZ_CLI_PROCESS_DETAILS_H
#define LZ_CLI_PROCESS_DETAILS_H

#include <stdio.h>

#include "cli/common/display.h"
#include "cli/process/process.h"

/* Lines of at most 80 columns, the first of each part is empty; nothing if neither is known. */
void lz_process_print_details(FILE *out, const struct lz_process *process, enum lz_units units);

#endif
