/* Opens the file behind a shared memory object; see view.h for the ways. */
#ifndef LZ_CLI_COLLAPSE_OBJECT_FILE_H
#define LZ_CLI_COLLAPSE_OBJECT_FILE_H

#include "cli/collapse/sharing.h"

/* Returns a descriptor, read-only, or -errno. Nothing but the object itself is opened. */
int lz_object_file_open(const struct lz_sharing *sharing, const struct lz_shared_object *object);

#endif
