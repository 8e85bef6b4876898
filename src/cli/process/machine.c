/* Reads the figures of the machine; see machine.h. */
#include "cli/process/machine.h"

#include <limits.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/process/proc_stat.h"
#include "os/cgroup.h"
#include "os/os.h"
#include "os/procfs.h"

static uint64_t value_of(const char *path, const char *name)
{
	uint64_t value;

	return lz_proc_value(&lz_os_linux, path, name, &value) == 0 ? value : LZ_UNKNOWN;
}

void lz_machine_read(const char *root, struct lz_machine *machine)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/proc/meminfo", root);
	machine->memory = value_of(path, "MemTotal:");
	machine->available = value_of(path, "MemAvailable:");
	machine->tables = value_of(path, "PageTables:");
	machine->secondary_tables = value_of(path, "SecPageTables:");
	if (lz_memory_cgroup_stat(&lz_os_linux, root, "pagetables ", &machine->cgroup_tables) != 0)
		machine->cgroup_tables = LZ_UNKNOWN;
}

struct lz_display lz_machine_line(const struct lz_machine *machine)
{
	struct lz_display display;
	struct lz_text text = lz_text_init(display.text, sizeof display.text);
	char percent[32];

	lz_text_string(&text, "Page tables of the machine: ");
	if (machine->tables == LZ_UNKNOWN) {
		lz_text_string(&text, "unknown");
		/* cppcheck-suppress uninitvar ; lz_text_init stores its address and writes through it */
		return display;
	}
	lz_text_string(&text, lz_size_text_in(machine->tables, LZ_UNITS_AUTO).text);
	if (machine->memory != LZ_UNKNOWN && machine->memory > 0) {
		snprintf(percent, sizeof percent, ", %.2f%% of ",
			100.0 * (double)machine->tables / (double)machine->memory);
		lz_text_string(&text, percent);
		lz_text_string(&text, lz_size_text_in(machine->memory, LZ_UNITS_AUTO).text);
	}
	if (machine->cgroup_tables != LZ_UNKNOWN) {
		lz_text_string(&text, "; of this control group: ");
		lz_text_string(&text, lz_size_text_in(machine->cgroup_tables, LZ_UNITS_AUTO).text);
	}
	return display;
}
