/* Reading reports; see report.h. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/report.h"
#include "core/report.h"

#define LINE_MAX_BYTES 65536u
#define NUMBERS_MAX 4096u /* modules and sites of a process have numbers below it */
#define LINES_MAX 65536u

/* A process of the file that is being read: what its numbers mean. */
struct reading {
	uint64_t pid, start_time;
	struct lz_reported_process process;
	json_t *modules, *sites, *regions; /* arrays of lines */
	struct timespec told;
};

struct file {
	const char *path;
	struct reading *readings;
	size_t count;
	struct timespec told; /* when it was written */
	bool any;             /* a header was seen */
	size_t not_understood;
};

/* Makes room for one more in an array; NULL after saying that there is no memory. */
static void *grown(void *array, size_t count, size_t size)
{
	void *larger = array;

	if ((count & (count - 1)) == 0)
		larger = realloc(array, (count == 0 ? 1 : count * 2) * size);
	if (larger == NULL)
		lz_fail("out of memory");
	return larger;
}

static uint64_t number_of(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value)
									: UINT64_MAX;
}

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}

static struct reading *find_reading(struct file *file, uint64_t pid)
{
	for (size_t i = file->count; i-- > 0;)
		if (file->readings[i].pid == pid)
			return &file->readings[i];
	return NULL;
}

static void forget(struct reading *reading)
{
	json_decref(reading->modules);
	json_decref(reading->sites);
	json_decref(reading->regions);
}

/* A header begins anew what its process had to tell. */
static int take_header(struct file *file, const json_t *line)
{
	struct reading fresh = {.pid = number_of(line, "pid"), .start_time = number_of(line, "start_time")};
	struct reading *reading = find_reading(file, fresh.pid);

	if (number_of(line, "lazyzero_report") != LZ_REPORT_VERSION)
		return lz_fail("'%s' is a report of version %lld; this command reads version %d",
			lz_shown(file->path).text,
			(long long)json_integer_value(json_object_get(line, "lazyzero_report")),
			LZ_REPORT_VERSION);
	file->any = true;
	fresh.process = (struct lz_reported_process){
		.pid = fresh.pid, .start_time = fresh.start_time, .left_out = number_of(line, "left_out")};
	snprintf(
		fresh.process.executable, sizeof fresh.process.executable, "%s", text_of(line, "executable"));
	snprintf(fresh.process.reason, sizeof fresh.process.reason, "%s", text_of(line, "reason"));
	fresh.told = file->told;
	fresh.modules = json_array();
	fresh.sites = json_array();
	fresh.regions = json_array();
	if (reading != NULL && reading->start_time == fresh.start_time) {
		forget(reading);
		*reading = fresh;
		return 0;
	}
	reading = grown(file->readings, file->count, sizeof *reading);
	if (reading == NULL) {
		forget(&fresh);
		return LZ_EXIT_OURS;
	}
	file->readings = reading;
	file->readings[file->count++] = fresh;
	return 0;
}

static int take_line(struct file *file, const char *text, size_t length)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	struct reading *reading = find_reading(file, number_of(line, "pid"));
	json_t *into = NULL;
	int status = 0;

	if (json_is_integer(json_object_get(line, "lazyzero_report")))
		status = take_header(file, line);
	else if (reading != NULL && json_object_get(line, "module") && !json_object_get(line, "site"))
		into = reading->modules;
	else if (reading != NULL && json_object_get(line, "region"))
		into = reading->regions;
	else if (reading != NULL && json_object_get(line, "site"))
		into = reading->sites;
	else if (reading != NULL && json_is_integer(json_object_get(line, "end")))
		reading->process.complete = true;
	else
		file->not_understood++;
	if (into != NULL && json_array_size(into) < LINES_MAX)
		json_array_append(into, line);
	json_decref(line);
	return status;
}

static int read_lines(struct file *file)
{
	FILE *stream = fopen(file->path, "re");
	struct stat about;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length = 0;
	int status = 0;

	if (stream == NULL)
		return lz_fail("cannot read '%s': %s", lz_shown(file->path).text, strerror(errno));
	if (fstat(fileno(stream), &about) == 0)
		file->told = about.st_mtim;
	while (status == 0 && (length = lz_line_read(stream, &line, &capacity, LINE_MAX_BYTES)) > 0)
		status = take_line(file, line, (size_t)length);
	if (status == 0 && length < 0)
		status = length == -EFBIG
				 ? lz_fail("'%s': a line of more than %s is none of a report",
					   lz_shown(file->path).text, lz_shown_size(LINE_MAX_BYTES).text)
				 : lz_fail("out of memory");
	if (status == 0 && ferror(stream))
		status = lz_fail("cannot read '%s': %s", lz_shown(file->path).text, strerror(errno));
	free(line);
	fclose(stream);
	if (status != 0 || file->any)
		return status;
	if (file->not_understood == 0)
		return lz_fail("'%s' is empty: the program still runs, or was killed before it could report; "
			       "LAZYZERO_REPORT_SIGNAL lets it report meanwhile",
			lz_shown(file->path).text);
	return lz_fail("'%s' is not a report of LAZYZERO_REPORT", lz_shown(file->path).text);
}

