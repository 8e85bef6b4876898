/*
 * What the running kernel can do. One function for each fact, which tries it once, on first need, and
 * remembers the answer for the process and its children.
 */
#ifndef LZ_OS_FACTS_H
#define LZ_OS_FACTS_H

#include <stdbool.h>

#include "os/os.h"

/* mremap(2) moves several mappings in one call (Linux 6.17, vma_multi_allowed in mm/mremap.c). */
bool lz_fact_mremap_many(const struct lz_os *os);

#endif
