/* The reports of many processes become one; see report.h. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/command.h"
#include "cli/report/line.h"

#define NUMBERS_MAX 4096u /* modules and sites of a process have numbers below it */

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

static void read_figures(struct lz_figures *figures, const json_t *line)
{
	*figures = (struct lz_figures){
		.count = lz_report_number(line, "count"),
		.asked = lz_report_number(line, "asked"),
		.peak = lz_report_number(line, "peak"),
		.alive = lz_report_number(line, "alive"),
		.regions = lz_report_number(line, "regions"),
		.bytes = lz_report_number(line, "bytes"),
		.written = lz_report_number(line, "written"),
		.zero = lz_report_number(line, "zero"),
		.untouched = lz_report_number(line, "untouched"),
		.tables = lz_report_number(line, "tables"),
		.window_tables = lz_report_number(line, "window_tables"),
		.full_tables = lz_report_number(line, "full_tables"),
	};
}

static void add_figures(struct lz_figures *sum, const struct lz_figures *more)
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

static enum lz_stood read_stood(const json_t *line)
{
	const char *backing = lz_report_word(line, "backing");

	return strcmp(backing, "window") == 0 ? LZ_STOOD_WINDOW
	       : strcmp(backing, "both") == 0 ? LZ_STOOD_BOTH
					      : LZ_STOOD_ZEROPAGE;
}

static bool read_digits(char digits[LZ_REPORT_CELLS + 1], const char *text)
{
	size_t length = strspn(text, "0123456789");

	if (length == 0 || text[length] != '\0' || length > LZ_REPORT_CELLS)
		return false;
	memcpy(digits, text, length + 1);
	return true;
}

static void read_picture(
	struct lz_picture *picture, const json_t *line, const char *written, const char *zero)
{
	if (!read_digits(picture->written, lz_report_word(line, written)) ||
		!read_digits(picture->zero, lz_report_word(line, zero)) ||
		strlen(picture->written) != strlen(picture->zero))
		*picture = (struct lz_picture){.written = ""};
}

/* What the numbers of one process mean. */
struct numbers {
	const json_t *module[NUMBERS_MAX];
	size_t site[NUMBERS_MAX]; /* its index plus 1; 0: none */
	struct timespec told;
};

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The site of that place among those of all processes; -1 after saying that there is no memory. */
static ptrdiff_t enter_site(struct lz_report_read *report, const struct numbers *numbers, const json_t *line)
{
	uint64_t number = lz_report_number(line, "module");
	const json_t *module = number < NUMBERS_MAX ? numbers->module[number] : NULL;
	struct lz_reported_site site = {
		.module = module != NULL ? strdup(lz_report_word(module, "path")) : NULL,
		.inode = lz_report_number(module, "inode"),
		.deleted = json_is_true(json_object_get(module, "deleted")),
		.offset = lz_report_number(line, "offset"),
		.told = numbers->told};
	struct lz_reported_site *sites;

	if (site.module != NULL)
		lz_report_bytes(site.module);
	snprintf(site.call, sizeof site.call, "%s", lz_report_word(line, "call"));
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

static int add_site(struct lz_report_read *report, struct numbers *numbers, const json_t *line)
{
	uint64_t number = lz_report_number(line, "site");
	ptrdiff_t index = enter_site(report, numbers, line);
	struct lz_reported_site *site;
	struct lz_figures figures;
	uint64_t freed = lz_report_number(line, "freed");

	if (index < 0)
		return LZ_EXIT_OURS;
	if (number < NUMBERS_MAX)
		numbers->site[number] = (size_t)index + 1;
	site = &report->sites[index];
	read_figures(&figures, line);
	add_figures(&site->sum, &figures);
	site->stood |= read_stood(line);
	if (freed != UINT64_MAX && freed > site->freed_bytes) {
		site->freed_bytes = freed;
		read_picture(&site->freed, line, "freed_written", "freed_zero");
	}
	return 0;
}

static int add_region(
	struct lz_report_read *report, const struct numbers *numbers, size_t process, const json_t *line)
{
	uint64_t number = lz_report_number(line, "site");
	struct lz_reported_region *regions;

	if (number >= NUMBERS_MAX || numbers->site[number] == 0) {
		report->not_understood++;
		return 0;
	}
	regions = lz_report_grown(report->regions, report->region_count, sizeof *regions);
	if (regions == NULL)
		return LZ_EXIT_OURS;
	report->regions = regions;
	regions += report->region_count++;
	*regions = (struct lz_reported_region){.process = process,
		.site = numbers->site[number] - 1,
		.base = lz_report_number(line, "region"),
		.stood = read_stood(line)};
	read_figures(&regions->sum, line);
	read_picture(&regions->map, line, "map_written", "map_zero");
	return 0;
}

static int merge_lines(struct lz_report_read *report, struct numbers *numbers,
	const struct lz_reading *reading, size_t process)
{
	size_t i;
	json_t *line;
	int status;

	numbers->told = reading->told;
	json_array_foreach(reading->modules, i, line)
	{
		if (lz_report_number(line, "module") < NUMBERS_MAX)
			numbers->module[lz_report_number(line, "module")] = line;
	}
	json_array_foreach(reading->sites, i, line)
	{
		status = add_site(report, numbers, line);
		if (status != 0)
			return status;
	}
	json_array_foreach(reading->regions, i, line)
	{
		status = add_region(report, numbers, process, line);
		if (status != 0)
			return status;
	}
	return 0;
}

int lz_report_merge(struct lz_report_read *report, const struct lz_reading *reading)
{
	struct lz_reported_process *processes =
		lz_report_grown(report->processes, report->process_count, sizeof *processes);
	struct numbers *numbers = calloc(1, sizeof *numbers);
	int status = LZ_EXIT_OURS;

	if (processes != NULL)
		report->processes = processes;
	if (processes != NULL && numbers != NULL) {
		processes[report->process_count++] = reading->process;
		status = merge_lines(report, numbers, reading, report->process_count - 1);
	}
	free(numbers);
	return status;
}

void lz_report_free(struct lz_report_read *report)
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

uint64_t lz_report_at_peak(const struct lz_reported_site *site, uint64_t sum)
{
	if (sum == UINT64_MAX || site->sum.bytes == 0 || site->sum.bytes == UINT64_MAX ||
		site->sum.peak == UINT64_MAX)
		return UINT64_MAX;
	return (uint64_t)((unsigned __int128)sum * site->sum.peak / site->sum.bytes);
}

static uint64_t waste_of(const struct lz_reported_site *site)
{
	uint64_t written = lz_report_at_peak(site, site->sum.written);

	if (written == UINT64_MAX)
		return UINT64_MAX;
	return site->sum.peak > written ? site->sum.peak - written : 0;
}

static int compare(const void *a, const void *b, void *context)
{
	const struct lz_report_read *report = context;
	const struct lz_reported_site *left = &report->sites[*(const size_t *)a];
	const struct lz_reported_site *right = &report->sites[*(const size_t *)b];

	/* What is not known stands last. */
	if (left->waste != right->waste)
		return left->waste + 1 < right->waste + 1 ? 1 : -1;
	return left->sum.peak < right->sum.peak ? 1 : left->sum.peak > right->sum.peak ? -1 : 0;
}

void lz_report_sort(struct lz_report_read *report)
{
	size_t count = report->site_count;
	size_t *order = calloc(count + 1, sizeof *order), *place = calloc(count + 1, sizeof *place);
	struct lz_reported_site *sorted = calloc(count + 1, sizeof *sorted);

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
