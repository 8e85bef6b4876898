/* The reports of many processes become one; see report.h. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/command.h"
#include "cli/report/line.h"

#define IDS_MAX 4096u /* modules and sites of a process have numbers below it */

void *lz_report_grown(void *array, size_t count, size_t size)
{
	void *larger = array;

	if ((count & (count - 1)) == 0)
		larger = realloc(array, (count == 0 ? 1 : count * 2) * size);
	if (larger == NULL)
		lz_fail("out of memory");
	return larger;
}

static void add(uint64_t *sum, uint64_t value)
{
	if (*sum == UINT64_MAX || value == UINT64_MAX || __builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

static void read_usage(struct lz_report_usage *usage, const json_t *line)
{
	*usage = (struct lz_report_usage){
		.count = lz_report_line_u64(line, "count"),
		.asked = lz_report_line_u64(line, "asked"),
		.peak = lz_report_line_u64(line, "peak"),
		.alive = lz_report_line_u64(line, "alive"),
		.regions = lz_report_line_u64(line, "regions"),
		.bytes = lz_report_line_u64(line, "bytes"),
		.written = lz_report_line_u64(line, "written"),
		.zero = lz_report_line_u64(line, "zero"),
		.untouched = lz_report_line_u64(line, "untouched"),
		.tables = lz_report_line_u64(line, "tables"),
		.window_tables = lz_report_line_u64(line, "window_tables"),
		.full_tables = lz_report_line_u64(line, "full_tables"),
	};
}

static void add_usage(struct lz_report_usage *sum, const struct lz_report_usage *more)
{
	add(&sum->count, more->count);
	add(&sum->asked, more->asked);
	add(&sum->peak, more->peak);
	add(&sum->alive, more->alive);
	add(&sum->regions, more->regions);
	add(&sum->bytes, more->bytes);
	add(&sum->written, more->written);
	add(&sum->zero, more->zero);
	add(&sum->untouched, more->untouched);
	add(&sum->tables, more->tables);
	add(&sum->window_tables, more->window_tables);
	add(&sum->full_tables, more->full_tables);
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

/* What the numbers of one process mean. */
struct process_ids {
	const json_t *module[IDS_MAX];
	size_t site[IDS_MAX]; /* its index plus 1; 0: none */
	struct timespec report_time;
};

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The site of that place among those of all processes; -1 after saying that there is no memory. */
static ptrdiff_t find_or_add_site(
	struct lz_report *report, const struct process_ids *process_ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "module");
	const json_t *module = number < IDS_MAX ? process_ids->module[number] : NULL;
	struct lz_report_site site = {
		.module = module != NULL ? strdup(lz_report_line_text(module, "path")) : NULL,
		.inode = lz_report_line_u64(module, "inode"),
		.deleted = json_is_true(json_object_get(module, "deleted")),
		.offset = lz_report_line_u64(line, "offset"),
		.report_time = process_ids->report_time};
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
	sites = lz_report_grown(report->sites, report->site_count, sizeof *sites);
	if (sites == NULL) {
		free(site.module);
		return -1;
	}
	report->sites = sites;
	sites[report->site_count] = site;
	return (ptrdiff_t)report->site_count++;
}

static int add_site(struct lz_report *report, struct process_ids *process_ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "site");
	ptrdiff_t index = find_or_add_site(report, process_ids, line);
	struct lz_report_site *site;
	struct lz_report_usage usage;
	uint64_t freed = lz_report_line_u64(line, "freed");

	if (index < 0)
		return LZ_EXIT_FAILURE;
	if (number < IDS_MAX)
		process_ids->site[number] = (size_t)index + 1;
	site = &report->sites[index];
	read_usage(&usage, line);
	add_usage(&site->sum, &usage);
	site->backing |= read_backing(line);
	if (freed != UINT64_MAX && freed > site->freed_bytes) {
		site->freed_bytes = freed;
		read_touch_map(&site->freed, line, "freed_written", "freed_zero");
	}
	return 0;
}

static int add_region(
	struct lz_report *report, const struct process_ids *process_ids, size_t process, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "site");
	struct lz_report_region *regions;

	if (number >= IDS_MAX || process_ids->site[number] == 0) {
		report->unparsed_lines++;
		return 0;
	}
	regions = lz_report_grown(report->regions, report->region_count, sizeof *regions);
	if (regions == NULL)
		return LZ_EXIT_FAILURE;
	report->regions = regions;
	regions += report->region_count++;
	*regions = (struct lz_report_region){.process = process,
		.site = process_ids->site[number] - 1,
		.base = lz_report_line_u64(line, "region"),
		.backing = read_backing(line)};
	read_usage(&regions->sum, line);
	read_touch_map(&regions->map, line, "map_written", "map_zero");
	return 0;
}

