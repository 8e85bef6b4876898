/* pagetables/census.c, sites/sites.c, sites/report.c: page counts, call-site counts, and the report file. */
#include "core_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "sites/report.h"
#include "kernel.h"

static struct lz_sites sites; /* zeroed, like the report's mapping */
static struct lz_site_table table;

static void fresh_sites(void)
{
	memset(&sites, 0, sizeof sites);
	lz_sites_init(&sites, &table, fake_os());
}

Test(sites, one_site_per_return_address)
{
	const char *here = (const char *)start_core;
	unsigned first, second;

	fresh_sites();
	first = lz_sites_find(&sites, here, "calloc");
	second = lz_sites_find(&sites, here + 16, "malloc");
	cr_expect_geq(first, LZ_SITE_FIRST);
	cr_expect_neq(first, second);
	cr_expect_eq(lz_sites_find(&sites, here, "calloc"), first);
	cr_expect_eq(table.site[first].frames, 1, "no caller of this test");
	cr_expect_eq(table.site[first].frame[0].module, table.site[second].frame[0].module);
	cr_expect_eq(table.site[second].frame[0].offset - table.site[first].frame[0].offset, 16);
	cr_expect_str_eq(table.site[second].call, "malloc");
	const struct lz_site_module *module = &table.modules.entry[table.site[first].frame[0].module];
	cr_expect_not_null(strstr(module->module.path, "unit"));
	cr_expect_not(module->module.deleted);
}

Test(sites, address_outside_any_file_is_kept_unchanged)
{
	void *code = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned site;

	fresh_sites();
	site = lz_sites_find(&sites, (char *)code + 7, "calloc");
	cr_expect_eq(table.site[site].frame[0].module, LZ_MODULE_NONE);
	cr_expect_eq(table.site[site].frame[0].offset, (uintptr_t)code + 7);
	cr_expect_eq(lz_sites_find(&sites, NULL, "calloc"), LZ_SITE_OTHER);
}

Test(sites, sites_beyond_a_full_table_are_counted_together)
{
	unsigned others = 0;

	fresh_sites();
	for (uintptr_t i = 1; i <= 2 * LZ_SITES; i++)
		others += lz_sites_find(&sites, (void *)(i * 64), "calloc") == LZ_SITE_OTHER;
	cr_expect_geq(others, LZ_SITES);
	for (uintptr_t i = 1; i <= 2 * LZ_SITES; i++)
		others -= lz_sites_find(&sites, (void *)(i * 64), "calloc") == LZ_SITE_OTHER;
	cr_expect_eq(others, 0, "each is found again");
}

Test(sites, peak_page_counts_and_largest_histogram)
{
	struct lz_site_usage small = {.regions = 1, .bytes = 100, .written = 40},
			     large = {.regions = 1, .bytes = 300};
	struct lz_cell_map cells = {.count = 3, .written = {1, 2, 3}}, other = {.count = 1};
	struct lz_site *site = &table.site[5];

	fresh_sites();
	lz_sites_note_allocated(&sites, 5, 300, 290);
	lz_sites_note_allocated(&sites, 5, 60, 55);
	lz_sites_note_grown(&sites, 5, 40);
	lz_sites_note_freed(&sites, 5, &large, &cells);
	lz_sites_note_freed(&sites, 5, &small, &other);
	lz_sites_note_allocated(&sites, 5, 200, 200);
	cr_expect_eq(site->count, 3);
	cr_expect_eq(site->requested, 290 + 55 + 40 + 200);
	cr_expect_eq(site->peak, 400);
	cr_expect_eq(site->live, 200);
	cr_expect_eq(site->freed.regions, 2);
	cr_expect_eq(site->freed.bytes, 400);
	cr_expect_eq(site->freed.written, 40);
	cr_expect_eq(site->largest, 300);
	cr_expect_eq(site->cells.count, 3);
}

Test(sites, live_regions_are_listed_until_they_are_freed)
{
	unsigned listed = 0;

	fresh_sites();
	for (uint64_t i = 1; i <= 1000; i++)
		lz_sites_list_region(&sites, i << 21, i * 4096, 7, i % 2 != 0);
	for (uint64_t i = 1; i <= 1000; i += 2)
		lz_sites_unlist_region(&sites, i << 21);
	lz_sites_unlist_region(&sites, 12345);
	for (unsigned i = 0; i < LZ_SITES_LIVE; i++) {
		const struct lz_listed_region *region = &table.live[i];

		if (region->base == 0)
			continue;
		listed++;
		cr_expect_eq(region->length, (region->base >> 21) * 4096);
		cr_expect_eq(region->site, 7);
		cr_expect_not(region->on_window);
	}
	cr_expect_eq(listed, 500);
}

