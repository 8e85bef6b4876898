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
#include "cli/report/python.h"

#define IDS_MAX 4096u /* upper bound of the numbers of modules and sites in a process's report */

#define FRAMES_MAX 64u /* of a stack; the library writes at most 32, and 24 of Python */

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
_Static_assert(
	sizeof usage_keys / sizeof *usage_keys == sizeof(struct lz_report_usage) / sizeof(uint64_t), "all");

/* Adds the figures in a line to `sum`. What the line lacks is unknown. */
static void add_usage(struct lz_report_usage *sum, const json_t *line)
{
	struct lz_report_usage usage;

	for (size_t i = 0; i < sizeof usage_keys / sizeof *usage_keys; i++)
		*(uint64_t *)((char *)&usage + usage_keys[i].offset) =
			lz_report_line_u64(line, usage_keys[i].key);
	lz_report_usage_add(sum, &usage);
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

/* The modules, places of Python programs and sites behind the numbers in the report of one process. */
struct process_ids {
	size_t module[IDS_MAX], python[IDS_MAX], site[IDS_MAX]; /* index in the report plus 1; 0: none */
	struct timespec report_time;
};

/* Enters a module, unless the report has it from another process. */
static int add_module(struct lz_report *report, struct process_ids *ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "module"), inode = lz_report_line_u64(line, "inode");
	const char *build_id = lz_report_line_text(line, "build_id");
	char *path = strdup(lz_report_line_text(line, "path"));
	struct lz_report_module *modules;

	if (path == NULL)
		return lz_fail_memory();
	lz_report_unescape_bytes(path);
	for (size_t i = 0; i < report->module_count; i++)
		if (report->modules[i].inode == inode && strcmp(report->modules[i].path, path) == 0 &&
			strcmp(report->modules[i].build_id, build_id) == 0) {
			free(path);
			if (number < IDS_MAX)
				ids->module[number] = i + 1;
			return 0;
		}
	modules = lz_array_grow(report->modules, report->module_count, sizeof *modules);
	if (modules != NULL)
		report->modules = modules;
	if (modules == NULL || (build_id = strdup(build_id)) == NULL) {
		free(path);
		return lz_fail_memory();
	}
	modules[report->module_count++] = (struct lz_report_module){.path = path,
		.build_id = (char *)build_id,
		.inode = inode,
		.deleted = json_is_true(json_object_get(line, "deleted")),
		.report_time = ids->report_time};
	if (number < IDS_MAX)
		ids->module[number] = report->module_count;
	return 0;
}

/* Returns the index of an address, adding it if necessary; SIZE_MAX after an error message. */
static size_t find_or_add_address(
	struct lz_report *report, const struct process_ids *ids, const json_t *module, uint64_t offset)
{
	size_t index = SIZE_MAX;
	struct lz_report_address *addresses;

	if (json_is_integer(module) && json_integer_value(module) >= 0 &&
		json_integer_value(module) < IDS_MAX)
		index = ids->module[json_integer_value(module)] - 1;
	for (size_t i = 0; i < report->address_count; i++)
		if (report->addresses[i].offset == offset && report->addresses[i].module == index)
			return i;
	addresses = lz_array_grow(report->addresses, report->address_count, sizeof *addresses);
	if (addresses == NULL) {
		lz_fail_memory();
		return SIZE_MAX;
	}
	report->addresses = addresses;
	addresses[report->address_count] = (struct lz_report_address){.module = index, .offset = offset};
	return report->address_count++;
}

static int add_python_place(struct lz_report *report, struct process_ids *ids, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "python");
	size_t address = lz_report_python_address(report, line);

	if (address == SIZE_MAX)
		return LZ_EXIT_FAILURE;
	if (number < IDS_MAX)
		ids->python[number] = address + 1;
	return 0;
}

/* Appends at most `most` frames of Python programs to a stack, from *next in the list of the site. */
static void append_python_frames(const struct process_ids *ids, const json_t *list, size_t *next,
	uint64_t most, size_t frames[FRAMES_MAX], size_t *count)
{
	for (; most > 0 && *next < json_array_size(list); most--) {
		json_int_t number = json_integer_value(json_array_get(list, (*next)++));

		if (number >= 0 && number < IDS_MAX && ids->python[number] != 0 && *count < FRAMES_MAX)
			frames[(*count)++] = ids->python[number] - 1;
	}
}

/*
 * Reads the stack of a site; before lazyzero 0.2 there was one frame. The Python frames that a call of the
 * interpreter runs replace it. Returns 0, or the exit status.
 */
static int read_frames(struct lz_report *report, const struct process_ids *ids, const json_t *line,
	size_t frames[FRAMES_MAX], size_t *count)
{
	const json_t *stack = json_object_get(line, "stack"), *frame;
	const json_t *python = json_object_get(line, "python");
	size_t i, next = 0;

	*count = 0;
	json_array_foreach(stack, i, frame)
	{
		const json_t *offset = json_array_get(frame, 1);
		json_int_t run = json_integer_value(json_array_get(frame, 2));

		if (*count == FRAMES_MAX || !json_is_integer(offset))
			break;
		if (run > 0) {
			append_python_frames(ids, python, &next, (uint64_t)run, frames, count);
			continue;
		}
		frames[*count] = find_or_add_address(
			report, ids, json_array_get(frame, 0), (uint64_t)json_integer_value(offset));
		if (frames[(*count)++] == SIZE_MAX)
			return LZ_EXIT_FAILURE;
	}
	append_python_frames(ids, python, &next, FRAMES_MAX, frames, count);
	if (*count > 0)
		return 0;
	frames[0] = find_or_add_address(
		report, ids, json_object_get(line, "module"), lz_report_line_u64(line, "offset"));
	*count = 1;
	return frames[0] == SIZE_MAX ? LZ_EXIT_FAILURE : 0;
}

/* Returns the index of the site in the merged report, adding it if necessary; -1 after an error message. */
static ptrdiff_t find_or_add_site(struct lz_report *report, const struct process_ids *ids, const json_t *line)
{
	struct lz_report_site site = {.waste = 0};
	size_t frames[FRAMES_MAX];
	struct lz_report_site *sites;

	snprintf(site.call, sizeof site.call, "%s", lz_report_line_text(line, "call"));
	if (read_frames(report, ids, line, frames, &site.frame_count) != 0)
		return -1;
	for (size_t i = 0; i < report->site_count; i++)
		if (report->sites[i].frame_count == site.frame_count &&
			memcmp(report->sites[i].frames, frames, site.frame_count * sizeof *frames) == 0 &&
			strcmp(report->sites[i].call, site.call) == 0)
			return (ptrdiff_t)i;
	sites = lz_array_grow(report->sites, report->site_count, sizeof *sites);
	if (sites != NULL)
		report->sites = sites;
	site.frames = malloc(site.frame_count * sizeof *frames);
	if (sites == NULL || site.frames == NULL) {
		free(site.frames);
		lz_fail_memory();
		return -1;
	}
	memcpy(site.frames, frames, site.frame_count * sizeof *frames);
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
	site->is_shared |= lz_report_line_u64(line, "shared") == 1;
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
		status = add_module(report, ids, line);
		if (status != 0)
			return status;
	}
	json_array_foreach(lines->python, i, line)
	{
		status = add_python_place(report, ids, line);
		if (status != 0)
			return status;
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
