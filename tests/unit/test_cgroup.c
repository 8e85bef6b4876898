/* os/cgroup.c: recorded trees of both versions, nested groups, containers, and missing files. */
#include <criterion/criterion.h>
#include <sys/sysinfo.h>

#include "accounting/budget_size.h"
#include "fake_os.h"
#include "os/cgroup.h"

#define GIB (UINT64_C(1) << 30)
#define MEMINFO                                                                                              \
	{                                                                                                    \
		"/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:  1 kB\n"                             \
	}
#define V2_MOUNT "25 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define V1_MOUNT "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
#define NONE                                                                                                 \
	{                                                                                                    \
		"/sys/fs/cgroup/memory.max", NULL                                                            \
	}

static struct lz_memory_limit limit_of(const struct fake_file *files)
{
	const struct lz_os *os = fake_os();
	struct lz_memory_limit limit;

	fake.files = files;
	limit = lz_memory_limit(os, "");
	cr_expect_eq(fake.mapped, fake.unmapped, "the work area is given back");
	return limit;
}

Test(cgroup, version_2_smallest_limit_of_all_ancestors)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda rw\n" V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/a.slice/b.service\n"},
		{"/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"},
		{"/sys/fs/cgroup/a.slice/memory.max", "1073741824\n"}, NONE, {0}};
	struct lz_memory_limit limit = limit_of(files);

	cr_expect_eq(limit.bytes, GIB);
	cr_expect(limit.from_cgroup);
}

Test(cgroup, version_1_with_other_hierarchies_mounted)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo",
			"34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" V1_MOUNT
			"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
		{"/proc/thread-self/cgroup", "9:name=systemd:/\n4:memory:/x/y\n3:cpuset:/z\n0::/\n"},
		{"/sys/fs/cgroup/unified/memory.max", NULL},
		{"/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "2147483648\n"},
		{"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}, {0}};
	struct lz_memory_limit limit = limit_of(files);

	cr_expect_eq(limit.bytes, 2 * GIB);
	cr_expect(limit.from_cgroup);
}

Test(cgroup, container_mounts_a_subtree)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo",
			"35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"},
		{"/proc/thread-self/cgroup", "4:memory:/docker/abc/inner\n"},
		{"/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "3221225472\n"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"}, {0}};

	cr_expect_eq(limit_of(files).bytes, GIB);
}

Test(cgroup, path_outside_the_mounted_subtree_uses_its_root)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "35 31 0:32 /docker/abc /cg rw - cgroup2 cgroup rw\n"},
		{"/proc/thread-self/cgroup", "0::/docker/abcdef\n"}, {"/cg/memory.max", "4294967296\n"}, {0}};

	cr_expect_eq(limit_of(files).bytes, 4 * GIB);
}

/* cgroup_namespaces(7): paths are relative to the root of the namespace, also of what lies above it. */
Test(cgroup, mount_and_process_outside_the_namespace_use_the_root_of_the_mount)
{
	static const struct fake_file process[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "35 31 0:32 / /cg rw - cgroup2 cgroup rw\n"},
		{"/proc/thread-self/cgroup", "0::/../other/group\n"}, {"/cg/memory.max", "4294967296\n"},
		{"/cg/../other/group/memory.max", "1\n"}, {"/cg/../other/memory.max", "1\n"},
		{"/cg/../memory.max", "1\n"}, {0}};
	static const struct fake_file mount[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "35 31 0:32 /../.. /cg rw - cgroup2 cgroup rw\n"},
		{"/proc/thread-self/cgroup", "0::/../../x\n"}, {"/cg/memory.max", "4294967296\n"},
		{"/cg/x/memory.max", "1\n"}, {0}};

	cr_expect_eq(limit_of(process).bytes, 4 * GIB);
	cr_expect_eq(limit_of(mount).bytes, 4 * GIB);
}

