/* pagetables/geometry.c: the arithmetic of every geometry, and the geometry of the running kernel. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "pagetables/geometry.h"

#define KIB UINT64_C(1024)
#define GIB (UINT64_C(1) << 30)

static uint64_t counted(const struct lz_geometry *geometry, uint64_t start, uint64_t length)
{
	struct lz_tables tables = lz_tables_of(geometry, start, start + length, geometry->page_shift);

	return lz_tables_vmpte_bytes(geometry, &tables);
}

Test(geometry, figures_of_the_demand_paging_article)
{
	const struct lz_geometry *x86 = lz_geometry_by_name("x86-64 4-level");
	struct lz_tables one = lz_tables_minimum(x86, 4096, 12);

	cr_assert_not_null(x86);
	/* Claim E7 of the demand-paging article: one page needs one table on each of 4 levels. */
	cr_expect_eq(lz_tables_bytes(x86, &one), 16 * KIB);
	cr_expect_eq(lz_tables_vmpte_bytes(x86, &one), 12 * KIB);
	/* Claim E8: 512 GiB need 1 GiB of PTE tables, 2 MiB of PMD tables and one PUD table. */
	cr_expect_eq(counted(x86, 0, 512 * GIB), GIB + 2048 * KIB + 4 * KIB);
	/* Claim E5: 100 GB. */
	cr_expect_eq(counted(x86, 0, UINT64_C(100000000000)), (UINT64_C(47684) + 94 + 1) * 4 * KIB);
}

Test(geometry, ranges_across_table_boundaries)
{
	const struct lz_geometry *x86 = lz_geometry_by_name("x86-64 4-level");
	struct lz_tables tables = lz_tables_of(x86, GIB - 4096, GIB + 4096, 12);

	cr_expect_eq(tables.count[0], 2);
	cr_expect_eq(tables.count[1], 2);
	cr_expect_eq(tables.count[2], 1);
	cr_expect_eq(tables.count[3], 1);
	/* Huge pages need no PTE tables; 1 GiB pages need no PMD tables either. */
	tables = lz_tables_of(x86, 0, 4 * GIB, 21);
	cr_expect_eq(tables.count[0], 0);
	cr_expect_eq(tables.count[1], 4);
	tables = lz_tables_of(x86, 0, 4 * GIB, 30);
	cr_expect_eq(tables.count[1], 0);
	cr_expect_eq(tables.count[2], 1);
}

/*
 * name, span and size of a PTE table in bytes, bytes that VmPTE counts for one page, levels, user address
 * bits
 */
static const struct {
	const char *name;
	uint64_t pte_span, pte_bytes, one_page;
	unsigned levels, user_bits;
} rows[] = {
	{"x86-64 4-level", 2 << 20, 4096, 12288, 4, 47},
	{"x86-64 5-level", 2 << 20, 4096, 12288, 5, 56},
	{"arm64 4K 39-bit", 2 << 20, 4096, 8192, 3, 39},
	{"arm64 4K 48-bit", 2 << 20, 4096, 12288, 4, 48},
	{"arm64 4K 52-bit", 2 << 20, 4096, 12288, 5, 52},
	{"arm64 16K 36-bit", 32 << 20, 16384, 16384, 2, 36},
	{"arm64 16K 47-bit", 32 << 20, 16384, 32768, 3, 47},
	{"arm64 16K 48-bit", 32 << 20, 16384, 49152, 4, 48},
	{"arm64 16K 52-bit", 32 << 20, 16384, 49152, 4, 52},
	{"arm64 64K 42-bit", 512 << 20, 65536, 65536, 2, 42},
	{"arm64 64K 48-bit", 512 << 20, 65536, 131072, 3, 48},
	{"arm64 64K 52-bit", 512 << 20, 65536, 131072, 3, 52},
	{"riscv64 sv39", 2 << 20, 4096, 8192, 3, 38},
	{"riscv64 sv48", 2 << 20, 4096, 12288, 4, 47},
	{"riscv64 sv57", 2 << 20, 4096, 12288, 5, 56},
	{"ppc64 radix 4K", 2 << 20, 4096, 12288, 4, 52},
	{"ppc64 radix 64K", 2 << 20, 256, 256 + 4096 + 4096, 4, 52},
	{"s390x 3-level", 1 << 20, 2048, 2048 + 16384, 3, 42},
	{"s390x 4-level", 1 << 20, 2048, 2048 + 2 * 16384, 4, 53},
	{"loongarch64 4K 3-level", 2 << 20, 4096, 8192, 3, 39},
	{"loongarch64 4K 4-level", 2 << 20, 4096, 12288, 4, 48},
	{"loongarch64 16K 2-level", 32 << 20, 16384, 16384, 2, 36},
	{"loongarch64 16K 3-level", 32 << 20, 16384, 32768, 3, 47},
	{"loongarch64 64K 2-level", 512 << 20, 65536, 65536, 2, 42},
	{"loongarch64 64K 3-level", 512 << 20, 65536, 131072, 3, 55},
};

Test(geometry, every_row_is_consistent)
{
	cr_assert_eq(sizeof rows / sizeof *rows, lz_geometry_count, "a row of the table is not tested");
	for (size_t i = 0; i < lz_geometry_count; i++) {
		const struct lz_geometry *geometry = lz_geometry_by_name(rows[i].name);

		cr_assert_not_null(geometry, "%s", rows[i].name);
		cr_expect_eq(UINT64_C(1) << lz_table_span_shift(geometry, 0), rows[i].pte_span, "%s",
			rows[i].name);
		cr_expect_eq(lz_table_bytes(geometry, 0), rows[i].pte_bytes, "%s", rows[i].name);
		cr_expect_eq(counted(geometry, 0, UINT64_C(1) << geometry->page_shift), rows[i].one_page,
			"%s", rows[i].name);
		cr_expect_eq(geometry->levels, rows[i].levels, "%s", rows[i].name);
		cr_expect_eq(geometry->user_bits, rows[i].user_bits, "%s", rows[i].name);
		cr_expect_geq(lz_table_span_shift(geometry, geometry->levels - 1u), geometry->user_bits, "%s",
			rows[i].name);
		cr_expect_not(geometry->level[geometry->levels - 1].counted, "%s", rows[i].name);
		cr_expect_neq(*geometry->source, '\0', "%s", rows[i].name);
	}
}

Test(geometry, probe_finds_the_running_kernels_geometry)
{
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);

	cr_expect_eq(1L << geometry->page_shift, sysconf(_SC_PAGESIZE));
	cr_expect_geq(geometry->levels, 2);
}
