/* os/procfs.c: lines of any length, values, valid and invalid maps lines, modules. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_os.h"
#include "os/procfs.h"

Test(procfs, long_lines_are_truncated)
{
	static char content[20000];
	static struct fake_file files[] = {{"/f", content}, {0}};
	const struct lz_os *os = fake_os();
	struct lz_line_reader lines;
	char *line;

	strcpy(content, "short\n");
	memset(content + 6, 'x', 9000);
	strcpy(content + 9006, "\nafter\n\nlast");
	fake.files = files;
	cr_assert_eq(lz_line_reader_open(&lines, os, "/f"), 0);
	cr_expect_str_eq(lz_line_reader_next(&lines), "short");
	line = lz_line_reader_next(&lines);
	cr_expect_eq(strspn(line, "x"), strlen(line));
	cr_expect_gt(strlen(line), 1000);
	cr_expect_str_eq(lz_line_reader_next(&lines), "after");
	cr_expect_str_eq(lz_line_reader_next(&lines), "");
	cr_expect_str_eq(lz_line_reader_next(&lines), "last");
	cr_expect_null(lz_line_reader_next(&lines));
	lz_line_reader_close(&lines);
}

Test(procfs, read_error_ends_the_file)
{
	static struct fake_file files[] = {{"/f", "a\nb\n"}, {0}};
	const struct lz_os *os = fake_os();
	struct lz_line_reader lines;

	fake.files = files;
	fake.fail_from[FAKE_READ] = 1;
	fake.error = -EIO;
	cr_assert_eq(lz_line_reader_open(&lines, os, "/f"), 0);
	cr_expect_null(lz_line_reader_next(&lines));
	lz_line_reader_close(&lines);
}

Test(procfs, values)
{
	static struct fake_file files[] = {
		{"/s", "VmPTEX:\t 1 kB\nVmPTE:\t     448 kB\nThreads:\t3\nBad:\tx\n"}, {0}};
	const struct lz_os *os = fake_os();
	uint64_t value = 0;

	fake.files = files;
	cr_expect_eq(lz_proc_value(os, "/s", "VmPTE:", &value), 0);
	cr_expect_eq(value, 448 * 1024);
	cr_expect_eq(lz_proc_value(os, "/s", "Threads:", &value), 0);
	cr_expect_eq(value, 3);
	cr_expect_eq(lz_proc_value(os, "/s", "Bad:", &value), -EINVAL);
	cr_expect_eq(lz_proc_value(os, "/s", "None:", &value), -ENOENT);
	cr_expect_eq(lz_proc_value(os, "/none/such", "VmPTE:", &value), -ENOENT);
}

Test(procfs, maps_lines)
{
	static const char *const bad[] = {"", "1000", "1000-", "1000-2000", "1000-2000 rw",
		"2000-1000 rw-p 0 0:0 0", "1000-1000 rw-p 0 0:0 0", "x-y rw-p 0 0:0 0",
		"1000-2000 rw-p 0 0 0", "fffffffffffffffff-1 rw-p 0 0:0 0"};
	struct lz_mapping mapping;

	cr_expect_eq(lz_mapping_parse("7f0000000000-7f0000200000 r-xp 00001000 fd:01 1234   /usr/lib/a b.so",
			     &mapping),
		0);
	cr_expect_eq(mapping.start, 0x7f0000000000);
	cr_expect_eq(mapping.end, 0x7f0000200000);
	cr_expect(mapping.readable && !mapping.writable && mapping.executable && !mapping.shared);
	cr_expect_eq(mapping.offset, 0x1000);
	cr_expect_eq(mapping.device, UINT64_C(0xfd) << 32 | 1);
	cr_expect_eq(mapping.inode, 1234);
	cr_expect_str_eq(mapping.path, "/usr/lib/a b.so");
	cr_expect_eq(lz_mapping_parse("1000-2000 ---s 00000000 00:00 0 ", &mapping), 0);
	cr_expect(!mapping.readable && mapping.shared);
	cr_expect_str_eq(mapping.path, "");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_eq(lz_mapping_parse(bad[i], &mapping), -EINVAL, "\"%s\"", bad[i]);
}

Test(procfs, modules)
{
	static struct fake_file files[] = {
		{"/maps", "401000-402000 r--p 00000000 08:01 5 /bin/prog\n402000-403000 r-xp 00001000 08:01 "
			  "5 /bin/prog\n"
			  "404000-405000 rw-p 00000000 00:00 0 [heap]\n"
			  "7f0000009000-7f000000a000 r--p 00000000 08:01 6 /lib/x.so\n"
			  "7f000000a000-7f000000b000 r-xp 00001000 08:01 6 /lib/x.so (deleted)\n"
			  "7f0000010000-7f0000011000 r-xp 0000d000 08:01 7 /lib/ffi.so\n"
			  "7f0000012000-7f0000013000 r--p 00000000 08:01 7 /lib/ffi.so\n"
			  "7f0000013000-7f0000014000 r-xp 00001000 08:01 7 /lib/ffi.so\n"
			  "7f0000014000-7f0000015000 rw-p 00000000 08:01 7 /lib/ffi.so\n"},
		{0}};
	const struct lz_os *os = fake_os();
	char name[8];
	uint64_t offset = 0;

	fake.files = files;
	cr_expect_eq(lz_module_and_offset(os, "/maps", 0x402189, name, sizeof name, &offset), 0);
	cr_expect_str_eq(name, "prog");
	cr_expect_eq(offset, 0x402189, "a program linked at a fixed address");
	cr_expect_eq(lz_module_and_offset(os, "/maps", 0x7f000000a010, name, sizeof name, &offset), 0);
	cr_expect_str_eq(name, "x.so");
	cr_expect_eq(offset, 0x1010);
	cr_expect_eq(lz_module_and_offset(os, "/maps", 0x7f0000013010, name, sizeof name, &offset), 0);
	cr_expect_eq(offset, 0x1010, "a part of the file that is mapped in front of it is not its start");
	cr_expect_eq(lz_module_and_offset(os, "/maps", 0x404100, name, sizeof name, &offset), -ENOENT);
	cr_expect_eq(lz_module_and_offset(os, "/maps", 0x7fffffff000, name, sizeof name, &offset), -ENOENT);
	cr_expect_eq(lz_module_and_offset(os, "/none/such", 0x402189, name, sizeof name, &offset), -ENOENT);
}