/* --- merging --- */

static void add(uint64_t *sum, uint64_t value)
{
	if (*sum == UINT64_MAX || value == UINT64_MAX || __builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

static void read_figures(struct lz_figures *figures, const json_t *line)
{
	*figures = (struct lz_figures){
		.count = number_of(line, "count"),
		.asked = number_of(line, "asked"),
		.peak = number_of(line, "peak"),
		.alive = number_of(line, "alive"),
		.regions = number_of(line, "regions"),
		.bytes = number_of(line, "bytes"),
		.written = number_of(line, "written"),
		.zero = number_of(line, "zero"),
		.untouched = number_of(line, "untouched"),
		.tables = number_of(line, "tables"),
		.window_tables = number_of(line, "window_tables"),
		.full_tables = number_of(line, "full_tables"),
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
	const char *backing = text_of(line, "backing");

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
	if (!read_digits(picture->written, text_of(line, written)) ||
		!read_digits(picture->zero, text_of(line, zero)) ||
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
	uint64_t number = number_of(line, "module");
	const json_t *module = number < NUMBERS_MAX ? numbers->module[number] : NULL;
	const char *path = module != NULL ? text_of(module, "path") : NULL;
	struct lz_reported_site site = {.inode = number_of(module, "inode"),
		.deleted = json_is_true(json_object_get(module, "deleted")),
		.offset = number_of(line, "offset"),
		.told = numbers->told};
	struct lz_reported_site *sites;

	snprintf(site.call, sizeof site.call, "%s", text_of(line, "call"));
	for (size_t i = 0; i < report->site_count; i++)
		if (report->sites[i].offset == site.offset && report->sites[i].inode == site.inode &&
			is_same_text(report->sites[i].module, path) &&
			strcmp(report->sites[i].call, site.call) == 0)
			return (ptrdiff_t)i;
	sites = grown(report->sites, report->site_count, sizeof *sites);
	if (sites == NULL)
		return -1;
	report->sites = sites;
	if (path != NULL && (site.module = strdup(path)) == NULL)
		return -1;
	sites[report->site_count] = site;
	return (ptrdiff_t)report->site_count++;
}

static int add_site(struct lz_report_read *report, struct numbers *numbers, const json_t *line)
{
	uint64_t number = number_of(line, "site");
	ptrdiff_t index = enter_site(report, numbers, line);
	struct lz_reported_site *site;
	struct lz_figures figures;
	uint64_t freed = number_of(line, "freed");

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
	uint64_t number = number_of(line, "site");
	struct lz_reported_region *regions;

	if (number >= NUMBERS_MAX || numbers->site[number] == 0) {
		report->not_understood++;
		return 0;
	}
	regions = grown(report->regions, report->region_count, sizeof *regions);
	if (regions == NULL)
		return LZ_EXIT_OURS;
	report->regions = regions;
	regions += report->region_count++;
	*regions = (struct lz_reported_region){.process = process,
		.site = numbers->site[number] - 1,
		.base = number_of(line, "region"),
		.stood = read_stood(line)};
	read_figures(&regions->sum, line);
	read_picture(&regions->map, line, "map_written", "map_zero");
	return 0;
}

static int merge_lines(
	struct lz_report_read *report, struct numbers *numbers, const struct reading *reading, size_t process)
{
	size_t i;
	json_t *line;
	int status;

	numbers->told = reading->told;
	json_array_foreach(reading->modules, i, line)
	{
		if (number_of(line, "module") < NUMBERS_MAX)
			numbers->module[number_of(line, "module")] = line;
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

static int merge(struct lz_report_read *report, const struct reading *reading)
{
	struct lz_reported_process *processes =
		grown(report->processes, report->process_count, sizeof *processes);
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

static int read_file(struct lz_report_read *report, const char *path)
{
	struct file file = {.path = path};
	int status = read_lines(&file);

	for (size_t i = 0; i < file.count; i++) {
		if (status == 0)
			status = merge(report, &file.readings[i]);
		forget(&file.readings[i]);
	}
	report->not_understood += file.not_understood;
	free(file.readings);
	return status;
}

static int is_report(const struct dirent *entry)
{
	return strncmp(entry->d_name, "lazyzero-report.", sizeof "lazyzero-report." - 1) == 0;
}

/* The reports in a directory that LAZYZERO_REPORT named. */
static int read_directory(struct lz_report_read *report, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_report, versionsort), status = 0;
	char *file;

	if (count < 0)
		return lz_fail("cannot read '%s': %s", lz_shown(path).text, strerror(errno));
	if (count == 0)
		status = lz_fail("'%s' holds no report: no lazyzero-report.PID", lz_shown(path).text);
	for (int i = 0; i < count; i++) {
		if (status == 0 && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			status = lz_fail("out of memory");
		else if (status == 0) {
			status = read_file(report, file);
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

int lz_report_read_file(struct lz_report_read *report, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return read_directory(report, path);
	return read_file(report, path);
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
