/* The columns; see columns.h. */
#include "cli/process/columns.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/common/messages.h"

#define AT(field) offsetof(struct lz_process, field)

const struct lz_column lz_column_table[] = {
	{"pid", "pid", "process ID", LZ_COLUMN_NUMBER, 7, 0, false, AT(pid)},
	{"ppid", "parent_pid", "process ID of the parent", LZ_COLUMN_NUMBER, 7, 0, false, AT(parent)},
	{"user", "user", "user name", LZ_COLUMN_USER, 8, 0, false, AT(uid)},
	{"virtual", "virtual_bytes", "address space", LZ_COLUMN_BYTES, 7, 0, false, AT(virtual)},
	{"rss", "rss_bytes", "resident memory; shared pages and the zero window count in full",
		LZ_COLUMN_BYTES, 7, 0, false, AT(rss)},
	{"shmem", "rss_shmem_bytes", "the part of rss that is shared memory or the zero window",
		LZ_COLUMN_BYTES, 7, 0, false, AT(rss_shmem)},
	{"pss", "pss_bytes", "resident memory, each shared page divided among its processes", LZ_COLUMN_BYTES,
		7, LZ_READ_PSS, false, AT(pss)},
	{"swap", "swap_bytes", "swapped out", LZ_COLUMN_BYTES, 7, 0, false, AT(swap)},
	{"tables", "page_tables_bytes", "page tables now (VmPTE)", LZ_COLUMN_BYTES, 7, 0, false, AT(tables)},
	{"touched", "page_tables_if_touched_bytes", "page tables if every mapped page were touched",
		LZ_COLUMN_BYTES, 7, LZ_READ_MAPS, false, AT(mappings.tables_if_touched)},
	{"ratio", "page_tables_to_rss", "ratio of page tables to resident memory", LZ_COLUMN_RATIO, 7, 0,
		false, AT(tables_to_rss)},
	{"mappings", "mappings", "number of mappings, which vm.max_map_count limits", LZ_COLUMN_NUMBER, 8,
		LZ_READ_MAPS, false, AT(mappings.count)},
	{"threads", "threads", "threads", LZ_COLUMN_NUMBER, 7, 0, false, AT(threads)},
	{"minflt", "minor_faults", "minor page faults", LZ_COLUMN_NUMBER, 9, 0, false, AT(stat.minor_faults)},
	{"majflt", "major_faults", "major page faults", LZ_COLUMN_NUMBER, 7, 0, false, AT(stat.major_faults)},
	{"budget", "budget_bytes", "the library's budget for page tables", LZ_COLUMN_BYTES, 7, LZ_READ_MAPS,
		true, AT(mappings.wire.budget)},
	{"committed", "committed_bytes", "page tables if all memory the library tracks were touched",
		LZ_COLUMN_BYTES, 9, LZ_READ_MAPS, true, AT(mappings.wire.committed)},
	{"peak", "actual_peak_bytes", "highest VmPTE that the library has seen", LZ_COLUMN_BYTES, 7,
		LZ_READ_MAPS, true, AT(mappings.wire.actual_peak)},
	{"regions", "regions", "live regions of the library", LZ_COLUMN_NUMBER, 7, LZ_READ_MAPS, true,
		AT(mappings.wire.regions)},
	{"served", "region_bytes", "size of these regions", LZ_COLUMN_BYTES, 7, LZ_READ_MAPS, true,
		AT(mappings.wire.region_bytes)},
	{"over", "over_budget", "requests served although they exceeded the budget", LZ_COLUMN_NUMBER, 7,
		LZ_READ_MAPS, true, AT(mappings.wire.over_budget)},
	{"refused", "refused", "requests refused", LZ_COLUMN_NUMBER, 7, LZ_READ_MAPS, true,
		AT(mappings.wire.refused)},
	{"name", "name", "name of the process", LZ_COLUMN_NAME, 15, 0, false, 0},
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
	nearest = lz_nearest_name(name, names, lz_column_count);
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

unsigned lz_columns_read_flags(const struct lz_columns *columns, const struct lz_column *sort)
{
	unsigned read_flags = sort->read_flags;

	for (size_t i = 0; i < columns->count; i++)
		read_flags |= columns->column[i]->read_flags;
	return read_flags;
}

bool lz_column_is_text(const struct lz_column *column)
{
	return column->kind == LZ_COLUMN_NAME || column->kind == LZ_COLUMN_USER;
}

uint64_t lz_column_number(const struct lz_column *column, const struct lz_process *process)
{
	uint64_t value;

	if (column->from_library && !process->mappings.preloaded)
		return LZ_UNKNOWN;
	memcpy(&value, (const char *)process + column->offset, sizeof value);
	return value;
}

struct lz_display lz_column_user(uint64_t uid)
{
	/* Cached, since a lookup may query a server and most processes belong to few users. */
	static struct {
		uint64_t uid;
		struct lz_display name;
	} known[16];
	static size_t count;
	const struct passwd *entry;
	struct lz_display display;

	for (size_t i = 0; i < count; i++)
		if (known[i].uid == uid)
			return known[i].name;
	entry = getpwuid((uid_t)uid);
	if (entry != NULL)
		display = lz_printable(entry->pw_name);
	else
		snprintf(display.text, sizeof display.text, "%" PRIu64, uid);
	if (count < sizeof known / sizeof *known) {
		known[count].uid = uid;
		known[count++].name = display;
	}
	return display;
}

struct lz_display lz_column_text(
	const struct lz_column *column, const struct lz_process *process, enum lz_units units)
{
	struct lz_display display;
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
		snprintf(display.text, sizeof display.text, "%.*f%%", value < 100000 ? 1 : 0,
			(double)value / 10);
	else
		snprintf(display.text, sizeof display.text, "%" PRIu64, value);
	return display;
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

int lz_column_compare_rows(
	const struct lz_column *column, bool reverse, const struct lz_process *a, const struct lz_process *b)
{
	int order = lz_column_compare(column, a, b);

	if (order == 0)
		return (a->pid > b->pid) - (a->pid < b->pid);
	return reverse ? -order : order;
}

struct lz_display lz_column_header(const struct lz_column *column)
{
	struct lz_display display;
	size_t length = 0;

	for (; column->name[length] != '\0'; length++)
		display.text[length] = (char)toupper((unsigned char)column->name[length]);
	display.text[length] = '\0';
	return display;
}

void lz_columns_help(void)
{
	printf("\nColumns:\n");
	for (size_t i = 0; i < lz_column_count; i++)
		printf("  %-10s %s\n", lz_column_table[i].name, lz_column_table[i].help);
}