/* --- census --- */

#define NEEDS_SCAN(at)                                                                                       \
	do {                                                                                                 \
		struct lz_census probe;                                                                      \
		if (lz_census_of_range(&probe, &lz_os_linux, lz_geometry_probe(&lz_os_linux),                \
			    (uintptr_t)(at), (uintptr_t)(at) + 4096) != 0)                                   \
			cr_skip_test("this kernel has no PAGEMAP_SCAN");                                     \
	} while (0)

static char *aligned(size_t bytes, int advice)
{
	char *at = mmap(NULL, bytes + 2 * MIB, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert_neq(at, MAP_FAILED);
	at += -(uintptr_t)at % (2 * MIB);
	madvise(at, bytes, advice);
	return at;
}

Test(census, distinguishes_written_read_and_untouched_pages)
{
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);
	volatile char *at = aligned(8 * MIB, MADV_NOHUGEPAGE);
	struct lz_census census;
	struct lz_census_histogram map;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	bool has_zero_page = kernel_has_zero_page();

	NEEDS_SCAN(at);
	at[0] = at[1] = at[6 * MIB] = 1;
	for (size_t i = 2 * MIB; i < 4 * MIB; i += page)
		(void)at[i];
	lz_census_init(&census, geometry, (uintptr_t)at, (uintptr_t)at + 8 * MIB);
	lz_census_histogram_init(&map, 8 * MIB, page);
	census.map = &map;
	cr_assert_eq(lz_census_walk(&census, &lz_os_linux), 0);
	if (has_zero_page) {
		cr_expect_eq(census.written, 2 * page);
		cr_expect_eq(census.zero_mapped, 2 * MIB);
		/* Two tables of the lowest level, and the proportion of 8 MiB in the higher ones. */
		if (geometry->level[0].index_bits == 9 && page == 4096)
			cr_expect_eq(census.window_share,
				2 * page + 8 * MIB / 512 / 512 +
					8 * MIB / 512 / 512 / 512 * geometry->level[2].counted);
	} else {
		cr_expect_eq(census.written + census.zero_mapped, 2 * MIB + 2 * page);
	}
	cr_expect_eq(census.window, 0);
	cr_expect_geq(census.table_bytes, 3 * page);
	cr_expect_leq(census.table_bytes, 6 * page);
	cr_expect_geq(census.table_share, 3 * page);
	cr_expect_lt(census.table_share, 4 * page);
	cr_expect_geq(map.cell_bytes, 8 * MIB / LZ_CENSUS_CELLS);
	cr_expect_eq(map.written[0], 1);
	cr_expect_eq(map.written[6 * MIB / map.cell_bytes], 1);
	if (has_zero_page)
		cr_expect_eq(map.zero[3 * MIB / map.cell_bytes], map.cell_bytes / page);
}

/* Tables that two ranges have in common are divided between them, not counted twice. */
Test(census, proportional_shares_of_neighbours_add_up)
{
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);
	char *at = aligned(8 * MIB, MADV_NOHUGEPAGE);
	uint64_t sum = 0, whole;
	struct lz_census census;

	NEEDS_SCAN(at);
	memset(at, 1, 8 * MIB);
	cr_assert_eq(
		lz_census_of_range(&census, &lz_os_linux, geometry, (uintptr_t)at, (uintptr_t)at + 8 * MIB),
		0);
	whole = census.table_share;
	cr_expect_eq(whole, lz_census_proportional_table_bytes(geometry, 8 * MIB, 0));
	cr_expect_eq(whole, census.window_share);
	for (size_t i = 0; i < 16; i++) {
		uintptr_t part = (uintptr_t)at + i * MIB / 2;

		cr_assert_eq(lz_census_of_range(&census, &lz_os_linux, geometry, part, part + MIB / 2), 0);
		sum += census.table_share;
	}
	cr_expect(sum <= whole && whole - sum < 16 * LZ_LEVELS_MAX, "%zu of %zu", (size_t)sum, (size_t)whole);
}

