/* The layout of page tables; see geometry.h. */
#include "os/facts.h"
#include "pagetables/geometry.h"

#include <string.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/procfs.h"

#define ENTRY_SHIFT 3 /* all architectures below have 8-byte entries */

/*
 * The kernel counts PTE, PMD and PUD tables (include/linux/mm.h) unless they are folded into the level above.
 * The top level of each geometry and P4D tables are not counted.
 */
#define PTE(bits)                                                                                            \
	{                                                                                                    \
		"PTE", bits, true                                                                            \
	}
#define PMD(bits)                                                                                            \
	{                                                                                                    \
		"PMD", bits, true                                                                            \
	}
#define PUD(bits)                                                                                            \
	{                                                                                                    \
		"PUD", bits, true                                                                            \
	}
#define P4D(bits)                                                                                            \
	{                                                                                                    \
		"P4D", bits, false                                                                           \
	}
#define PGD(bits)                                                                                            \
	{                                                                                                    \
		"PGD", bits, false                                                                           \
	}

#define X86 "x86-64", "arch/x86/include/asm/pgtable_64_types.h"
#define ARM64 "arm64", "arch/arm64/include/asm/pgtable-hwdef.h"
#define RISCV "riscv64", "arch/riscv/include/asm/pgtable-64.h"
#define PPC64 "ppc64", "arch/powerpc/include/asm/book3s/64/radix.h"
#define S390 "s390x", "arch/s390/include/asm/pgtable.h"
#define LOONGARCH "loongarch64", "arch/loongarch/include/asm/pgtable.h"

/*
 * Within an architecture and page size, the geometry with the largest address space comes last: the probe
 * selects the last one that fits.
 */
const struct lz_geometry lz_geometry_table[] = {
	{"x86-64 4-level", X86, 12, 47, 4, {PTE(9), PMD(9), PUD(9), PGD(9)}},
	{"x86-64 5-level", X86, 12, 56, 5, {PTE(9), PMD(9), PUD(9), P4D(9), PGD(9)}},
	{"arm64 4K 39-bit", ARM64, 12, 39, 3, {PTE(9), PMD(9), PGD(9)}},
	{"arm64 4K 48-bit", ARM64, 12, 48, 4, {PTE(9), PMD(9), PUD(9), PGD(9)}},
	{"arm64 4K 52-bit", ARM64, 12, 52, 5, {PTE(9), PMD(9), PUD(9), P4D(9), PGD(4)}},
	{"arm64 16K 36-bit", ARM64, 14, 36, 2, {PTE(11), PGD(11)}},
	{"arm64 16K 47-bit", ARM64, 14, 47, 3, {PTE(11), PMD(11), PGD(11)}},
	{"arm64 16K 48-bit", ARM64, 14, 48, 4, {PTE(11), PMD(11), PUD(11), PGD(1)}},
	{"arm64 16K 52-bit", ARM64, 14, 52, 4, {PTE(11), PMD(11), PUD(11), PGD(5)}},
	{"arm64 64K 42-bit", ARM64, 16, 42, 2, {PTE(13), PGD(13)}},
	{"arm64 64K 48-bit", ARM64, 16, 48, 3, {PTE(13), PMD(13), PGD(6)}},
	{"arm64 64K 52-bit", ARM64, 16, 52, 3, {PTE(13), PMD(13), PGD(10)}},
	{"riscv64 sv39", RISCV, 12, 38, 3, {PTE(9), PMD(9), PGD(9)}},
	{"riscv64 sv48", RISCV, 12, 47, 4, {PTE(9), PMD(9), PUD(9), PGD(9)}},
	{"riscv64 sv57", RISCV, 12, 56, 5, {PTE(9), PMD(9), PUD(9), P4D(9), PGD(9)}},
	{"ppc64 radix 4K", PPC64, 12, 52, 4, {PTE(9), PMD(9), PUD(9), PGD(13)}},
	{"ppc64 radix 64K", PPC64, 16, 52, 4, {PTE(5), PMD(9), PUD(9), PGD(13)}},
	/* s390x adds a level when a mapping needs it. Asking for the upper half of 53 bits causes that. */
	{"s390x 3-level", S390, 12, 42, 3, {PTE(8), PMD(11), PGD(11)}},
	{"s390x 4-level", S390, 12, 53, 4, {PTE(8), PMD(11), PUD(11), PGD(11)}},
	{"loongarch64 4K 3-level", LOONGARCH, 12, 39, 3, {PTE(9), PMD(9), PGD(9)}},
	{"loongarch64 4K 4-level", LOONGARCH, 12, 48, 4, {PTE(9), PMD(9), PUD(9), PGD(9)}},
	{"loongarch64 16K 2-level", LOONGARCH, 14, 36, 2, {PTE(11), PGD(11)}},
	{"loongarch64 16K 3-level", LOONGARCH, 14, 47, 3, {PTE(11), PMD(11), PGD(11)}},
	{"loongarch64 64K 2-level", LOONGARCH, 16, 42, 2, {PTE(13), PGD(13)}},
	{"loongarch64 64K 3-level", LOONGARCH, 16, 55, 3, {PTE(13), PMD(13), PGD(13)}},
};

