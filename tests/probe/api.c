/*
 * Tests the public API from a program that is not linked with the library and finds it by dlsym. The results
 * of lz_region_info and lz_cost are compared with what the kernel reports.
 */
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kernel.h"
#include "lazyzero.h"

#define UNTOUCHED 77

static struct {
	const char *(*version)(void);
	uint64_t (*cost)(const void *, size_t);
	int (*stats)(struct lz_statistics *, size_t);
	int (*set_budget)(uint64_t);
	void *(*alloc)(size_t, enum lz_backing_kind);
	int (*free)(void *);
	int (*region_info)(const void *, struct lz_region *);
	int (*zero)(void *, size_t);
} api;

static bool find_api(void)
{
#define FIND(member) (*(void **)&api.member = dlsym(RTLD_DEFAULT, "lz_" #member))
	FIND(version);
	FIND(cost);
	FIND(stats);
	FIND(set_budget);
	FIND(alloc);
	FIND(free);
	FIND(region_info);
	FIND(zero);
	return CHECK(api.version && api.cost && api.stats && api.set_budget && api.alloc && api.free &&
			     api.region_info && api.zero,
		"a function of the API is missing");
}

#define CHECK_FAILS(call, code)                                                                              \
	do {                                                                                                 \
		errno = UNTOUCHED;                                                                           \
		CHECK((call) == -1 && errno == (code), #call " set errno to %d", errno);                     \
	} while (0)

static void check_cost(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *far = (char *)0x100000000000;
	uint64_t one;

	CHECK_EQUAL(api.cost(NULL, 0), 0);
	CHECK_EQUAL(api.cost(far, 0), 0);
	CHECK_EQUAL(api.cost((void *)-4096, 8192), LZ_UNKNOWN);
	CHECK_EQUAL(api.cost((void *)1, SIZE_MAX), LZ_UNKNOWN);
	one = api.cost(far, page);
	CHECK(one >= page && one <= 5 * page, "one page costs %llu", (unsigned long long)one);
	CHECK_EQUAL(api.cost(far + 1, 1), one);
	/* Touching the page costs exactly that. */
	if (mmap(far, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) == far) {
		size_t before = probe_status("VmPTE:");

		CHECK_EQUAL(api.cost(far, page), 0);
		far[0] = 1;
		CHECK_EQUAL(probe_status("VmPTE:") - before, one);
		munmap(far, page);
		CHECK_EQUAL(api.cost(far, page), one);
	}
#ifdef __x86_64__
	CHECK_EQUAL(api.cost(NULL, 512 * GB), GB + 2 * MB + 4096);
	CHECK_EQUAL(one, 3 * 4096);
#endif
}

static void check_statistics(void)
{
	struct lz_statistics before, with, after;
	char large_struct[sizeof before + 64];
	char *p;

	CHECK_FAILS(api.stats(&before, 0), EINVAL);
	errno = UNTOUCHED;
	CHECK_EQUAL(api.stats(&before, sizeof before), 0);
	p = opaque_pointer(calloc(1, 70 * MB));
	p[0] = 1;
	CHECK_EQUAL(api.stats(&with, sizeof with), 0);
	CHECK_EQUAL(with.actual, probe_status("VmPTE:"));
	free(p);
	CHECK_EQUAL(api.stats(&after, sizeof after), 0);
	CHECK_EQUAL(errno, UNTOUCHED);
	CHECK_EQUAL(with.regions, before.regions + 1);
	CHECK_EQUAL(with.regions_total, before.regions_total + 1);
	CHECK_EQUAL(with.region_bytes, before.region_bytes + 70 * MB);
	CHECK_EQUAL(with.region_bytes_total, before.region_bytes_total + 70 * MB);
	CHECK_EQUAL(after.regions, before.regions);
	CHECK_EQUAL(after.region_bytes, before.region_bytes);
	CHECK_EQUAL(after.committed, before.committed);
	CHECK_EQUAL(after.refused, before.refused);
	CHECK(with.committed >= before.committed + 35 * 4096, "committed grew from %llu to %llu",
		(unsigned long long)before.committed, (unsigned long long)with.committed);
	CHECK(after.committed_peak >= with.committed && after.actual_peak >= with.actual,
		"a peak is below what was seen");
	CHECK(with.budget != 0 && with.budget != LZ_UNKNOWN, "budget is %llu",
		(unsigned long long)with.budget);

	/* Callers with an older, shorter struct or a newer, longer one. */
	memset(&after, 0xee, sizeof after);
	CHECK_EQUAL(api.stats(&after, 8), 0);
	CHECK_EQUAL(after.budget, with.budget);
	CHECK_EQUAL(after.committed, 0xeeeeeeeeeeeeeeee);
	memset(large_struct, 0xee, sizeof large_struct);
	CHECK_EQUAL(api.stats((void *)large_struct, sizeof large_struct), 0);
	CHECK(large_struct[sizeof large_struct - 1] == 0, "fields the library does not know are not 0");
}

static void check_regions(void)
{
	const size_t size = 64 * MB, page = (size_t)sysconf(_SC_PAGESIZE);
	struct lz_region info;
	volatile char *p;
	char sum = 0;

	errno = UNTOUCHED;
	p = api.alloc(size - 5, LZ_ZEROPAGE);
	if (!CHECK(p != NULL, "lz_alloc gave NULL"))
		return;
	CHECK_EQUAL(errno, UNTOUCHED);
	CHECK_EQUAL(malloc_usable_size((void *)p), size);
	CHECK_EQUAL(api.region_info((void *)(p + 12345), &info), 0);
	CHECK(info.base == (void *)p, "base is %p, expected %p", info.base, (void *)p);
	CHECK_EQUAL(info.size, size);
	CHECK_EQUAL(info.backing, LZ_ZEROPAGE);
	if (info.resident_bytes == LZ_UNKNOWN) {
		fprintf(stderr, "page counts are unknown on this kernel\n");
		api.free((void *)p);
		return;
	}
	CHECK_EQUAL(info.resident_bytes, 0);
	CHECK_EQUAL(info.zero_mapped_bytes, 0);
	CHECK_EQUAL(info.page_table_bytes, 0);
	madvise((void *)p, size, MADV_NOHUGEPAGE);

	/*
	 * Reads map the zero page, writes allocate. Skipped on machines without a zero page; api.sh reports
	 * that.
	 */
	for (size_t at = 0; at < size; at += page)
		sum = (char)(sum + p[at]);
	CHECK_EQUAL(sum, 0);
	for (size_t i = 0; i < 100; i++)
		p[i * 40 * page] = 1;
	CHECK_EQUAL(api.region_info((void *)p, &info), 0);
	CHECK_EQUAL(info.resident_bytes + info.zero_mapped_bytes, size);
	if (kernel_has_zero_page())
		CHECK_EQUAL(info.resident_bytes, 100 * page);
	CHECK(info.page_table_bytes >= size / page * 8, "page tables are %llu",
		(unsigned long long)info.page_table_bytes);

	/* lz_zero drops whole pages and clears the rest. */
	p[40 * page + 1] = p[40 * page - 1] = p[81 * page] = 2;
	errno = UNTOUCHED;
	CHECK_EQUAL(api.zero((void *)(p + 40 * page + 1), 41 * page), 0);
	CHECK_EQUAL(errno, UNTOUCHED);
	CHECK(p[40 * page - 1] == 2 && p[40 * page] == 1 && p[40 * page + 1] == 0 && p[80 * page] == 0 &&
			p[81 * page] == 0,
		"lz_zero cleared the wrong bytes");
	CHECK_EQUAL(api.zero((void *)p, size), 0);
	CHECK_EQUAL(api.region_info((void *)p, &info), 0);
	CHECK_EQUAL(info.resident_bytes, 0);
	CHECK_FAILS(api.zero((void *)p, size + 1), EINVAL);
	CHECK_FAILS(api.zero((void *)p, SIZE_MAX), EINVAL);
	CHECK_FAILS(api.zero((void *)(p + 5), size - 4), EINVAL);
	CHECK_FAILS(api.zero(&info, 1), EINVAL);
	CHECK_FAILS(api.region_info(&info, &info), EINVAL);
	CHECK_FAILS(api.region_info(NULL, &info), EINVAL);
	CHECK_FAILS(api.region_info((void *)(p + size), &info), EINVAL);
	CHECK_FAILS(api.free((void *)(p + 4096)), EINVAL);
	CHECK_FAILS(api.free(&info), EINVAL);
	CHECK_EQUAL(api.free((void *)p), 0);
	CHECK_FAILS(api.free((void *)p), EINVAL);
	CHECK_FAILS(api.region_info((void *)p, &info), EINVAL);
	CHECK_EQUAL(api.free(NULL), 0);
}

static void check_allocation(void)
{
	char *p;
	struct lz_region info;

	errno = UNTOUCHED;
	CHECK(api.alloc(0, LZ_AUTO) == NULL && errno == EINVAL, "lz_alloc(0) set errno to %d", errno);
	errno = UNTOUCHED;
	CHECK(api.alloc(4096, (enum lz_backing_kind)99) == NULL && errno == EINVAL,
		"an unknown backing: errno %d", errno);
	errno = UNTOUCHED;
	CHECK(api.alloc(opaque(SIZE_MAX), LZ_AUTO) == NULL && errno == ENOMEM, "lz_alloc(SIZE_MAX): errno %d",
		errno);
	errno = UNTOUCHED;
	CHECK(api.alloc(opaque((size_t)1 << 62), LZ_AUTO) == NULL && errno == ENOMEM,
		"lz_alloc(4 EiB): errno %d", errno);

	/* A block below every threshold, passed to the malloc family. */
	p = api.alloc(100, LZ_AUTO);
	CHECK(p != NULL && malloc_usable_size(p) >= 100 && p[99] == 0, "lz_alloc(100) gave %p", (void *)p);
	CHECK(api.region_info(p, &info) == 0 && info.base == p, "lz_alloc(100) is no region");
	p[99] = 5;
	p = opaque_pointer(realloc(p, 3 * MB));
	CHECK(p != NULL && p[99] == 5, "realloc of an lz_alloc block lost contents");
	free(p);

	/* A block of the malloc family, passed to the API. */
	p = opaque_pointer(calloc(1, 3 * MB));
	CHECK(api.region_info(p + MB, &info) == 0 && info.base == p && info.size == 3 * MB,
		"calloc's region is unknown");
	CHECK_EQUAL(api.zero(p, 3 * MB), 0);
	CHECK_EQUAL(api.free(p), 0);
	p = opaque_pointer(malloc(100));
	CHECK_FAILS(api.free(p), EINVAL);
	CHECK_FAILS(api.region_info(p, &info), EINVAL);
	free(p);
}

static void check_budget(void)
{
	struct lz_statistics statistics;

	CHECK_EQUAL(api.set_budget(123 * MB), 0);
	CHECK_EQUAL(api.stats(&statistics, sizeof statistics), 0);
	CHECK_EQUAL(statistics.budget, 123 * MB);
}

int probe_main(void)
{
	if (!probe_preloaded())
		return 0;
	if (!find_api())
		return 1;
	CHECK(api.version()[0] >= '0' && api.version()[0] <= '9', "the version is \"%s\"", api.version());
	check_cost();
	check_allocation();
	check_statistics();
	check_regions();
	check_budget();
	fflush(stdout);
	return probe_status_of_checks();
}
