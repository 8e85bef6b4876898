/* The page-table geometry that a --geometry flag names. */
#ifndef LZ_CLI_COMMON_GEOMETRY_CHOICE_H
#define LZ_CLI_COMMON_GEOMETRY_CHOICE_H

#include "pagetables/geometry.h"

/* The geometry of that name, or this machine's for NULL. Returns NULL after an error message. */
const struct lz_geometry *lz_geometry_choose(const char *name);

#endif