const size_t lz_geometry_count = sizeof lz_geometry_table / sizeof *lz_geometry_table;

/* For other architectures: tables of one page, as on most. */
static const struct lz_geometry assumed_4k = {
	"assumed 4K 4-level", "", "", 12, 47, 4, {PTE(9), PMD(9), PUD(9), PGD(9)}};
static const struct lz_geometry assumed_16k = {
	"assumed 16K 3-level", "", "", 14, 47, 3, {PTE(11), PMD(11), PGD(11)}};
static const struct lz_geometry assumed_64k = {
	"assumed 64K 3-level", "", "", 16, 55, 3, {PTE(13), PMD(13), PGD(13)}};

#if defined __x86_64__
static const char this_arch[] = "x86-64";
#elif defined __aarch64__
static const char this_arch[] = "arm64";
#elif defined __riscv
static const char this_arch[] = "riscv64";
#elif defined __powerpc64__
static const char this_arch[] = "ppc64";
#elif defined __s390x__
static const char this_arch[] = "s390x";
#elif defined __loongarch64
static const char this_arch[] = "loongarch64";
#else
static const char this_arch[] = "unknown";
#endif

const struct lz_geometry *lz_geometry_by_name(const char *name)
{
	for (size_t i = 0; i < lz_geometry_count; i++)
		if (strcmp(lz_geometry_table[i].name, name) == 0)
			return &lz_geometry_table[i];
	return NULL;
}

uint64_t lz_table_bytes(const struct lz_geometry *geometry, unsigned level)
{
	return UINT64_C(1) << (geometry->level[level].index_bits + ENTRY_SHIFT);
}

unsigned lz_table_span_shift(const struct lz_geometry *geometry, unsigned level)
{
	unsigned shift = geometry->page_shift;

	for (unsigned i = 0; i <= level; i++)
		shift += geometry->level[i].index_bits;
	return shift;
}

bool lz_level_needed(const struct lz_geometry *geometry, unsigned level, unsigned page_shift)
{
	return page_shift < lz_table_span_shift(geometry, level);
}

struct lz_tables lz_tables_of(
	const struct lz_geometry *geometry, uint64_t start, uint64_t end, unsigned page_shift)
{
	struct lz_tables tables = {{0}};

	for (unsigned level = 0; level < geometry->levels; level++) {
		unsigned shift = lz_table_span_shift(geometry, level);

		if (lz_level_needed(geometry, level, page_shift))
			tables.count[level] = shift >= 64 ? 1 : ((end - 1) >> shift) - (start >> shift) + 1;
	}
	return tables;
}

struct lz_tables lz_tables_minimum(const struct lz_geometry *geometry, uint64_t bytes, unsigned page_shift)
{
	return lz_tables_of(geometry, 0, bytes, page_shift);
}