Test(census, huge_zero_page_is_not_counted_as_written)
{

	volatile char *at = aligned(8 * MIB, MADV_HUGEPAGE);
	struct lz_census census;

	NEEDS_SCAN(at);
	(void)at[0];
	(void)at[2 * MIB];
	at[4 * MIB] = 1;
	cr_assert_eq(lz_census_of_range(&census, &lz_os_linux, lz_geometry_probe(&lz_os_linux), (uintptr_t)at,
			     (uintptr_t)at + 8 * MIB),
		0);
	if (census.zero_mapped + census.written < 4 * MIB)
		cr_skip_test("transparent huge pages are not available");
	if (census.written == 6 * MIB)
		cr_skip_test("this kernel allocates huge pages for reads: it has no huge zero page");
	cr_expect_eq(census.zero_mapped, 4 * MIB);
	cr_expect_leq(census.written, 2 * MIB);
	cr_expect_leq(census.window_share, 2 * 4096);
}

/* --- the sample of zeros --- */

static struct lz_zero_sample sample;

/* The share of zeros, in percent, that a sample of at most `limit` pages finds in [at, at + bytes). */
static unsigned zero_percent(const char *at, size_t bytes, unsigned limit, uint64_t seed)
{
	struct lz_census census;
	uint64_t estimated, zero;

	lz_census_init(&census, lz_geometry_probe(&lz_os_linux), (uintptr_t)at, (uintptr_t)at + bytes);
	lz_zero_sample_init(&sample, (uintptr_t)at, census.geometry->page_shift, limit, seed);
	census.sample = &sample;
	cr_assert_eq(lz_census_walk(&census, &lz_os_linux), 0);
	zero = lz_zero_sample_estimate(&sample, &lz_os_linux, &estimated);
	return estimated == 0 ? 101 : (unsigned)(100 * zero / estimated);
}

Test(zero_sample, picks_one_page_of_each_stride)
{
	for (uint64_t pages = 1; pages < 5000; pages = pages * 3 / 2 + 1) {
		lz_zero_sample_init(&sample, 1 << 20, 12, 64, pages);
		/* In two parts with a gap of one page. */
		lz_zero_sample_offer(&sample, 1 << 20, (1 << 20) + (pages / 3 << 12));
		lz_zero_sample_offer(
			&sample, (1 << 20) + ((pages / 3 + 1) << 12), (1 << 20) + ((pages + 1) << 12));
		cr_expect_eq(sample.pages, pages);
		cr_expect_leq(sample.count, 64);
		cr_expect_geq(sample.count, pages < 64 ? pages : 32, "%zu of %zu", (size_t)sample.count,
			(size_t)pages);
		for (unsigned i = 0; i < sample.count; i++) {
			uint64_t number = sample.page[i] - (sample.page[i] > pages / 3);

			cr_expect_neq(sample.page[i], pages / 3, "the gap was not offered");
			cr_expect_eq(number / sample.stride, i);
		}
	}
}

Test(zero_sample, estimates_what_share_of_the_written_pages_holds_only_zeros)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = aligned(16 * MIB, MADV_NOHUGEPAGE);
	unsigned sum = 0, percent;

	NEEDS_SCAN(at);
	/* Every fourth page holds something, in its last byte. */
	for (size_t i = 0; i < 8 * MIB; i += page)
		*(volatile char *)(at + i + page - 1) = i / page % 4 == 0;
	percent = zero_percent(at, 16 * MIB, LZ_ZERO_SAMPLE_MAX, 0);
	cr_expect(percent >= 60 && percent <= 90, "%u%%", percent);
	/* Many small samples of the same pages agree on average. */
	for (uint64_t seed = 0; seed < 200; seed++)
		sum += zero_percent(at, 16 * MIB, 2, seed);
	cr_expect(sum >= 200 * 62 && sum <= 200 * 88, "%u%%", sum / 200);
	for (size_t i = 0; i < 8 * MIB; i += page)
		*(volatile char *)(at + i + page - 1) = 0;
	cr_expect_eq(zero_percent(at, 16 * MIB, 64, 0), 100);
	memset(at, 1, 8 * MIB);
	cr_expect_eq(zero_percent(at, 16 * MIB, 64, 0), 0);
}

