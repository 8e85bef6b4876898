/* The columns; see columns.h. */
#include "cli/process/columns.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define AT(field) offsetof(struct lz_process, field)

const struct lz_column lz_column_table[] = {
	{"pid", "pid", "process ID", LZ_COLUMN_NUMBER, 7, 0, false, AT(pid)},
	{"ppid", "parent_pid", "process ID of the parent", LZ_COLUMN_NUMBER, 7, 0, false, AT(parent)},
	{"user", "user", "its user", LZ_COLUMN_USER, 8, 0, false, AT(uid)},
	{"virtual", "virtual_bytes", "address space", LZ_COLUMN_BYTES, 7, 0, false, AT(virtual)},
	{"rss", "rss_bytes", "resident memory, shared pages and the zero window counted in full",
		LZ_COLUMN_BYTES, 7, 0, false, AT(rss)},
	{"shmem", "rss_shmem_bytes", "of which shared memory and the zero window", LZ_COLUMN_BYTES, 7, 0,
		false, AT(rss_shmem)},
	{"pss", "pss_bytes", "resident memory, shared pages divided by who shares them", LZ_COLUMN_BYTES, 7,
		LZ_READ_PSS, false, AT(pss)},
	{"swap", "swap_bytes", "swapped out", LZ_COLUMN_BYTES, 7, 0, false, AT(swap)},
	{"tables", "page_tables_bytes", "page tables now (VmPTE)", LZ_COLUMN_BYTES, 7, 0, false, AT(tables)},
	{"touched", "page_tables_if_touched_bytes", "page tables if all that is mapped were touched",
		LZ_COLUMN_BYTES, 7, LZ_READ_MAPS, false, AT(tables_if_touched)},
	{"ratio", "page_tables_to_rss", "page tables to resident memory", LZ_COLUMN_RATIO, 7, 0, false,
		AT(tables_to_rss)},
	{"mappings", "mappings", "mappings; vm.max_map_count limits them", LZ_COLUMN_NUMBER, 8, LZ_READ_MAPS,
		false, AT(mappings)},
	{"threads", "threads", "threads", LZ_COLUMN_NUMBER, 7, 0, false, AT(threads)},
	{"minflt", "minor_faults", "minor page faults", LZ_COLUMN_NUMBER, 9, 0, false, AT(minor_faults)},
	{"majflt", "major_faults", "major page faults", LZ_COLUMN_NUMBER, 7, 0, false, AT(major_faults)},
	{"budget", "budget_bytes", "the library's budget for page tables", LZ_COLUMN_BYTES, 7, LZ_READ_MAPS,
		true, AT(wire.budget)},
	{"committed", "committed_bytes", "page tables if all that it tracks were touched", LZ_COLUMN_BYTES, 9,
		LZ_READ_MAPS, true, AT(wire.committed)},
	{"peak", "actual_peak_bytes", "the most page tables that the library saw", LZ_COLUMN_BYTES, 7,
		LZ_READ_MAPS, true, AT(wire.actual_peak)},
	{"regions", "regions", "regions that the library serves", LZ_COLUMN_NUMBER, 7, LZ_READ_MAPS, true,
		AT(wire.regions)},
	{"served", "region_bytes", "their size", LZ_COLUMN_BYTES, 7, LZ_READ_MAPS, true,
		AT(wire.region_bytes)},
	{"over", "over_budget", "requests over the budget, served all the same", LZ_COLUMN_NUMBER, 7,
		LZ_READ_MAPS, true, AT(wire.over_budget)},
	{"refused", "refused", "requests refused", LZ_COLUMN_NUMBER, 7, LZ_READ_MAPS, true, AT(wire.refused)},
	{"name", "name", "the process's name", LZ_COLUMN_NAME, 15, 0, false, 0},
};

const size_t lz_column_count = sizeof lz_column_table / sizeof *lz_column_table;

static_assert(sizeof lz_column_table / sizeof *lz_column_table <= LZ_COLUMNS_MAX, "columns");

const struct lz_column *lz_column_find(const char *name)
{
	const char *names[LZ_COLUMNS_MAX];
	int nearest;

	for (size_t i = 0; i < lz_column_count; i++) {
		names[i] = lz_column_table[i].name;
		if (strcasecmp(name, names[i]) == 0)
			return &lz_column_table[i];
	}
	nearest = lz_nearest(name, names, lz_column_count);
	if (nearest >= 0)
		lz_fail("unknown column '%s'; did you mean '%s'?", lz_printable(name).text, names[nearest]);
	else
		lz_fail("unknown column '%s'; 'lazyzero stat --help' lists them", lz_printable(name).text);
	return NULL;
}

