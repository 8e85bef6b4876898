/* Adds the processes that the user chose: by process ID, as a tree, or by control group. */
#ifndef LZ_CLI_COLLAPSE_TARGETS_H
#define LZ_CLI_COLLAPSE_TARGETS_H

#include "cli/collapse/sharing.h"

/*
 * Each adds processes to `sharing`, and clears *complete after a message if one of them does not exist or
 * cannot be examined. They return 0, or LZ_EXIT_FAILURE after an error message.
 */
int lz_targets_add_pids(struct lz_sharing *sharing, char *const words[], bool *complete);
int lz_targets_add_tree(struct lz_sharing *sharing, const char *word, bool *complete);
int lz_targets_add_cgroup(struct lz_sharing *sharing, const char *path, bool *complete);

#endif
