/* Huge pages requested from glibc's malloc; see hugetlb.h. */
#include "shim/hugetlb.h"

#include <fcntl.h>
#include <stdint.h>

#include "base/text.h"
#include "os/procfs.h"
#include "shim/next.h"
#include "shim/shim.h"
#include "support/tunables.h"

#define TUNABLE "glibc.malloc.hugetlb"

/*
 * Whether glibc would map hugetlb pages: 2 means the default size, a larger value is a size in bytes
 * (__malloc_hugepage_config).
 */
static bool hugetlb_pages_exist(const struct lz_os *os, uint64_t value)
{
	char name[80];
	struct lz_text path = lz_text_init(name, sizeof name);
	uint64_t standard = 0;
	int fd;

	if (value == 2)
		return lz_proc_value(os, "/proc/meminfo", "Hugepagesize:", &standard) == 0 && standard != 0;
	if (value % 1024 != 0)
		return false;
	lz_text_string(&path, "/sys/kernel/mm/hugepages/hugepages-");
	lz_text_u64(&path, value / 1024);
	lz_text_string(&path, "kB");
	fd = os->open(name, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0)
		os->close(fd);
	return fd >= 0;
}

static void log_tunable_note(struct lz_log *log, uint64_t value, const char *what)
{
	char buffer[240];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_string(&text, "GLIBC_TUNABLES has " TUNABLE "=");
	lz_text_u64(&text, value);
	lz_text_string(&text, ": ");
	lz_text_string(&text, what);
	lz_log_note(log, buffer);
}

bool lz_hugetlb_defers_to_next(struct lz_core *core, bool next_is_glibc, char *const *environment)
{
	uint64_t value = next_is_glibc ? lz_tunable_number(environment, TUNABLE) : 0;

	if (value == 0 || (core->options.intercept & (LZ_INTERCEPT_MALLOC | LZ_INTERCEPT_CALLOC)) == 0 ||
		(value > 1 && !hugetlb_pages_exist(core->os, value)))
		return false;
	if (lz_option_is_set(&core->options, "THP")) {
		if (value != 1 || core->options.thp != LZ_THP_ALWAYS)
			log_tunable_note(&core->log, value,
				"no effect in regions that lazyzero serves, since LAZYZERO_THP is set");
		return false;
	}
	if (value == 1) {
		core->options.thp = LZ_THP_ALWAYS;
		return false;
	}
	log_tunable_note(&core->log, value,
		"requests of malloc and calloc are left to the C library; set LAZYZERO_THP=inherit to have "
		"lazyzero serve them");
	return true;
}
