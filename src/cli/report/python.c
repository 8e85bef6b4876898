/* Frames of Python programs; see python.h. */
#include "cli/report/python.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/messages.h"
#include "cli/report/line.h"

/* Object files that run or serve Python code; by the whole path. */
static const char *const interpreter[] = {"*/python3*", "*/libpython3*", "*/libffi.so*", "*/lib-dynload/*",
	"*-packages/numpy/*", "*-packages/numpy.libs/*", NULL};

static bool matches_any(const char *path, const char *const *patterns)
{
	for (; *patterns != NULL; patterns++)
		if (fnmatch(*patterns, path, 0) == 0)
			return true;
	return false;
}

bool lz_report_python_skips_file(const char *path)
{
	if (fnmatch("*-packages/*", path, 0) == 0)
		return fnmatch("*-packages/numpy/*", path, 0) == 0;
	return fnmatch("*/lib/python3.*/*", path, 0) == 0 || fnmatch("<frozen *>", path, 0) == 0;
}

/* Returns the index of a source file among the modules; SIZE_MAX: no memory. Takes the path. */
static size_t find_or_add_file(struct lz_report *report, char *path)
{
	struct lz_report_module *modules;
	char *build_id;

	for (size_t i = 0; i < report->module_count; i++)
		if (report->modules[i].is_source && strcmp(report->modules[i].path, path) == 0) {
			free(path);
			return i;
		}
	modules = lz_array_grow(report->modules, report->module_count, sizeof *modules);
	if (modules != NULL)
		report->modules = modules;
	build_id = strdup("");
	if (modules == NULL || build_id == NULL) {
		free(path);
		free(build_id);
		return SIZE_MAX;
	}
	modules[report->module_count] =
		(struct lz_report_module){.path = path, .build_id = build_id, .is_source = true};
	return report->module_count++;
}

static char *text_of(const json_t *line, const char *key)
{
	char *text = strdup(lz_report_line_text(line, key));

	if (text != NULL)
		lz_report_unescape_bytes(text);
	return text;
}

/* Adds an address with one place. Takes the function's name. */
static size_t add_address(struct lz_report *report, size_t module, char *function, int line)
{
	struct lz_report_address *addresses =
		lz_array_grow(report->addresses, report->address_count, sizeof *addresses);
	struct lz_report_place *place = calloc(1, sizeof *place);
	char *file = strdup(report->modules[module].path);

	if (addresses != NULL)
		report->addresses = addresses;
	if (addresses == NULL || place == NULL || file == NULL) {
		free(place);
		free(file);
		free(function);
		lz_fail_memory();
		return SIZE_MAX;
	}
	*place = (struct lz_report_place){.function = function, .file = file, .line = line};
	addresses[report->address_count] = (struct lz_report_address){
		.module = module, .offset = UINT64_MAX, .places = place, .place_count = 1};
	return report->address_count++;
}

size_t lz_report_python_address(struct lz_report *report, const json_t *line)
{
	uint64_t number = lz_report_line_u64(line, "line");
	char *path = text_of(line, "file"), *function = text_of(line, "function");
	size_t module = path != NULL && function != NULL ? find_or_add_file(report, path) : SIZE_MAX;

	if (module == SIZE_MAX) {
		if (function == NULL)
			free(path);
		free(function);
		lz_fail_memory();
		return SIZE_MAX;
	}
	number = number <= INT_MAX ? number : 0;
	for (size_t i = 0; i < report->address_count; i++) {
		const struct lz_report_address *address = &report->addresses[i];

		if (address->module == module && address->places[0].line == (int)number &&
			strcmp(address->places[0].function, function) == 0) {
			free(function);
			return i;
		}
	}
	return add_address(report, module, function, (int)number);
}

size_t lz_report_python_innermost(const struct lz_report *report, const struct lz_report_site *site)
{
	size_t frame = 0;

	while (frame < site->frame_count &&
		!lz_report_is_python(report, &report->addresses[site->frames[frame]]))
		frame++;
	return frame;
}

void lz_report_python_mark_interpreter(struct lz_report *report)
{
	for (size_t i = 0; i < report->site_count; i++) {
		const struct lz_report_site *site = &report->sites[i];

		if (lz_report_python_innermost(report, site) == site->frame_count)
			continue;
		for (size_t frame = 0; frame < site->frame_count; frame++) {
			struct lz_report_address *address = &report->addresses[site->frames[frame]];

			if (address->module == SIZE_MAX || lz_report_is_python(report, address) ||
				!matches_any(report->modules[address->module].path, interpreter))
				continue;
			address->passes_on = true;
			for (size_t place = 0; place < address->place_count; place++)
				address->places[place].passes_on = true;
		}
	}
}
