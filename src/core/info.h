/*
 * Questions about what there is, for the public API: costs, counters, one region's pages. Thread-safe. Types
 * are those of lazyzero.h.
 */
#ifndef LZ_CORE_INFO_H
#define LZ_CORE_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "core/core.h"
#include "lazyzero.h"

/* As the public functions of the same names; errors are returned as -errno. */
uint64_t lz_core_range_cost(struct lz_core *core, const void *address, size_t size);
void lz_core_statistics(struct lz_core *core, struct lz_statistics *statistics);
int lz_core_set_budget(struct lz_core *core, uint64_t bytes);
int lz_core_region_info(struct lz_core *core, const void *p, struct lz_region *info);
int lz_core_zero(struct lz_core *core, void *p, size_t size);

#endif
