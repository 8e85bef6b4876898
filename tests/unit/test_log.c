/* support/log.c: the format of lines, targets, limits, and descriptors that were reused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_os.h"
#include "support/log.h"

static const struct lz_event refused = {
	.kind = LZ_EVENT_REFUSED,
	.call = "calloc",
	.size = UINT64_C(549755813888),
	.cost = UINT64_C(1) << 30,
	.committed = 12 << 20,
	.actual = 1 << 20,
	.budget = 53687091,
	.source = "5% of cgroup limit 1.00 GiB",
	.module = "demo",
	.offset = 0x1189,
};

static struct lz_log log_state;

static void open_log(const char *target, const char *format)
{
	struct lz_options options;

	lz_options_defaults(&options);
	cr_assert_eq(lz_option_set(&options, lz_option_by_name("LOG", 3), target), 0);
	cr_assert_eq(lz_option_set(&options, lz_option_by_name("LOG_FORMAT", 10), format), 0);
	lz_log_open(&log_state, fake_os(), &options, "prog");
}

Test(log, refusal_message_contains_all_figures)
{
	char want[400];

	open_log("stderr", "text");
	lz_log_event(&log_state, &refused);
	snprintf(want, sizeof want,
		"lazyzero[%d] refused calloc(549755813888): 1.00 GiB of page tables needed, 12.0 MiB in use "
		"(12.0 MiB committed, 1.00 MiB actual), budget 51.2 MiB (5%% of cgroup limit 1.00 GiB), from "
		"demo+0x1189\n",
		getpid());
	cr_expect_str_eq(fake.written, want);
}

Test(log, json_contains_the_same_figures)
{
	char want[500];

	open_log("stderr", "json");
	lz_log_event(&log_state, &refused);
	snprintf(want, sizeof want,
		"{\"event\":\"refused\",\"pid\":%d,\"call\":\"calloc\",\"size\":549755813888,\"cost\":"
		"1073741824,"
		"\"committed\":12582912,\"actual\":1048576,\"budget\":53687091,"
		"\"budget_source\":\"5%% of cgroup limit 1.00 GiB\",\"module\":\"demo\",\"offset\":4489}\n",
		getpid());
	cr_expect_str_eq(fake.written, want);
}

Test(log, repeated_events_are_limited_and_counted)
{
	size_t lines = 0;

	open_log("stderr", "text");
	for (int i = 0; i < 100; i++) {
		cr_expect_eq(lz_log_would_show(&log_state, LZ_EVENT_REFUSED, 0), i < (int)LZ_LOG_MAX_LINES);
		lz_log_event(&log_state, &refused);
		if (i % 10 == 0)
			fake.written_length = 0; /* the buffer holds less than 20 lines */
		lines += strlen(fake.written) != 0;
		fake.written[0] = '\0';
		fake.written_length = 0;
	}
	cr_expect_eq(lines, LZ_LOG_MAX_LINES);
	lz_log_close(&log_state);
	cr_expect_not_null(strstr(fake.written, "0 served over the budget, 80 refused"), "%s", fake.written);
}

/* One place in a loop does not hide another one, and both are summed up. */
Test(log, repeated_events_of_a_call_site_are_summed)
{
	struct lz_event first = refused, second = refused;
	char text[sizeof fake.written];

	first.address = 0x401189;
	second.address = 0x402000;
	second.offset = 0x2000;
	open_log("stderr", "text");
	for (int i = 0; i < 50; i++) {
		cr_expect_eq(lz_log_would_show(&log_state, LZ_EVENT_REFUSED, first.address),
			i < (int)LZ_LOG_SITE_LINES);
		lz_log_event(&log_state, &first);
	}
	cr_expect(lz_log_would_show(&log_state, LZ_EVENT_REFUSED, second.address));
	for (int i = 0; i < 5; i++)
		lz_log_event(&log_state, &second);
	fake.written_length = 0;
	lz_log_close(&log_state);
	memcpy(text, fake.written, sizeof text);
	cr_expect_not_null(
		strstr(text, "] 47 more of \"refused calloc\", 23.5 TiB together, from demo+0x1189\n"), "%s",
		text);
	cr_expect_not_null(
		strstr(text, "] 2 more of \"refused calloc\", 1.00 TiB together, from demo+0x2000\n"), "%s",
		text);
	cr_expect_not_null(strstr(text, "0 served over the budget, 49 refused\n"), "%s", text);
}

