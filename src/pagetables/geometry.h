/*
 * The layout of page tables: the number of levels, how much memory each table maps, and which levels VmPTE
 * counts.
 *
 * Pure arithmetic, except for lz_geometry_probe. Levels are numbered from the leaf: level 0 is the PTE table.
 * All sizes are in bytes. Thread-safe.
 */
#ifndef LZ_PAGETABLES_GEOMETRY_H
#define LZ_PAGETABLES_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define LZ_LEVELS_MAX 5

struct lz_level {
	const char *name;   /* the kernel's name: "PTE", "PMD", "PUD", "P4D", "PGD" */
	uint8_t index_bits; /* a table has 2^index_bits entries of 8 bytes */
	bool counted;       /* VmPTE includes this level (mm_inc_nr_ptes, _pmds, _puds) */
};

struct lz_geometry {
	const char *name;   /* "x86-64 4-level" */
	const char *arch;   /* "x86-64" */
	const char *source; /* kernel source file that defines it */
	uint8_t page_shift;
	uint8_t user_bits; /* user addresses are below 2^user_bits */
	uint8_t levels;
	struct lz_level level[LZ_LEVELS_MAX];
};

/* The number of tables on each level. */
struct lz_tables {
	uint64_t count[LZ_LEVELS_MAX];
};

/* All known geometries, for tests and `lazyzero cost --page-size`. */
extern const struct lz_geometry lz_geometry_table[];
extern const size_t lz_geometry_count;

/* Returns the geometry with this name, or NULL. */
const struct lz_geometry *lz_geometry_by_name(const char *name);

/*
 * Determines the geometry of the running kernel. The candidates are the rows for this architecture and page
 * size. They are told apart by the highest address that mmap returns, and confirmed by touching one page and
 * comparing VmPTE before and after. Maps and unmaps a few pages. Never returns NULL: if no row matches, it
 * assumes 8-byte entries and tables of one page.
 */
const struct lz_geometry *lz_geometry_probe(const struct lz_os *os);

/*
 * The size in bytes of one table of a level, and log2 of the address space in bytes that it maps, which may
 * be 64 or more.
 */
uint64_t lz_table_bytes(const struct lz_geometry *geometry, unsigned level);
unsigned lz_table_span_shift(const struct lz_geometry *geometry, unsigned level);

/*
 * Whether memory in pages of 2^page_shift bytes needs tables of a level. Huge pages need no tables below
 * their own level.
 */
bool lz_level_needed(const struct lz_geometry *geometry, unsigned level, unsigned page_shift);

/*
 * Returns the tables needed if all of [start, end) is touched and nothing else is mapped. start < end.
 * page_shift is log2 of the page size: geometry->page_shift, or more for hugetlb.
 */
struct lz_tables lz_tables_of(
	const struct lz_geometry *geometry, uint64_t start, uint64_t end, unsigned page_shift);

/* Returns the smallest number of tables that any placement of `bytes` bytes needs. bytes > 0. */
struct lz_tables lz_tables_minimum(const struct lz_geometry *geometry, uint64_t bytes, unsigned page_shift);

/* The size of tables in bytes: on all levels, or only on those that VmPTE counts. */
uint64_t lz_tables_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables);
uint64_t lz_tables_vmpte_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables);

#endif