/* A hybrid hierarchy in which version 2 has the memory controller, and a container within a container. */
Test(cgroup, version_2_beside_version_1_without_memory)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
						"41 31 0:38 /docker/a/b /cg rw - cgroup2 cgroup2 rw\n"},
		{"/proc/thread-self/cgroup", "3:cpu:/z\n0::/docker/a/b/c/d\n"},
		{"/cg/c/d/memory.max", "max\n"}, {"/cg/c/memory.max", "3221225472\n"},
		{"/cg/memory.max", "5368709120\n"}, {0}};

	cr_expect_eq(limit_of(files).bytes, 3 * GIB);
}

Test(cgroup, limit_above_ram_is_ignored)
{
	static const struct fake_file files[] = {MEMINFO, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "99999999999999\n"},
		NONE, {0}};
	struct lz_memory_limit limit = limit_of(files);

	cr_expect_eq(limit.bytes, 16 * GIB);
	cr_expect_not(limit.from_cgroup);
}

Test(cgroup, malformed_files_impose_no_limit)
{
	static const struct fake_file files[] = {MEMINFO,
		{"/proc/thread-self/mountinfo", "\n-\n - \n35\n 1 2 3 4 5 6 - cgroup2\n" V2_MOUNT},
		{"/proc/thread-self/cgroup", "\n0\n0:\n:::\n0::\n"},
		{"/sys/fs/cgroup/memory.max", "banana\n"}, {0}};

	cr_expect_eq(limit_of(files).bytes, 16 * GIB);
}