Test(zero_sample, written_huge_pages_of_zeros_are_not_the_zero_page)
{
	char *at = aligned(8 * MIB, MADV_HUGEPAGE);
	struct lz_census census;

	NEEDS_SCAN(at);
	for (size_t i = 0; i < 8 * MIB; i += 4096)
		*(volatile char *)(at + i) = 0;
	cr_assert_eq(lz_census_of_range(&census, &lz_os_linux, lz_geometry_probe(&lz_os_linux), (uintptr_t)at,
			     (uintptr_t)at + 8 * MIB),
		0);
	cr_expect_eq(census.written, 8 * MIB);
	cr_expect_eq(census.zero_mapped, 0);
	cr_expect_eq(zero_percent(at, 8 * MIB, 64, 0), 100);
}

Test(zero_sample, pages_that_may_not_be_read_are_left_out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = aligned(4 * MIB, MADV_NOHUGEPAGE);

	NEEDS_SCAN(at);
	memset(at, 1, 4 * MIB);
	memset(at + 2 * MIB, 0, 2 * MIB);
	cr_assert_eq(mprotect(at, 2 * MIB, PROT_NONE), 0);
	cr_expect_eq(zero_percent(at, 4 * MIB, 64, 0), 100, "only zeros can be read");
	cr_assert_eq(mprotect(at, 4 * MIB, PROT_NONE), 0);
	cr_expect_eq(zero_percent(at, 4 * MIB, 64, 0), 101, "nothing can be read");
	cr_assert_eq(mprotect(at, 4 * MIB, PROT_READ | PROT_WRITE), 0);
	/* Unmapped between the walk and the reading. */
	lz_zero_sample_init(&sample, (uintptr_t)at, (unsigned)__builtin_ctzl(page), 64, 0);
	lz_zero_sample_offer(&sample, (uintptr_t)at, (uintptr_t)at + 4 * MIB);
	munmap(at, 4 * MIB);
	uint64_t estimated;
	cr_expect_eq(lz_zero_sample_estimate(&sample, &lz_os_linux, &estimated), 0);
	cr_expect_eq(estimated, 0);
}

/* --- the report --- */

static char path[64], variable[96], text[1 << 20];
static char *report_env[] = {"LAZYZERO_THP=never", "LAZYZERO_BACKING=zeropage", variable, NULL};

static void start_reporting(void)
{
	int fd;

	strcpy(path, "/tmp/lazyzero-unit-XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
	snprintf(variable, sizeof variable, "LAZYZERO_REPORT=%s", path);
	start_core(report_env);
	cr_assert_not_null(core.reporter.report);
}

static const char *reported(void)
{
	FILE *file = fopen(path, "r");
	size_t length = fread(text, 1, sizeof text - 1, file);

	text[length] = '\0';
	fclose(file);
	unlink(path);
	return text;
}

static unsigned lines_with(const char *word)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		count++;
	return count;
}

Test(report, is_not_written_by_default)
{
	void *p;

	start_core(no_log_env);
	cr_expect_null(core.reporter.report);
	cr_assert_eq(allocate(2 * MIB, &p), 0);
	cr_expect_eq(lz_regions_find(&core.books.regions, (uintptr_t)p)->site, LZ_SITE_NONE);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	lz_report_write_at_exit(&core.reporter);
	cr_expect_eq(lz_report_signal(&core.reporter), 0);
}

