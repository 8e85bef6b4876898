/* Why the library was active in no process of a run. */
#ifndef LZ_CLI_RUN_INACTIVE_H
#define LZ_CLI_RUN_INACTIVE_H

#include "cli/run/location.h"
#include "cli/run/program.h"

/* The likely reason why no process wrote statistics. Valid until the next call. */
const char *lz_inactive_reason(const struct lz_program *executable, const struct lz_stats_location *location);

#endif
