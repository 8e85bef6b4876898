/* `lazyzero stat --cgroup`: the page tables of control groups, as a table or as JSON. */
#ifndef LZ_CLI_STAT_CGROUPS_H
#define LZ_CLI_STAT_CGROUPS_H

#include <stdbool.h>

#include "cli/common/display.h"

struct lz_stat_cgroups {
	const char *root;
	const char *below; /* as given; "": all groups */
	enum lz_units units;
	bool json, headers, reverse;
};

/* Returns the exit status: 1 if no process is in a group at or below `below`. */
int lz_stat_cgroups(const struct lz_stat_cgroups *request);

/* Explains the columns for --help. */
void lz_stat_cgroups_help(void);

#endif