Test(report, contains_a_line_for_each_site_and_region)
{
	void *p, *q, *r;

	start_reporting();
	cr_expect(core.cache.drops_pages, "cached regions would be reported as written");
	cr_assert_eq(allocate(4 * MIB, &p), 0);
	cr_assert_eq(allocate(2 * MIB, &q), 0);
	NEEDS_SCAN(p);
	memset(p, 1, 3 * MIB);
	unsigned site = lz_regions_find(&core.books.regions, (uintptr_t)p)->site;
	cr_assert_eq(resize(p, 64 * MIB, &r), 0);
	cr_expect_eq(
		lz_regions_find(&core.books.regions, (uintptr_t)r)->site, site, "the region keeps its site");
	cr_assert_eq(resize(r, 2 * MIB, &p), 0);
	cr_expect_eq(lz_heap_free(&core.heap, q), 0);
	lz_core_close(&core);
	reported();
	cr_expect_eq(lines_with("{\"lazyzero_report\":1,"), 1);
	cr_expect_eq(lines_with("{\"module\":0,"), 1);
	cr_expect_eq(lines_with("{\"region\":"), 1);
	cr_expect_eq(lines_with("{\"site\":"), 2);
	char end[32];
	snprintf(end, sizeof end, "{\"end\":%u,", lines_with("\n") - 1);
	cr_expect_eq(lines_with(end), 1, "%s", text);
	/*
	 * The part that realloc cut off had 1 MiB written and the rest untouched; 2 MiB of written memory are
	 * still live.
	 */
	cr_expect_eq(
		lines_with("\"count\":1,\"asked\":67108864,\"peak\":67108864,\"alive\":2097152,\"regions\":1,"
			   "\"bytes\":67108864,\"written\":3145728,\"written_zero\":0,\"zero\":0,"
			   "\"untouched\":63963136,"),
		1, "%s", text);
	cr_expect_eq(lines_with("\"freed\":2097152,"), 1);
	cr_expect_eq(text[strlen(text) - 1], '\n');
}

/* Zeros are found in what was freed, and in what is live. */
Test(report, estimates_written_zeros)
{
	void *p, *q;

	start_reporting();
	cr_assert_eq(allocate(4 * MIB, &p), 0);
	cr_assert_eq(allocate(2 * MIB, &q), 0);
	NEEDS_SCAN(p);
	for (size_t i = 0; i < 4 * MIB; i += 64)
		((volatile char *)p)[i] = 0;
	memset(q, 1, 2 * MIB);
	for (size_t i = 0; i < MIB; i += 64)
		((volatile char *)q)[i] = 1;
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	lz_core_close(&core);
	reported();
	cr_expect_eq(lines_with("\"bytes\":2097152,\"written\":2097152,\"written_zero\":0,"), 2, "%s", text);
	cr_expect_eq(
		lines_with("\"bytes\":4194304,\"written\":4194304,\"written_zero\":4194304,"), 1, "%s", text);
}

static int no_ioctl(int fd, unsigned long request, void *argument)
{
	(void)fd;
	(void)request;
	(void)argument;
	return -ENOTTY;
}

Test(report, marks_unknown_values_without_pagemap_scan)
{
	struct lz_os before;
	void *p, *q;

	start_reporting();
	before = *core.os;
	before.ioctl = no_ioctl;
	core.reporter.os = &before;
	cr_assert_eq(allocate(2 * MIB, &p), 0);
	cr_assert_eq(allocate(2 * MIB, &q), 0);
	cr_expect_eq(lz_heap_free(&core.heap, p), 0);
	lz_report_write(&core.reporter);
	reported();
	cr_expect_eq(lines_with("\"reason\":\"signal\""), 1);
	cr_expect_eq(lines_with("\"written\":null,\"written_zero\":null,\"zero\":null,"
				"\"untouched\":null,\"tables\":null,"),
		3, "%s", text);
	cr_expect_eq(lines_with("\"bytes\":2097152,"), 3);
}

Test(report, full_disk_is_reported_once)
{
	void *p;

	start_reporting();
	cr_assert_eq(allocate(2 * MIB, &p), 0);
	fake.error = -ENOSPC;
	fake.fail_from[FAKE_WRITE] = fake.calls[FAKE_WRITE] + 1;
	lz_report_write(&core.reporter);
	fake.fail_from[FAKE_WRITE] = 0;
	lz_report_write(&core.reporter);
	reported();
	cr_expect_eq(lines_with("{\"lazyzero_report\":1,"), 1, "the second report is complete");
	cr_expect_eq(lines_with("{\"end\":"), 1);
	fake.fail_at[FAKE_OPEN] = fake.calls[FAKE_OPEN] + 1;
	lz_report_write_at_exit(&core.reporter);
	unlink(path);
}

Test(report, unusable_paths_are_reported_at_startup)
{
	static char *const nowhere[] = {"LAZYZERO_REPORT=/nowhere/report", NULL};

	start_core(nowhere);
	cr_expect_not_null(
		strstr(fake.written, "no report: cannot write LAZYZERO_REPORT=\"/nowhere/report\": No "
				     "such file or directory"),
		"%s", fake.written);
	size_t said = fake.written_length;

	lz_core_close(&core);
	cr_expect_eq(fake.written_length, said, "once");
}
