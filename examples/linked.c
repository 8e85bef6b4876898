/*
 * The library's own interface, for a program that is linked with it (cc linked.c -llazyzero).
 *
 * It asks what a block will cost before making it, looks at what stands behind it while it is used, gives
 * a part back, and meets a budget that it has set itself: refused on the zero page, served on the zero
 * window. Measured with LAZYZERO_POLICY=refuse:
 *
 *   lazyzero 0.1.0: 16 GiB will need 32.1 MiB of page tables when all of it is touched
 *
 *                               resident   on zero page   on window  page tables
 *   fresh                            0 B            0 B         0 B          0 B
 *   1 GiB read                       0 B          1 GiB         0 B      2.0 MiB
 *   1,000 pages written          3.9 MiB       1020 MiB         0 B      2.0 MiB
 *   500 of them zeroed again     2.0 MiB       1020 MiB         0 B      2.0 MiB
 *   byte 0 is 0, byte of page 500 is 1
 *
 *   with a budget of 4 MiB:
 *   LZ_ZEROPAGE: Cannot allocate memory
 *   LZ_AUTO                          0 B            0 B       1 GiB        8 KiB
 *   regions served: 2, over the budget: 0, on a window: 1, refused: 1
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <lazyzero.h>

#include "common.h"

#define BLOCK (16 * GIB)

static void show(const char *step, const void *block)
{
	char resident[SIZE_TEXT], zero[SIZE_TEXT], window[SIZE_TEXT], tables[SIZE_TEXT];
	struct lz_region region;

	if (lz_region_info(block, &region) != 0) {
		printf("%-25s lz_region_info: %s\n", step, strerror(errno));
		return;
	}
	if (region.resident_bytes == LZ_UNKNOWN) {
		printf("%-25s (this kernel cannot tell: Linux 6.7 can)\n", step);
		return;
	}
	printf("%-25s %10s %14s %11s %12s\n", step, format_size(resident, region.resident_bytes),
		format_size(zero, region.zero_mapped_bytes), format_size(window, region.window_bytes),
		format_size(tables, region.page_table_bytes));
}

static void use(char *block)
{
	printf("\n%-25s %10s %14s %11s %12s\n", "", "resident", "on zero page", "on window", "page tables");
	show("fresh", block);
	read_every_page(block, GIB);
	show("1 GiB read", block);
	for (uint64_t page = 0; page < 1000; page++)
		block[page * page_bytes()] = 1;
	show("1,000 pages written", block);
	if (lz_zero(block, 500 * page_bytes()) != 0)
		printf("lz_zero: %s\n", strerror(errno));
	show("500 of them zeroed again", block);
	printf("byte 0 is %d, byte of page 500 is %d\n", block[0], block[500 * page_bytes()]);
}

/*
 * What the budget does not allow on the zero page meets the policy: `log` says so and serves it, `refuse`
 * answers ENOMEM. LZ_AUTO takes the zero window then, whose page tables are within the budget.
 */
static void exceed_budget(void)
{
	static const enum lz_backing_kind backings[] = {LZ_ZEROPAGE, LZ_AUTO};
	struct lz_statistics statistics;

	if (lz_set_budget(4 * MIB) != 0)
		printf("lz_set_budget: %s\n", strerror(errno));
	printf("\nwith a budget of 4 MiB:\n");
	for (size_t i = 0; i < sizeof backings / sizeof *backings; i++) {
		const char *name = backings[i] == LZ_AUTO ? "LZ_AUTO" : "LZ_ZEROPAGE";
		char *block = lz_alloc(BLOCK, backings[i]);

		if (block == NULL) {
			printf("%s: %s\n", name, strerror(errno));
			continue;
		}
		read_every_page(block, GIB);
		show(name, block);
		lz_free(block);
	}
	if (lz_stats(&statistics, sizeof statistics) == 0)
		printf("regions served: %" PRIu64 ", over the budget: %" PRIu64 ", on a window: %" PRIu64
		       ", refused: %" PRIu64 "\n",
			statistics.regions_total, statistics.over_budget, statistics.windowed,
			statistics.refused);
}

int main(void)
{
	char size[SIZE_TEXT], cost[SIZE_TEXT];
	char *block;

	printf("lazyzero %s: %s will need %s of page tables when all of it is touched\n", lz_version(),
		format_size(size, BLOCK), format_size(cost, lz_cost(NULL, BLOCK)));
	block = lz_alloc(BLOCK, LZ_ZEROPAGE);
	if (block == NULL) {
		fprintf(stderr, "linked: lz_alloc: %s\n", strerror(errno));
		return 1;
	}
	use(block);
	if (lz_free(block) != 0) {
		fprintf(stderr, "linked: lz_free: %s\n", strerror(errno));
		return 1;
	}
	exceed_budget();
	return 0;
}