Test(cgroup, limit_without_proc_is_the_memory_by_sysinfo)
{
	struct sysinfo info;
	static const struct fake_file files[] = {{"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};

	cr_assert_eq(sysinfo(&info), 0);
	cr_expect_eq(limit_of(files).bytes, (uint64_t)info.totalram * info.mem_unit);
}

/* Also where nothing else is known of the machine. */
Test(cgroup, version_1_without_a_limit_is_unlimited)
{
	static const struct fake_file files[] = {{"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", V1_MOUNT}, {"/proc/thread-self/cgroup", "4:memory:/x\n"},
		{"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854710272\n"}, {0}};
	struct lz_memory_limit limit = limit_of(files);

	cr_expect_not(limit.from_cgroup);
	cr_expect_lt(limit.bytes, UINT64_C(1) << 60);
}

Test(cgroup, limit_is_unknown_without_memory)
{
	const struct lz_os *os = fake_os();

	fake.fail_from[FAKE_MMAP] = 1;
	cr_expect_eq(lz_memory_limit(os, "").bytes, UINT64_MAX);
}

static uint64_t available_with(const struct fake_file *files)
{
	const struct lz_os *os = fake_os();
	uint64_t bytes;

	fake.files = files;
	bytes = lz_memory_available(os, "");
	cr_expect_eq(fake.mapped, fake.unmapped, "the work area is given back");
	return bytes;
}

#define AVAILABLE                                                                                            \
	{                                                                                                    \
		"/proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"          \
	}

static uint64_t a_twentieth(uint64_t total)
{
	return total / 20;
}

Test(cgroup, available_to_another_process_beyond_a_reserve)
{
	static const struct fake_file small[] = {AVAILABLE, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/own\n"}, {"/proc/77/cgroup", "0::/a\n"},
		{"/sys/fs/cgroup/own/memory.max", "0\n"}, {"/sys/fs/cgroup/a/memory.max", "209715200\n"},
		{"/sys/fs/cgroup/a/memory.high", "max\n"}, {"/sys/fs/cgroup/a/memory.current", "104857600\n"},
		{"/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 10485760\n"}, NONE,
		{"/sys/fs/cgroup/memory.high", NULL}, {0}};
	static const struct fake_file large[] = {AVAILABLE, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/77/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "4294967296\n"},
		{"/sys/fs/cgroup/a/memory.high", "2147483648\n"},
		{"/sys/fs/cgroup/a/memory.current", "1073741824\n"},
		{"/sys/fs/cgroup/a/memory.stat", "anon 5\n"}, NONE, {"/sys/fs/cgroup/memory.high", NULL},
		{0}};
	static const struct fake_file machine[] = {AVAILABLE, {"/proc/thread-self/mountinfo", NULL}, {0}};
	const struct lz_os *os = fake_os();

	fake.files = small;
	cr_expect_eq(lz_memory_available_beyond(os, "", 77, a_twentieth), (100u - 10 + 10) << 20);
	cr_expect_eq(lz_memory_available_beyond(os, "", 0, a_twentieth), 0u,
		"this process is in a group that is full");
	fake.files = large;
	cr_expect_eq(lz_memory_available_beyond(os, "", 77, a_twentieth),
		(UINT64_C(1) << 30) - (UINT64_C(2) << 30) / 20);
	fake.files = machine;
	cr_expect_eq(lz_memory_available_beyond(os, "", 77, a_twentieth),
		(UINT64_C(8) << 30) - (UINT64_C(16) << 30) / 20);
	cr_expect_eq(fake.mapped, fake.unmapped, "the work area is given back");
}

Test(cgroup, available_memory_is_the_minimum_of_version_2_groups)
{
	static const struct fake_file files[] = {AVAILABLE, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/a/b\n"}, {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
		{"/sys/fs/cgroup/a/b/memory.high", "1000000\n"},
		{"/sys/fs/cgroup/a/b/memory.current", "700000\n"},
		{"/sys/fs/cgroup/a/b/memory.stat", "anon 5\ninactive_file 200000\n"},
		{"/sys/fs/cgroup/a/memory.max", "900000\n"}, {"/sys/fs/cgroup/a/memory.high", "max\n"},
		{"/sys/fs/cgroup/a/memory.current", "800000\n"},
		{"/sys/fs/cgroup/a/memory.stat", "inactive_file 300000\n"}, NONE,
		{"/sys/fs/cgroup/memory.high", NULL}, {0}};

	/*
	 * The parent: 900000 - (800000 - 300000). The group itself has 1000000 - (700000 - 200000), which is
	 * more.
	 */
	cr_expect_eq(available_with(files), 400000);
}

Test(cgroup, available_memory_in_version_1)
{
	static const struct fake_file files[] = {AVAILABLE, {"/proc/thread-self/mountinfo", V1_MOUNT},
		{"/proc/thread-self/cgroup", "4:memory:/x\n"},
		{"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1000000\n"},
		{"/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "900000\n"},
		{"/sys/fs/cgroup/memory/x/memory.stat", "inactive_file 7\ntotal_inactive_file 100000\n"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
		{"/sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"},
		{"/sys/fs/cgroup/memory/memory.stat", NULL}, {0}};

	cr_expect_eq(available_with(files), 200000);
}

Test(cgroup, group_over_its_limit_has_no_available_memory)
{
	static const struct fake_file files[] = {AVAILABLE, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "1000\n"},
		{"/sys/fs/cgroup/a/memory.high", NULL}, {"/sys/fs/cgroup/a/memory.current", "2000\n"},
		{"/sys/fs/cgroup/a/memory.stat", NULL}, NONE, {"/sys/fs/cgroup/memory.high", NULL}, {0}};

	cr_expect_eq(available_with(files), 0);
}

Test(cgroup, available_memory_without_a_group_limit_is_mem_available)
{
	static const struct fake_file files[] = {
		AVAILABLE, {"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};
	static const struct fake_file nothing[] = {{"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};
	uint64_t bytes = available_with(nothing); /* from sysinfo(2) */

	cr_expect_eq(available_with(files), 8 * GIB);
	cr_expect(bytes > 0 && bytes < UINT64_MAX);
}

Test(budget, source_is_described)
{
	static const struct fake_file files[] = {MEMINFO, {"/proc/thread-self/mountinfo", V2_MOUNT},
		{"/proc/thread-self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "1073741824\n"},
		NONE, {0}};
	static const struct fake_file nothing[] = {{"/proc/meminfo", NULL},
		{"/proc/thread-self/mountinfo", NULL}, {"/proc/thread-self/cgroup", NULL}, {0}};
	struct lz_options options;
	struct lz_budget_size budget = {0};
	const struct lz_os *os = fake_os();
	struct sysinfo info;

	fake.files = files;
	lz_options_defaults(&options);
	lz_budget_size_resolve(&budget, os, &options.budget, "");
	cr_expect_eq(budget.bytes, GIB / 20);
	cr_expect_str_eq(budget.source, "5% of cgroup limit 1.00 GiB");
	cr_assert_eq(lz_option_set(&options, lz_option_by_name("BUDGET", 6), "64M"), 0);
	lz_budget_size_resolve(&budget, os, &options.budget, "");
	cr_expect_eq(budget.bytes, 64 << 20);
	cr_expect_str_eq(budget.source, "LAZYZERO_BUDGET=64M");
	fake.files = nothing;
	lz_options_defaults(&options);
	lz_budget_size_resolve(&budget, os, &options.budget, "");
	cr_assert_eq(sysinfo(&info), 0);
	cr_expect_eq(budget.bytes, (uint64_t)info.totalram * info.mem_unit / 20);
	fake.files = files;
	fake.fail_from[FAKE_MMAP] = 1;
	lz_budget_size_resolve(&budget, os, &options.budget, "");
	cr_expect_eq(budget.bytes, UINT64_MAX);
}

#define GROUP(limit)                                                                                         \
	{                                                                                                    \
		MEMINFO, {"/proc/thread-self/mountinfo", V2_MOUNT}, {"/proc/thread-self/cgroup", "0::/a\n"}, \
			{"/sys/fs/cgroup/a/memory.max", limit}, NONE,                                        \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

Test(budget, follows_a_limit_that_is_changed)
{
	static const struct fake_file small[] = GROUP("1073741824\n"), large[] = GROUP("4294967296\n");
	static const struct fake_file none[] = GROUP("max\n");
	static const struct fake_file no_proc[] = {MEMINFO, {"/proc/thread-self/mountinfo", NULL}, {0}};
	static const struct fake_file no_memberships[] = {
		MEMINFO, {"/proc/thread-self/mountinfo", V2_MOUNT}, {"/proc/thread-self/cgroup", NULL}, {0}};
	const struct lz_os *os = fake_os();
	struct lz_options options;
	struct lz_budget_size budget = {0};

	lz_options_defaults(&options);
	fake.files = small;
	lz_budget_size_resolve(&budget, os, &options.budget, "");
	cr_expect_not(lz_budget_size_update(&budget, os, &options.budget, ""));
	cr_expect_eq(budget.bytes, GIB / 20);
	fake.files = large;
	cr_expect(lz_budget_size_update(&budget, os, &options.budget, ""));
	cr_expect_eq(budget.bytes, 4 * GIB / 20);
	cr_expect_str_eq(budget.source, "5% of cgroup limit 4.00 GiB");
	fake.files = no_proc;
	cr_expect_not(lz_budget_size_update(&budget, os, &options.budget, ""));
	fake.files = no_memberships;
	cr_expect_not(lz_budget_size_update(&budget, os, &options.budget, ""));
	cr_expect_eq(budget.bytes, 4 * GIB / 20);
	fake.files = none;
	cr_expect(lz_budget_size_update(&budget, os, &options.budget, ""));
	cr_expect_eq(budget.bytes, 16 * GIB / 20);
	/* What the program sets itself does not follow. */
	lz_budget_size_set(&budget, 4096);
	fake.files = small;
	cr_expect(lz_budget_size_update(&budget, os, &options.budget, ""));
	cr_expect_eq(budget.bytes, 4096);
	cr_expect_eq(budget.memory, GIB);
	cr_expect_str_eq(budget.source, "lz_set_budget");
}