uint64_t lz_tables_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables)
{
	uint64_t bytes = 0;

	for (unsigned level = 0; level < geometry->levels; level++)
		bytes += tables->count[level] * lz_table_bytes(geometry, level);
	return bytes;
}

uint64_t lz_tables_vmpte_bytes(const struct lz_geometry *geometry, const struct lz_tables *tables)
{
	uint64_t bytes = 0;

	for (unsigned level = 0; level < geometry->levels; level++)
		if (geometry->level[level].counted)
			bytes += tables->count[level] * lz_table_bytes(geometry, level);
	return bytes;
}

/*
 * Whether mmap returns an address in the upper half of the geometry's address range; *granted is that
 * address.
 */
static bool can_map_upper_half(const struct lz_os *os, const struct lz_geometry *geometry, uintptr_t *granted)
{
	uintptr_t hint = (uintptr_t)1 << (geometry->user_bits - 1);
	size_t page = (size_t)1 << geometry->page_shift;
	intptr_t at = os->mmap((void *)hint, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(at))
		return false;
	os->munmap((void *)at, page);
	*granted = (uintptr_t)at;
	return *granted >= hint;
}

/*
 * Returns by how much VmPTE grows when one page far from all others is touched; 0 if that cannot be measured.
 */
static uint64_t measure_one_page(const struct lz_os *os, uintptr_t address, unsigned page_shift)
{
	size_t page = (size_t)1 << page_shift;
	uint64_t before = 0, after = 0;
	intptr_t at = lz_fact_mmap_at(os, (void *)address, page, PROT_READ | PROT_WRITE, 0);

	if (lz_os_failed(at))
		return 0;
	if (lz_proc_value(os, "/proc/thread-self/status", "VmPTE:", &before) == 0) {
		*(volatile char *)at = 1;
		if (lz_proc_value(os, "/proc/thread-self/status", "VmPTE:", &after) != 0)
			after = before;
	}
	os->munmap((void *)at, page);
	return lz_sub_clamped(after, before);
}

static bool is_candidate(const struct lz_geometry *row, unsigned page_shift)
{
	return strcmp(row->arch, this_arch) == 0 && row->page_shift == page_shift;
}

/*
 * Whether touching one page was measured to cost what the row predicts. Retries, because page faults of other
 * threads may disturb a measurement.
 */
static bool is_confirmed(
	const struct lz_os *os, const struct lz_geometry *row, uintptr_t address, uint64_t *measured)
{
	struct lz_tables tables = lz_tables_minimum(row, 1, row->page_shift);

	for (int attempt = 0; attempt < 3; attempt++) {
		*measured = measure_one_page(os, address, row->page_shift);
		if (*measured == lz_tables_vmpte_bytes(row, &tables))
			return true;
	}
	return false;
}

const struct lz_geometry *lz_geometry_probe(const struct lz_os *os)
{
	unsigned page_shift = (unsigned)__builtin_ctzl(os->page_size());
	const struct lz_geometry *found = NULL;
	uintptr_t address = 0, granted = 0;
	uint64_t measured = 0;

	for (size_t i = 0; i < lz_geometry_count; i++) {
		const struct lz_geometry *row = &lz_geometry_table[i];

		if (is_candidate(row, page_shift) && can_map_upper_half(os, row, &granted)) {
			found = row;
			address = granted;
		}
	}
	if (found == NULL)
		return page_shift <= 12 ? &assumed_4k : page_shift <= 14 ? &assumed_16k : &assumed_64k;
	/* With other threads, whose page faults change VmPTE as well, no measurement can correct the table.
	 */
	if (is_confirmed(os, found, address, &measured) || measured == 0 ||
		!lz_process_is_single_threaded(os))
		return found;
	for (size_t i = 0; i < lz_geometry_count; i++) {
		const struct lz_geometry *row = &lz_geometry_table[i];
		struct lz_tables tables = lz_tables_minimum(row, 1, page_shift);

		if (is_candidate(row, page_shift) && lz_tables_vmpte_bytes(row, &tables) == measured)
			return row;
	}
	return found;
}