Test(log, no_summary_if_all_events_were_shown)
{
	open_log("stderr", "text");
	lz_log_event(&log_state, &refused);
	fake.written_length = 0;
	fake.written[0] = '\0';
	lz_log_close(&log_state);
	cr_expect_str_eq(fake.written, "");
}

Test(log, truncated_line_ends_with_a_newline)
{
	char message[3000];

	memset(message, 'm', sizeof message - 1);
	message[sizeof message - 1] = '\0';
	open_log("stderr", "text");
	lz_log_note(&log_state, message);
	cr_expect_lt(fake.written_length, 700);
	cr_expect_eq(fake.written[fake.written_length - 1], '\n');
}

Test(log, target_none_writes_nothing)
{
	open_log("none", "text");
	lz_log_event(&log_state, &refused);
	lz_log_note(&log_state, "note");
	cr_expect_str_eq(fake.written, "");
}

static size_t size_of(const char *path)
{
	struct stat stat_buffer;

	return stat(path, &stat_buffer) == 0 ? (size_t)stat_buffer.st_size : 0;
}

Test(log, reused_descriptor_is_not_written)
{
	char first[] = "/tmp/lz-log-XXXXXX", second[] = "/tmp/lz-log-XXXXXX", target[16];
	int fd = mkstemp(first), other = mkstemp(second);

	cr_assert(fd >= 0 && other >= 0);
	snprintf(target, sizeof target, "fd:%d", fd);
	open_log(target, "text");
	lz_log_note(&log_state, "one");
	cr_expect_gt(size_of(first), 0);
	dup2(other, fd);
	lz_log_note(&log_state, "two");
	cr_expect_eq(size_of(second), 0);
	close(fd);
	lz_log_note(&log_state, "three");
	close(other);
	unlink(first);
	unlink(second);
}

Test(log, files_have_mode_0600_and_links_are_not_followed)
{
	char directory[] = "/tmp/lz-log-XXXXXX", path[64], link_path[64], want[64];
	struct stat stat_buffer;

	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/%%e.%%p.100%%%%", directory);
	snprintf(want, sizeof want, "%s/prog.%d.100%%", directory, getpid());
	open_log(path, "text");
	lz_log_note(&log_state, "one");
	cr_assert_eq(stat(want, &stat_buffer), 0, "%s", want);
	cr_expect_eq(stat_buffer.st_mode & 0777, 0600);
	snprintf(link_path, sizeof link_path, "%s/link", directory);
	cr_assert_eq(symlink(want, link_path), 0);
	open_log(link_path, "text");
	lz_log_note(&log_state, "two");
	cr_expect_eq(stat(want, &stat_buffer), 0);
	cr_expect_not_null(strstr(fake.written, "cannot write the log"), "%s", fake.written);
	fake.written_length = 0;
	fake.written[0] = '\0';
	lz_log_note(&log_state, "three");
	cr_expect_str_eq(fake.written, "", "reported once");
	unlink(link_path);
	unlink(want);
	rmdir(directory);
}

Test(log, full_disk_is_reported)
{
	open_log("/dev/full", "text");
	lz_log_note(&log_state, "one");
	cr_expect_not_null(strstr(fake.written, "No space left on device"), "%s", fake.written);
}

Test(log, closed_descriptor_is_reported)
{
	open_log("fd:987", "text");
	cr_expect_not_null(strstr(fake.written, "cannot write the log \"fd:987\": Bad file descriptor"), "%s",
		fake.written);
	lz_log_note(&log_state, "one");
	cr_expect_null(strstr(fake.written, "one"));
}
