/* accounting/statistics.c: the statistics file as other processes read it, and files that are not one. */
#include "core_fixture.h"

#include <stdio.h>

Test(statistics, other_files_are_not_overwritten)
{
	char path[] = "/tmp/lz-notes-XXXXXX", variable[64] = "LAZYZERO_STATS=", content[8] = "";
	char *envp[] = {variable, NULL};
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "my notes", 8), 8);
	strcat(variable, path);
	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, fake_os(), envp, "prog"), 0);
	cr_expect_not_null(strstr(fake.written, "File exists"), "%s", fake.written);
	cr_assert_eq(pread(fd, content, 8, 0), 8);
	cr_expect_eq(memcmp(content, "my notes", 8), 0);
	close(fd);
	unlink(path);
}

Test(statistics, file_contains_the_counters)
{
	char path[] = "/tmp/lz-stats-XXXXXX", variable[64] = "LAZYZERO_STATS=";
	char *envp[] = {"LAZYZERO_LOG=none", variable, NULL};
	struct lz_wire wire;
	void *p = NULL;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	strcat(variable, path);
	start_core(envp);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	cr_assert_eq(pread(fd, &wire, sizeof wire, 0), (ssize_t)sizeof wire);
	cr_expect_str_eq(wire.magic, LZ_WIRE_MAGIC);
	cr_expect_eq(wire.version, LZ_WIRE_VERSION);
	cr_expect_eq(wire.size, sizeof wire);
	cr_expect_eq(wire.pid, (uint64_t)getpid());
	cr_expect_eq(wire.state, LZ_WIRE_RUNNING);
	cr_expect_eq(wire.regions, 1);
	cr_expect_eq(wire.region_bytes, 64 * MIB);
	cr_expect_geq(wire.committed, 32 * 4096);
	cr_expect_str_eq(wire.executable, "prog");
	cr_expect_neq(wire.start_time, 0);
	lz_core_close(&core);
	cr_assert_eq(pread(fd, &wire, sizeof wire, 0), (ssize_t)sizeof wire);
	cr_expect_eq(wire.state, LZ_WIRE_EXITED);
	/* As after exec: the same process continues its totals. */
	start_core(envp);
	cr_expect_eq(core.books.stats.wire->regions_total, 1);
	cr_expect_eq(core.books.stats.wire->regions, 0);
	close(fd);
	unlink(path);
}

Test(statistics, unusable_file_is_reported)
{
	char *envp[] = {"LAZYZERO_STATS=/dev/full", NULL};
	void *p = NULL;

	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, fake_os(), envp, "prog"), 0);
	cr_expect_not_null(strstr(fake.written, "no statistics"), "%s", fake.written);
	cr_expect_eq(allocate(MIB, &p), 0);
}

Test(statistics, page_is_found_in_memory)
{
	char *envp[] = {"LAZYZERO_LOG=none", NULL};
	uintptr_t page;
	bool alone = false;
	char line[512];
	void *p = NULL;
	FILE *maps;

	start_core(envp);
	cr_assert_eq(allocate(64 * MIB, &p), 0);
	page = (uintptr_t)core.books.stats.wire;
	cr_expect_eq(core.books.stats.wire->regions, 1);
	cr_expect(!lz_stats_in_file(&core.books.stats));
	/* The command searches mappings of one page, so no other memory may be part of this one. */
	maps = fopen("/proc/self/maps", "r");
	cr_assert_not_null(maps);
	while (fgets(line, sizeof line, maps) != NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx rw-p", &start, &end) == 2 && start == page)
			alone = end - start == (unsigned long)getpagesize();
	}
	fclose(maps);
	cr_expect(alone, "the page is part of a larger mapping");
}

Test(statistics, no_page_where_the_library_is_not_active)
{
	char *envp[] = {"LAZYZERO_DISABLE=1", NULL};

	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, fake_os(), envp, "prog"), 0);
	cr_expect_eq(core.books.stats.wire, &core.books.stats.unpublished);
}
