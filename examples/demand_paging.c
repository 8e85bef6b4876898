/*
 * Demand paging, step by step: what the kernel counts when memory is reserved, read, and written.
 *
 *   demand_paging [--calloc] [SIZE]          SIZE is 1 GiB unless given; 100G, 512M and so on are understood
 *
 * The memory comes from mmap, or from calloc with --calloc. Reading adds nothing to VmRSS, for every page
 * that was never written is the kernel's one zero page. But each page needs its entry: VmPTE grows by 8 bytes
 * a page. `demand_paging 100G`, measured:
 *
 *                                VmSize      VmRSS      VmPTE minor faults  seconds
 *   at start                    2.4 MiB    1.6 MiB     40 KiB            0    0.000
 *   mmap                      100.0 GiB    1.6 MiB     40 KiB            2    0.000
 *   read every page           100.0 GiB    1.6 MiB  200.4 MiB     26214400   18.045
 *   read every page again     100.0 GiB    1.6 MiB  200.4 MiB            0    0.227
 *   write to 10000 pages      100.0 GiB   40.7 MiB  200.4 MiB        10000    0.028
 *
 * With --calloc and lazyzero preloaded, a calloc of that size succeeds on a machine of any size, and lazyzero
 * itself says what stands behind it. The program is not linked with lazyzero: it looks for it at run time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <lazyzero.h>

#include "../tests/kernel.h"
#include "common.h"

/* Weak: their addresses are NULL when no liblazyzero.so is in this process. */
#pragma weak lz_region_info
#pragma weak lz_version

#define WRITES 10000

/* Prints what changed in a line; faults and time are of that step alone. */
static void show(const char *step)
{
	static uint64_t faults, since;
	char size[SIZE_TEXT], resident[SIZE_TEXT], tables[SIZE_TEXT];
	double seconds = since == 0 ? 0 : (double)(now_us() - since) / 1e6;

	printf("%-24s %10s %10s %10s %12" PRIu64 " %8.3f\n", step,
		format_size(size, status_bytes(0, "VmSize")), format_size(resident, status_bytes(0, "VmRSS")),
		format_size(tables, status_bytes(0, "VmPTE")), since == 0 ? 0 : minor_faults() - faults,
		seconds);
	/* Taken last, so that the printing is not counted with the next step. */
	faults = minor_faults();
	since = now_us();
}

static char *reserve(uint64_t size, bool with_calloc)
{
	char *block;

	if (with_calloc) {
		block = calloc(1, size);
	} else {
		/* MAP_NORESERVE: without it the kernel refuses a mapping that is larger than the machine. */
		block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);
		if (block == MAP_FAILED)
			block = NULL;
	}
	if (block == NULL) {
		char text[SIZE_TEXT];

		fprintf(stderr, "demand_paging: %s of %s: %s\n", with_calloc ? "calloc" : "mmap",
			format_size(text, size), strerror(errno));
		if (with_calloc && lz_version == NULL)
			fprintf(stderr,
				"Preload lazyzero (LD_PRELOAD=liblazyzero.so), or leave out --calloc.\n");
		exit(1);
	}
	return block;
}

/* Writes to pages spread evenly over the block. */
static void write_some_pages(char *block, uint64_t size)
{
	uint64_t pages = (size + page_bytes() - 1) / page_bytes();
	uint64_t writes = pages < WRITES ? pages : WRITES;
	char step[40];

	for (uint64_t i = 0; i < writes; i++)
		block[i * (pages / writes) * page_bytes()] = 1;
	snprintf(step, sizeof step, "write to %" PRIu64 " page%s", writes, writes == 1 ? "" : "s");
	show(step);
}

static void show_region(const char *block)
{
	char resident[SIZE_TEXT], zero[SIZE_TEXT], tables[SIZE_TEXT], window[SIZE_TEXT];
	struct lz_region region;

	if (lz_region_info == NULL || lz_region_info(block, &region) != 0)
		return;
	if (region.resident_bytes == LZ_UNKNOWN)
		return;
	printf("\nlazyzero %s: %s resident, %s mapped to the zero page, %s of page tables\n", lz_version(),
		format_size(resident, region.resident_bytes), format_size(zero, region.zero_mapped_bytes),
		format_size(tables, region.page_table_bytes));
	if (region.window_bytes != 0)
		printf("%s on the zero window: VmRSS counts it, though it takes no memory\n",
			format_size(window, region.window_bytes));
}

int main(int argc, char **argv)
{
	bool with_calloc = argc > 1 && strcmp(argv[1], "--calloc") == 0;
	uint64_t size = GIB;
	int at = 1 + with_calloc;
	char *block;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts("Usage: demand_paging [--calloc] [SIZE]     SIZE such as 4096, 512M or 100G");
		return 0;
	}
	if (argc > at + 1 || (argc == at + 1 && !parse_size(argv[at], &size))) {
		fprintf(stderr,
			"Usage: demand_paging [--calloc] [SIZE]     SIZE such as 4096, 512M or 100G\n");
		return 2;
	}
	if (!kernel_has_zero_page())
		puts("Note: this kernel has no zero page: reads fill real memory, and VmRSS grows.");
	printf("%-24s %10s %10s %10s %12s %8s\n", "", "VmSize", "VmRSS", "VmPTE", "minor faults", "seconds");
	show("at start");
	block = reserve(size, with_calloc);
	show(with_calloc ? "calloc" : "mmap");
	refuse_huge_pages(block, size);
	read_every_page(block, size);
	show("read every page");
	read_every_page(block, size);
	show("read every page again");
	write_some_pages(block, size);
	show_region(block);
	if (with_calloc)
		free(block);
	else
		munmap(block, size);
	return 0;
}
