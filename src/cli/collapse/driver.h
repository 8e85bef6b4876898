/* Collapses a block through the mapping of another process or of this one; see work.h for which. */
#ifndef LZ_CLI_COLLAPSE_DRIVER_H
#define LZ_CLI_COLLAPSE_DRIVER_H

#include "cli/collapse/sharing.h"
#include "cli/collapse/view.h"

/*
 * Returns 0 or -errno: -EPERM if neither way is open, -ESRCH if the process has ended, else as of
 * MADV_COLLAPSE.
 */
int lz_drive_block(const struct lz_sharing *sharing, const struct lz_view *view,
	const struct lz_shared_mapping *mapping, size_t block);

#endif
