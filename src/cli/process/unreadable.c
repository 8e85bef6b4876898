/* One message about many processes; see unreadable.h. */
#include "cli/process/unreadable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/messages.h"
#include "cli/process/columns.h"
#include "os/procfs.h"

void lz_unreadable_add(struct lz_unreadable *unreadable, const struct lz_process *process, int error)
{
	if (error == 0 || unreadable->count++ > 0)
		return;
	unreadable->first = *process;
	unreadable->error = error;
}

static void report(const struct lz_unreadable *unreadable, const char *what, const char *more)
{
	char same[64] = "";

	if (unreadable->count > 1)
		snprintf(same, sizeof same, "; the same for %zu more processes", unreadable->count - 1);
	lz_message("cannot read %s of %" PRIu64 " (%s, user %s): %s%s%s%s", what, unreadable->first.pid,
		lz_printable(unreadable->first.name).text, lz_column_user(unreadable->first.uid).text,
		strerror(-unreadable->error), same, more, geteuid() != 0 ? "; run as root to see them" : "");
}

void lz_unreadable_report(const struct lz_unreadable *unreadable, const char *what)
{
	if (unreadable->count > 0)
		report(unreadable, what, "");
}

void lz_unreadable_report_counters(const struct lz_unreadable *unreadable)
{
	char more[128] = "; what is shown is from /proc alone";
	uint64_t scope;

	if (unreadable->count == 0)
		return;
	if (unreadable->error == -ENOENT)
		snprintf(more, sizeof more, "; the file that LAZYZERO_STATS names is not there any more");
	else if (lz_proc_number(&lz_os_linux, "/proc/sys/kernel/yama/ptrace_scope", &scope) == 0 && scope > 0)
		snprintf(more, sizeof more,
			" (kernel.yama.ptrace_scope is %" PRIu64 "); what is shown is from /proc alone",
			scope);
	report(unreadable, "the library's counters", more);
}