int lz_columns_parse(struct lz_columns *columns, const char *list)
{
	columns->count = 0;
	while (*list != '\0') {
		size_t length = strcspn(list, ",");
		char name[64];

		snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), list);
		if (columns->count == LZ_COLUMNS_MAX) {
			lz_fail("at most %u columns", LZ_COLUMNS_MAX);
			return -EINVAL;
		}
		columns->column[columns->count] = lz_column_find(name);
		if (columns->column[columns->count++] == NULL)
			return -EINVAL;
		list += length + (list[length] == ',');
	}
	if (columns->count == 0) {
		lz_fail("no column given");
		return -EINVAL;
	}
	return 0;
}

uint64_t lz_column_number(const struct lz_column *column, const struct lz_process *process)
{
	uint64_t value;

	if (column->from_library && !process->preloaded)
		return LZ_UNKNOWN;
	memcpy(&value, (const char *)process + column->offset, sizeof value);
	return value;
}

struct lz_display lz_size_text_in(uint64_t bytes, enum lz_units units)
{
	struct lz_display shown;

	if (units == LZ_UNITS_AUTO) {
		char *space;

		shown = lz_size_text(bytes);
		space = strchr(shown.text, ' ');
		/* "1.02 GiB" as "1.02G" */
		if (space != NULL) {
			space[0] = space[1];
			space[1] = '\0';
		}
		return shown;
	}
	unsigned shift = 10 * ((unsigned)units - LZ_UNITS_B);
	uint64_t whole = bytes >> shift;

	snprintf(shown.text, sizeof shown.text, "%" PRIu64, whole + (whole << shift != bytes));
	return shown;
}

struct lz_display lz_column_user(uint64_t uid)
{
	/* A lookup may ask a server; many processes have few users. */
	static struct {
		uint64_t uid;
		struct lz_display name;
	} known[16];
	static size_t count;
	const struct passwd *entry;
	struct lz_display shown;

	for (size_t i = 0; i < count; i++)
		if (known[i].uid == uid)
			return known[i].name;
	entry = getpwuid((uid_t)uid);
	if (entry != NULL)
		shown = lz_printable(entry->pw_name);
	else
		snprintf(shown.text, sizeof shown.text, "%" PRIu64, uid);
	if (count < sizeof known / sizeof *known) {
		known[count].uid = uid;
		known[count++].name = shown;
	}
	return shown;
}

struct lz_display lz_column_text(
	const struct lz_column *column, const struct lz_process *process, enum lz_units units)
{
	struct lz_display shown;
	uint64_t value;

	if (column->kind == LZ_COLUMN_NAME)
		return lz_printable(process->name);
	value = lz_column_number(column, process);
	if (value == LZ_UNKNOWN)
		return (struct lz_display){"-"};
	if (column->kind == LZ_COLUMN_USER)
		return lz_column_user(value);
	if (column->kind == LZ_COLUMN_BYTES)
		return lz_size_text_in(value, units);
	if (column->kind == LZ_COLUMN_RATIO)
		snprintf(shown.text, sizeof shown.text, "%.*f%%", value < 100000 ? 1 : 0, (double)value / 10);
	else
		snprintf(shown.text, sizeof shown.text, "%" PRIu64, value);
	return shown;
}

int lz_column_compare(const struct lz_column *column, const struct lz_process *a, const struct lz_process *b)
{
	uint64_t left, right;

	if (column->kind == LZ_COLUMN_NAME)
		return strcmp(a->name, b->name);
	left = lz_column_number(column, a);
	right = lz_column_number(column, b);
	if (left == right)
		return 0;
	if (left == LZ_UNKNOWN || right == LZ_UNKNOWN)
		return left == LZ_UNKNOWN ? 1 : -1;
	if (column->kind == LZ_COLUMN_USER)
		return strcmp(lz_column_user(left).text, lz_column_user(right).text);
	if (column->offset == AT(pid) || column->offset == AT(parent))
		return left < right ? -1 : 1;
	return left > right ? -1 : 1;
}

void lz_columns_help(void)
{
	printf("\nColumns:\n");
	for (size_t i = 0; i < lz_column_count; i++)
		printf("  %-10s %s\n", lz_column_table[i].name, lz_column_table[i].help);
}