static int merge_lines(struct lz_report *report, struct process_ids *process_ids,
	const struct lz_report_lines *reading, size_t process)
{
	size_t i;
	json_t *line;
	int status;

	process_ids->report_time = reading->report_time;
	json_array_foreach(reading->modules, i, line)
	{
		if (lz_report_line_u64(line, "module") < IDS_MAX)
			process_ids->module[lz_report_line_u64(line, "module")] = line;
	}
	json_array_foreach(reading->sites, i, line)
	{
		status = add_site(report, process_ids, line);
		if (status != 0)
			return status;
	}
	json_array_foreach(reading->regions, i, line)
	{
		status = add_region(report, process_ids, process, line);
		if (status != 0)
			return status;
	}
	return 0;
}

int lz_report_merge(struct lz_report *report, const struct lz_report_lines *reading)
{
	struct lz_report_process *processes =
		lz_report_grown(report->processes, report->process_count, sizeof *processes);
	struct process_ids *process_ids = calloc(1, sizeof *process_ids);
	int status = LZ_EXIT_FAILURE;

	if (processes != NULL)
		report->processes = processes;
	if (processes != NULL && process_ids != NULL) {
		processes[report->process_count++] = reading->process;
		status = merge_lines(report, process_ids, reading, report->process_count - 1);
	}
	free(process_ids);
	return status;
}

void lz_report_free(struct lz_report *report)
{
	for (size_t i = 0; i < report->site_count; i++) {
		free(report->sites[i].module);
		free(report->sites[i].function);
		free(report->sites[i].file);
	}
	free(report->sites);
	free(report->regions);
	free(report->processes);
}

/* --- order --- */

uint64_t lz_report_scale_to_peak(const struct lz_report_site *site, uint64_t sum)
{
	if (sum == UINT64_MAX || site->sum.bytes == 0 || site->sum.bytes == UINT64_MAX ||
		site->sum.peak == UINT64_MAX)
		return UINT64_MAX;
	return (uint64_t)((unsigned __int128)sum * site->sum.peak / site->sum.bytes);
}

static uint64_t waste_of(const struct lz_report_site *site)
{
	uint64_t written = lz_report_scale_to_peak(site, site->sum.written);

	if (written == UINT64_MAX)
		return UINT64_MAX;
	return site->sum.peak > written ? site->sum.peak - written : 0;
}

static int compare(const void *a, const void *b, void *context)
{
	const struct lz_report *report = context;
	const struct lz_report_site *left = &report->sites[*(const size_t *)a];
	const struct lz_report_site *right = &report->sites[*(const size_t *)b];

	/* What is not known stands last. */
	if (left->waste != right->waste)
		return left->waste + 1 < right->waste + 1 ? 1 : -1;
	return left->sum.peak < right->sum.peak ? 1 : left->sum.peak > right->sum.peak ? -1 : 0;
}

void lz_report_sort(struct lz_report *report)
{
	size_t count = report->site_count;
	size_t *order = calloc(count + 1, sizeof *order), *place = calloc(count + 1, sizeof *place);
	struct lz_report_site *sorted = calloc(count + 1, sizeof *sorted);

	if (order == NULL || place == NULL || sorted == NULL)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		report->sites[i].waste = waste_of(&report->sites[i]);
		order[i] = i;
	}
	if (count > 0)
		qsort_r(order, count, sizeof *order, compare, report);
	for (size_t i = 0; i < count; i++) {
		sorted[i] = report->sites[order[i]];
		place[order[i]] = i;
	}
	for (size_t i = 0; count > 0 && i < report->region_count; i++)
		report->regions[i].site = place[report->regions[i].site];
	if (count > 0)
		memcpy(report->sites, sorted, count * sizeof *sorted);
	free(sorted);
	free(order);
	free(place);
}
