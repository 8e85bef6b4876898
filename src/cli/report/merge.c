/* Merges reports; see merge.h. */
#include "cli/report/merge.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/command.h"
#include "cli/common/messages.h"
#include "cli/report/line.h"

#define IDS_MAX 4096u /* upper bound of the numbers of modules and sites in a process's report */

static void add(uint64_t *sum, uint64_t value)
{
	if (*sum == UINT64_MAX || value == UINT64_MAX || __builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

/* The figures in a line, by key. */
static const struct {
	const char *key;
	size_t offset; /* of its uint64_t in struct lz_report_usage */
} usage_keys[] = {
	{"count", offsetof(struct lz_report_usage, count)},
	{"asked", offsetof(struct lz_report_usage, asked)},
	{"peak", offsetof(struct lz_report_usage, peak)},
	{"alive", offsetof(struct lz_report_usage, alive)},
	{"regions", offsetof(struct lz_report_usage, regions)},
	{"bytes", offsetof(struct lz_report_usage, bytes)},
	{"written", offsetof(struct lz_report_usage, written)},
	{"written_zero", offsetof(struct lz_report_usage, written_zero)},
	{"zero", offsetof(struct lz_report_usage, zero)},
	{"untouched", offsetof(struct lz_report_usage, untouched)},
	{"tables", offsetof(struct lz_report_usage, tables)},
	{"window_tables", offsetof(struct lz_report_usage, window_tables)},
	{"full_tables", offsetof(struct lz_report_usage, full_tables)},
};

/* Adds the figures in a line to `sum`. */
static void add_usage(struct lz_report_usage *sum, const json_t *line)
{
	for (size_t i = 0; i < sizeof usage_keys / sizeof *usage_keys; i++)
		add((uint64_t *)((char *)sum + usage_keys[i].offset),
			lz_report_line_u64(line, usage_keys[i].key));
}

static enum lz_report_backing read_backing(const json_t *line)
{
	const char *backing = lz_report_line_text(line, "backing");

	return strcmp(backing, "window") == 0 ? LZ_REPORT_BACKING_WINDOW
	       : strcmp(backing, "both") == 0 ? LZ_REPORT_BACKING_BOTH
					      : LZ_REPORT_BACKING_ZEROPAGE;
}

static bool read_digits(char digits[LZ_REPORT_CELLS + 1], const char *text)
{
	size_t length = strspn(text, "0123456789");

	if (length == 0 || text[length] != '\0' || length > LZ_REPORT_CELLS)
		return false;
	memcpy(digits, text, length + 1);
	return true;
}

static void read_touch_map(
	struct lz_touch_map *map, const json_t *line, const char *written, const char *zero)
{
	if (!read_digits(map->written, lz_report_line_text(line, written)) ||
		!read_digits(map->zero, lz_report_line_text(line, zero)) ||
		strlen(map->written) != strlen(map->zero))
		*map = (struct lz_touch_map){.written = ""};
}

/* The modules and sites behind the numbers in the report of one process. */
struct process_ids {
	const json_t *module[IDS_MAX];
	size_t site[IDS_MAX]; /* index in the report plus 1; 0: none */
	struct timespec report_time;
};

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Returns the index of the site in the merged report, adding it if necessary; -1 after an error message. */
static ptrdiff_t find_or_add_site(struct lz_report *report, const struct process_ids *ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "module");
	const json_t *module = number < IDS_MAX ? ids->module[number] : NULL;
	struct lz_report_site site = {
		.module = module != NULL ? strdup(lz_report_line_text(module, "path")) : NULL,
		.inode = lz_report_line_u64(module, "inode"),
		.deleted = json_is_true(json_object_get(module, "deleted")),
		.offset = lz_report_line_u64(line, "offset"),
		.report_time = ids->report_time};
	struct lz_report_site *sites;

	if (site.module != NULL)
		lz_report_unescape_bytes(site.module);
	snprintf(site.call, sizeof site.call, "%s", lz_report_line_text(line, "call"));
	for (size_t i = 0; i < report->site_count; i++)
		if (report->sites[i].offset == site.offset && report->sites[i].inode == site.inode &&
			is_same_text(report->sites[i].module, site.module) &&
			strcmp(report->sites[i].call, site.call) == 0) {
			free(site.module);
			return (ptrdiff_t)i;
		}
	sites = lz_array_grow(report->sites, report->site_count, sizeof *sites);
	if (sites == NULL) {
		free(site.module);
		lz_fail_memory();
		return -1;
	}
	report->sites = sites;
	sites[report->site_count] = site;
	return (ptrdiff_t)report->site_count++;
}

static int add_site(struct lz_report *report, struct process_ids *ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "site");
	ptrdiff_t index = find_or_add_site(report, ids, line);
	struct lz_report_site *site;
	uint64_t freed = lz_report_line_u64(line, "freed");

	if (index < 0)
		return LZ_EXIT_FAILURE;
	if (number < IDS_MAX)
		ids->site[number] = (size_t)index + 1;
	site = &report->sites[index];
	add_usage(&site->sum, line);
	site->backing |= read_backing(line);
	if (freed != UINT64_MAX && freed > site->freed_bytes) {
		site->freed_bytes = freed;
		read_touch_map(&site->freed, line, "freed_written", "freed_zero");
	}
	return 0;
}

static int add_region(
	struct lz_report *report, const struct process_ids *ids, size_t process, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "site");
	struct lz_report_region *regions;

	if (number >= IDS_MAX || ids->site[number] == 0) {
		report->unparsed_lines++;
		return 0;
	}
	regions = lz_array_grow(report->regions, report->region_count, sizeof *regions);
	if (regions == NULL)
		return lz_fail_memory();
	report->regions = regions;
	regions += report->region_count++;
	*regions = (struct lz_report_region){.process = process,
		.site = ids->site[number] - 1,
		.base = lz_report_line_u64(line, "region"),
		.backing = read_backing(line)};
	add_usage(&regions->sum, line);
	read_touch_map(&regions->map, line, "map_written", "map_zero");
	return 0;
}

static int merge_lines(struct lz_report *report, struct process_ids *ids, const struct lz_report_lines *lines,
	size_t process)
{
	size_t i;
	json_t *line;
	int status;

	ids->report_time = lines->report_time;
	json_array_foreach(lines->modules, i, line)
	{
		if (lz_report_line_u64(line, "module") < IDS_MAX)
			ids->module[lz_report_line_u64(line, "module")] = line;
	}
	json_array_foreach(lines->sites, i, line)
	{
		status = add_site(report, ids, line);
		if (status != 0)
			return status;
	}
	json_array_foreach(lines->regions, i, line)
	{
		status = add_region(report, ids, process, line);
		if (status != 0)
			return status;
	}
	return 0;
}

int lz_report_merge(struct lz_report *report, const struct lz_report_lines *lines)
{
	struct lz_report_process *processes =
		lz_array_grow(report->processes, report->process_count, sizeof *processes);
	struct process_ids *ids = calloc(1, sizeof *ids);
	int status;

	if (processes != NULL)
		report->processes = processes;
	if (processes != NULL && ids != NULL) {
		processes[report->process_count++] = lines->process;
		status = merge_lines(report, ids, lines, report->process_count - 1);
	} else {
		status = lz_fail_memory();
	}
	free(ids);
	return status;
}
