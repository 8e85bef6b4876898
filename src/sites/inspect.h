/*
 * The usage of the pages of one region, of this process or of another.
 *
 * Allocates nothing, takes no lock. Thread-safe and async-signal-safe.
 */
#ifndef LZ_SITES_INSPECT_H
#define LZ_SITES_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "pagetables/census.h"
#include "sites/sites.h"

/* The result, and the state for the walk; in a scratch buffer instead of on the stack. */
struct lz_inspection {
	struct lz_site_usage usage;
	struct lz_cell_map cells; /* usage by parts of the region */
	struct lz_census census;
	struct lz_census_histogram map;
	struct lz_zero_sample sample;
};

struct lz_inspected_process {
	const struct lz_os *os; /* read_memory reads the process's memory */
	const struct lz_geometry *geometry;
	int pagemap; /* descriptor of its pagemap; -1: this process */
};

/* What kind of memory a region is, in bits. */
enum lz_region_kind { LZ_REGION_PLAIN = 0, LZ_REGION_ON_WINDOW = 1, LZ_REGION_SHARED = 2 };

static inline enum lz_region_kind lz_region_kind_of(const struct lz_listed_region *region)
{
	return (enum lz_region_kind)(
		region->on_window * LZ_REGION_ON_WINDOW + region->is_shared * LZ_REGION_SHARED);
}

/*
 * Inspects a region, and the contents of at most `pages` of its written pages (zero_sample.h). The caller
 * releases the result with lz_scratch_release. NULL: no memory for the buffer.
 */
struct lz_inspection *lz_inspect_region(const struct lz_inspected_process *process, uintptr_t start,
	uintptr_t end, enum lz_region_kind kind, unsigned pages, uint64_t seed);

#endif
