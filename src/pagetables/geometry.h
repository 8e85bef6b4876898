/*
 * The shape of page tables: how many levels, how much each table maps, and which levels VmPTE counts.
 *
 * Arithmetic only, apart from lz_geometry_probe. Levels are numbered from the leaf: 0 is the PTE table. All
 * sizes are bytes. Thread-safe.
 */
#ifndef LZ_PAGETABLES_GEOMETRY_H
#define LZ_PAGETABLES_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define LZ_LEVELS_MAX 5

struct lz_level {
	const char *name;   /* the kernel's: "PTE", "PMD", "PUD", "P4D", "PGD" */
	uint8_t index_bits; /* a table has 2^index_bits entries of 8 bytes */
	bool counted;       /* VmPTE counts this level (mm_inc_nr_ptes, _pmds, _puds) */
};

struct lz_geometry {
	const char *name;   /* "x86-64 4-level" */
	const char *arch;   /* "x86-64" */
	const char *source; /* kernel file that defines it */
	uint8_t page_shift;
	uint8_t user_bits; /* user addresses are below 2^user_bits */
	uint8_t levels;
	struct lz_level level[LZ_LEVELS_MAX];
};

/* Tables needed on each level. */
struct lz_tables {
	uint64_t count[LZ_LEVELS_MAX];
};

/* The known geometries, for tests and `lazyzero cost --page-size`. */
extern const struct lz_geometry lz_geometry_table[];
extern const size_t lz_geometry_count;

/* The geometry of that name, or NULL. */
const struct lz_geometry *lz_geometry_by_name(const char *name);

/*
 * The geometry of the running kernel: the rows of this architecture and page size, told apart by how high an
 * address mmap grants, and confirmed by touching one page and reading what it added to VmPTE. Maps and unmaps
 * a few pages. Never NULL: where nothing matches, 8-byte entries and page-sized tables are assumed.
 */
const struct lz_geometry *lz_geometry_probe(const struct lz_os *os);

/* Bytes of one table of a level, and the bytes of address space it maps. A span of 2^64 is given as 0. */
uint64_t lz_table_bytes(const struct lz_geometry *geometry, unsigned level);
unsigned lz_table_span_shift(const struct lz_geometry *geometry, unsigned level);

/*
 * Whether memory in pages of 2^page_shift bytes needs tables of a level: huge pages need none below theirs.
 */
bool lz_level_needed(const struct lz_geometry *geometry, unsigned level, unsigned page_shift);

/*
 * Tables that touching all of [start, end) needs if nothing else is mapped. start < end; page_shift is that
 * of the pages it is mapped with (geometry->page_shift, or more for hugetlb).
 */
struct lz_tables lz_tables_of(
	const struct lz_geometry *geometry, uint64_t start, uint64_t end, unsigned page_shift);

/* The fewest tables any placement of that many bytes needs. bytes > 0. */
struct lz_tables lz_tables_minimum(const struct lz_geometry *geometry, uint64_t bytes, unsigned page_shift);

/* Their size in bytes: of all levels, or only of those that VmPTE counts. */
uint64_t lz_tables_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables);
uint64_t lz_tables_counted_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables);

#endif
